package evidence_test

import (
	"testing"

	"greenroom/internal/evidence"
	"greenroom/internal/migration"
)

func TestSays(t *testing.T) {
	for _, c := range []struct {
		r    evidence.Result
		want string
	}{
		{evidence.Result{Verdict: evidence.Fail, Summary: "1 of 3 tests failed"}, "1 of 3 tests failed"},
		{evidence.Result{Verdict: evidence.Pass}, "pass"},
		{evidence.Result{Verdict: evidence.Fail}, "fail"},
		{evidence.Result{Verdict: evidence.Inconclusive}, "could not be decided"},
		{evidence.Result{Verdict: "of another Greenroom"}, "could not be decided"},
	} {
		if got := c.r.Says(); got != c.want {
			t.Errorf("%+v says %q, want %q", c.r, got, c.want)
		}
	}
}

func TestMigrationOfAReport(t *testing.T) {
	m := &migration.Report{Data: "the seed"}
	r := evidence.Report{Results: []evidence.Result{{Check: "buy"}, {Check: "migration", Migration: m}}}
	if r.Migration() != m || (evidence.Report{Results: r.Results[:1]}).Migration() != nil {
		t.Error("a report does not know its migration")
	}
}
