package promotion

import (
	"encoding/json"
	"testing"
	"time"

	"greenroom/internal/gate"
	"greenroom/internal/release"
)

// What the promotion itself changes, and what goes on its way meanwhile, is asked as it was; everything else as it is.
func TestAskedAgain(t *testing.T) {
	let := letIn{Decision: gate.Decision{Allowed: true, Demands: []gate.Demand{{Name: "a", Answer: gate.Yes}}}, Schema: "before",
		SchemaState: gate.SchemaProven, After: &gate.Presence{Release: "there", Since: time.Unix(7, 0).UTC(), Healthy: true}}
	raw, err := json.Marshal(let)
	if err != nil {
		t.Fatal(err)
	}
	var was letIn
	var decision gate.Decision // which is what others read of the step
	if err := json.Unmarshal(raw, &was); err != nil || was.Schema != "before" || !was.Allowed || *was.After != *let.After {
		t.Fatalf("%+v, %v", was, err)
	}
	if err := json.Unmarshal(raw, &decision); err != nil || !decision.Allowed || len(decision.Demands) != 1 {
		t.Fatalf("%+v, %v", decision, err)
	}
	now := gate.Question{Schema: gate.SchemaUnknown, LogFault: "torn", KnownBad: &gate.KnownBad{Reason: "slow"}, After: nil,
		Baseline: release.Baseline{release.PartSchema: "after", release.PartSecrets: "new"}}
	q := was.again(now)
	if q.Schema != gate.SchemaProven || q.After == nil || q.Baseline[release.PartSchema] != "before" {
		t.Errorf("not as it was: %+v", q)
	}
	if q.LogFault != "torn" || q.KnownBad == nil || q.Baseline[release.PartSecrets] != "new" {
		t.Errorf("not as it is: %+v", q)
	}
	if now.Baseline[release.PartSchema] != "after" {
		t.Error("the other question was changed")
	}
	if q := was.again(gate.Question{}); q.Baseline != nil {
		t.Error("an environment that is not production has a baseline")
	}
}

// A person overrides the demands that they knew of, and no others.
func TestOverriddenOnce(t *testing.T) {
	no := func(names ...string) (d gate.Decision) {
		for _, n := range names {
			d.Demands = append(d.Demands, gate.Demand{Name: n, Answer: gate.No})
		}
		return d
	}
	for _, c := range []struct {
		was, now gate.Decision
		left     int
	}{
		{no(), no(), 0}, {no(), no("check a"), 1}, {no("check a"), no("check a"), 0}, {no("check a"), no("check a", "check b"), 1}, {no("check a"), no(), 0},
	} {
		if left := (letIn{Decision: c.was}).missing(c.now); len(left) != c.left {
			t.Errorf("%v, then %v: %v", c.was.Demands, c.now.Demands, left)
		}
	}
}
