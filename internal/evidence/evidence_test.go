package evidence

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/release"
)

func TestWorst(t *testing.T) {
	for _, c := range []struct {
		of   []Verdict
		want Verdict
	}{
		{nil, Inconclusive}, // nothing ran
		{[]Verdict{Pass}, Pass},
		{[]Verdict{Pass, Pass}, Pass},
		{[]Verdict{Pass, Inconclusive, Pass}, Inconclusive},
		{[]Verdict{Inconclusive, Fail, Pass}, Fail},
		{[]Verdict{Pass, Fail}, Fail},
		{[]Verdict{Pass, "fine"}, Inconclusive},
		{[]Verdict{""}, Inconclusive},
	} {
		if got := Worst(c.of...); got != c.want {
			t.Errorf("Worst(%q) = %s, want %s", c.of, got, c.want)
		}
	}
}

func TestWorstPassesOnlyWhenAllPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vs := rapid.SliceOf(rapid.SampledFrom([]Verdict{Pass, Fail, Inconclusive, "", "PASS"})).Draw(t, "verdicts")
		all := len(vs) > 0
		for _, v := range vs {
			all = all && v == Pass
		}
		if got := Worst(vs...); (got == Pass) != all {
			t.Fatalf("Worst(%q) = %s", vs, got)
		}
	})
}

func TestAStatementSurvivesItsJSON(t *testing.T) {
	s := Statement{
		ID: "1", App: "shop", Release: release.Of([]byte("x")), Environment: "stage", Run: "r1", Policy: "sha256:p",
		Baseline:  release.Baseline{release.PartSchema: "s"},
		DependsOn: []release.Part{release.PartSchema},
		Result: Result{Check: "checkout", Verdict: Fail, Summary: "1 of 2 failed", Passed: 1, Failed: 1,
			Failures: []Failure{{Name: "TestPay", Message: "got 500"}}, Output: "…", Started: time.Unix(7, 0).UTC(), Duration: time.Second},
		At: time.Unix(8, 0).UTC(),
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Statement
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back); diff != "" {
		t.Error(diff)
	}
}
