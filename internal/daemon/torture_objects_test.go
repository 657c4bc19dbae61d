package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

const (
	oldRelease release.Digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newRelease release.Digest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// dawn is when the told histories begin.
var dawn = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// at is a second of a told history.
func at(second float64) time.Time {
	return dawn.Add(time.Duration(second * float64(time.Second)))
}

// told is a history in which all is as it should be: the first release goes live in production, is rehearsed against by
// the second, which goes live, and back to the first one, each with a journey; the control plane, the edge and a replica
// are killed meanwhile, and customers notice only the latter two.
func told() []event {
	entry := func(seq int64, second float64, action string, run string, outcome plan.Outcome) event {
		return event{At: at(second), Audit: &api.HistoryEntry{Seq: seq, Action: action, Run: run, Outcome: outcome, Environment: inProduction}}
	}
	run := func(id string, kind plan.Kind, env string, of, from release.Digest, begun, ended float64, outcome plan.Outcome) event {
		r := ran{ID: id, Kind: kind, Environment: env, Release: of, From: from, Created: at(begun), Ended: at(ended), Outcome: outcome}
		if kind == plan.Rehearsal {
			r.Verdict = evidence.Pass
		}
		return event{At: at(ended), Run: &r}
	}
	asks := func(second float64, verb, run string) event {
		return event{At: at(second), Command: &asked{Environment: inProduction, Verb: verb, Run: run, Sent: at(second - 0.1)}}
	}
	journey := func(second float64, version string) event {
		return event{At: at(second), Journey: &witness{inProduction, version}}
	}
	write := func(second float64, id, failed string) event {
		return event{At: at(second), Request: &request{Environment: inProduction, Sent: at(second - 0.1), Write: id, Failed: failed}}
	}
	kill := func(second float64, n int, p part, env string) event {
		return event{At: at(second), Killed: &killed{Number: n, Part: p, Environment: env}}
	}
	well := standing{State: api.EnvironmentUp, Live: oldRelease, SchemaState: gate.SchemaProven, Schema: "s", Read: "s",
		Healthy: map[string]int{"web": 2}, Wanted: map[string]int{"web": 2}}
	return []event{
		{At: at(0), Release: &made{Digest: oldRelease, Version: "v1"}},
		{At: at(0), Release: &made{Digest: newRelease, Version: "v2"}},
		asks(1, verbRehearse, "r1"), run("r1", plan.Rehearsal, onStage, oldRelease, "", 1, 2, plan.Succeeded),
		entry(1, 1, "rehearsal running", "r1", ""), entry(2, 2, "rehearsal", "r1", plan.Succeeded),
		asks(3, verbPromote, "r2"), run("r2", plan.Promotion, inProduction, oldRelease, "", 3, 4, plan.Succeeded), journey(3.5, "v1"),
		entry(3, 3, "promotion running", "r2", ""), entry(4, 3.5, "live", "r2", ""), entry(5, 4, "promotion", "r2", plan.Succeeded),
		write(5, "b1-1", ""),
		asks(6, verbRehearse, "r3"), run("r3", plan.Rehearsal, onStage, newRelease, oldRelease, 6, 8, plan.Succeeded),
		entry(6, 6, "rehearsal running", "r3", ""), entry(7, 8, "rehearsal", "r3", plan.Succeeded),
		kill(7, 1, controlPlane, ""), write(7.1, "b1-2", ""),
		asks(9, verbPromote, "r4"), run("r4", plan.Promotion, inProduction, newRelease, oldRelease, 9, 12, plan.RolledBack), journey(11.5, "v1"),
		entry(8, 9, "promotion running", "r4", ""), entry(9, 12, "promotion", "r4", plan.RolledBack),
		kill(10, 2, replicaPart, inProduction), write(10.2, "b1-3", "502"), {At: at(10.4), Healed: &healed{2, inProduction}},
		asks(13, "down", ""), {At: at(13), Audit: &api.HistoryEntry{Seq: 10, Action: "down", Environment: inProduction}},
		kill(14, 3, edgePart, ""), write(14.5, "b1-4", "refused"),
		{At: at(15), Healed: &healed{3, inProduction}}, {At: at(15), Healed: &healed{3, inStaging}},
		write(40, "b1-5", ""),
		{At: at(41), Recorded: &recorded{inProduction, "b1-", map[string]int{"b1-1": 1, "b1-2": 1, "b1-4": 1, "b1-5": 1}}},
		{At: at(42), Observed: &observed{Environments: map[string]standing{inProduction: well},
			Used: map[string]used{"daemon": {1, 20, 50 << 20}, "edge": {1, 30, 40 << 20}}, Disk: map[string]int64{"runs": 0}}},
	}
}

// rolledBack gives the run r4 of the told history its way back.
func rolledBack(events []event) []event {
	r := runOf(events, "r4")
	r.Reason = "a replica ended"
	r.Journal = []journalled{{Step: "way-back", State: plan.Started, At: at(9)}, {Step: "way-back", State: plan.Undoing, At: at(11)}}
	return events
}

func runOf(events []event, id string) *ran {
	for _, e := range events {
		if e.Run != nil && e.Run.ID == id {
			return e.Run
		}
	}
	return nil
}

func without(events []event, what func(event) bool) []event { return slices.DeleteFunc(events, what) }

func requestOf(events []event, id string) *event {
	for i := range events {
		if r := events[i].Request; r != nil && r.Write == id {
			return &events[i]
		}
	}
	return nil
}

// observation is the last one, with its production.
func observation(events []event, change func(*observed, *standing)) []event {
	o := events[len(events)-1].Observed
	s := o.Environments[inProduction]
	change(o, &s)
	o.Environments[inProduction] = s
	return events
}

// TestTortureObjects tells the model histories that can't be, each the good one with one thing changed.
func TestTortureObjects(t *testing.T) {
	if wrong := judge(rolledBack(told())); len(wrong) > 0 {
		t.Fatalf("it objects to a good history:\n%s", strings.Join(wrong, "\n"))
	}
	for name, c := range map[string]struct {
		objects string // the rule's name begins so
		lie     func([]event) []event
	}{
		"another release is live": {"I1", func(e []event) []event {
			return observation(e, func(_ *observed, s *standing) { s.Live = newRelease })
		}},
		"a run began from what was not live": {"I1", func(e []event) []event { runOf(e, "r4").From = newRelease; return e }},
		"a promotion that succeeded is gone": {"I1", func(e []event) []event {
			r := runOf(e, "r4")
			r.Outcome, r.Reason = plan.Succeeded, ""
			return e
		}},
		"a replica too many": {"I1", func(e []event) []event {
			return observation(e, func(_ *observed, s *standing) { s.Others = []string{"app.production.web.2222.0"} })
		}},
		"a replica too few": {"I1", func(e []event) []event {
			return observation(e, func(_ *observed, s *standing) { s.Healthy = map[string]int{"web": 1} })
		}},
		"a route to nowhere": {"I1", func(e []event) []event {
			return observation(e, func(_ *observed, s *standing) { s.Routes = []string{"the route leads astray"} })
		}},
		"a process of nobody": {"I1 I2", func(e []event) []event {
			return observation(e, func(o *observed, _ *standing) { o.Strangers = []string{"process 7"} })
		}},
		"a port of nobody": {"I1 I2", func(e []event) []event {
			return observation(e, func(o *observed, _ *standing) { o.Ports = []string{"route:app/production/web@2222"} })
		}},
		"two edges": {"I1 I2", func(e []event) []event {
			return observation(e, func(o *observed, _ *standing) { o.Used["edge"] = used{Processes: 2} })
		}},
		"two workers": {"I1 I2", func(e []event) []event {
			return observation(e, func(o *observed, _ *standing) { o.TwoWorkers = true })
		}},
		"the schema is another": {"I1 I2 I4", func(e []event) []event {
			return observation(e, func(_ *observed, s *standing) { s.Read = "other" })
		}},
		"the schema is not known": {"I1 I2 I4", func(e []event) []event {
			return observation(e, func(_ *observed, s *standing) { s.SchemaState = gate.SchemaUnknown })
		}},
		"descriptors leak": {"I1 I2 I4 I15", func(e []event) []event {
			return observation(e, func(o *observed, _ *standing) { o.Used["daemon"] = used{1, 2000, 0} })
		}},
		"memory leaks": {"I1 I2 I4 I15", func(e []event) []event {
			return observation(e, func(o *observed, _ *standing) { o.Used["edge"] = used{1, 20, 1 << 30} })
		}},
		"working folders are left": {"I1 I2 I4 I15", func(e []event) []event {
			return observation(e, func(o *observed, _ *standing) { o.Disk["runs"] = 1 })
		}},
		"a run is under way for ever": {"I1", func(e []event) []event {
			return observation(e, func(o *observed, _ *standing) { o.Unfinished = []string{"r4"} })
		}},
		"a run without an outcome":   {"I3", func(e []event) []event { runOf(e, "r4").Outcome = ""; return e }},
		"a failure without a reason": {"I3", func(e []event) []event { runOf(e, "r4").Reason = ""; return e }},
		"an operator without a hint": {"I3", func(e []event) []event {
			r := runOf(e, "r4")
			r.Outcome, r.Reason = plan.NeedsOperator, "half-migrated"
			return e
		}},
		"an operator for nothing": {"I3", func(e []event) []event {
			r := runOf(e, "r4")
			r.Outcome, r.Hint = plan.NeedsOperator, "greenroom status"
			return e
		}},
		"a half-migrated schema does not block": {"I4", func(e []event) []event {
			return append(e, event{At: at(41), Command: &asked{Environment: inProduction, Verb: "probe", Release: newRelease}})
		}},
		"a request fails for nothing": {"I5", func(e []event) []event {
			requestOf(e, "b1-5").Request.Failed = "502"
			delete(e[len(e)-2].Recorded.Counts, "b1-5")
			return e
		}},
		"a request fails because the control plane died": {"I5", func(e []event) []event {
			requestOf(e, "b1-2").Request.Failed = "502"
			return e
		}},
		"a request fails long after a kill": {"I5", func(e []event) []event {
			requestOf(e, "b1-5").Request.Failed = "502"
			requestOf(e, "b1-5").At, requestOf(e, "b1-5").Request.Sent = at(20), at(19.9)
			return e
		}},
		"a kill is felt for ever": {"I5", func(e []event) []event {
			return without(e, func(e event) bool { return e.Healed != nil && e.Healed.Kill == 2 })
		}},
		"a kill is felt too long": {"I5", func(e []event) []event {
			for i := range e {
				if e[i].Healed != nil && e[i].Healed.Kill == 3 {
					e[i].At = at(14 + feltAtMost.Seconds() + 1)
				}
			}
			return e
		}},
		"a write is lost":       {"I5", func(e []event) []event { delete(e[len(e)-2].Recorded.Counts, "b1-1"); return e }},
		"a write is made twice": {"I5", func(e []event) []event { e[len(e)-2].Recorded.Counts["b1-4"] = 2; return e }},
		"a write of nobody":     {"I5", func(e []event) []event { e[len(e)-2].Recorded.Counts["b1-9"] = 1; return e }},
		"production takes what was not rehearsed": {"I7", func(e []event) []event {
			runOf(e, "r3").Release = oldRelease
			return e
		}},
		"a rehearsal that failed counts": {"I7", func(e []event) []event { runOf(e, "r3").Verdict = evidence.Fail; return e }},
		"a rehearsal against something else counts": {"I7", func(e []event) []event {
			runOf(e, "r3").From = newRelease
			return e
		}},
		"a bug for an answer": {"I7", func(e []event) []event {
			return append(e, event{At: at(41), Command: &asked{Verb: verbRollback, Code: problem.Internal}})
		}},
		"the log lacks a beginning": {"I10", func(e []event) []event {
			return without(e, func(e event) bool { return e.Audit != nil && e.Audit.Seq == 8 })
		}},
		"the log lacks an end": {"I10", func(e []event) []event {
			return without(e, func(e event) bool { return e.Audit != nil && e.Audit.Seq == 9 })
		}},
		"the log lacks what became live": {"I10", func(e []event) []event {
			return without(e, func(e event) bool { return e.Audit != nil && e.Audit.Seq == 4 })
		}},
		"the log lacks a stop": {"I10", func(e []event) []event {
			return without(e, func(e event) bool { return e.Audit != nil && e.Audit.Seq == 10 })
		}},
		"the log goes back": {"I10", func(e []event) []event {
			return append(e, event{At: at(41), Audit: &api.HistoryEntry{Seq: 3}})
		}},
		"a run that was answered is gone": {"I12", func(e []event) []event {
			return without(e, func(e event) bool { return e.Run != nil && e.Run.ID == "r3" })
		}},
		"rolled back without a journey": {"I14", func(e []event) []event {
			return without(e, func(e event) bool { return e.Journey != nil && e.At.Equal(at(11.5)) })
		}},
		"rolled back with a journey of the other": {"I14", func(e []event) []event {
			for _, e := range e {
				if e.Journey != nil && e.At.Equal(at(11.5)) {
					e.Journey.Version = "v2"
				}
			}
			return e
		}},
		"rolled back with a journey of before": {"I14", func(e []event) []event {
			for i := range e {
				if e[i].Journey != nil && e[i].At.Equal(at(11.5)) {
					e[i].At = at(9.5)
				}
			}
			return e
		}},
		"live without a journey": {"I14", func(e []event) []event {
			return without(e, func(e event) bool { return e.Journey != nil && e.At.Equal(at(3.5)) })
		}},
		"rolled back because the control plane died": {"nothing changes", func(e []event) []event {
			for _, e := range e {
				if e.Killed != nil && e.Killed.Number == 2 {
					e.Killed.Part = controlPlane
				}
			}
			return without(e, func(e event) bool {
				return e.Request != nil && e.Request.Write == "b1-3" || e.Killed != nil && e.Killed.Number == 3
			})
		}},
		"something does not end": {"nothing is stuck", func(e []event) []event { return append(e, event{At: at(41), Stuck: "the run r4"}) }},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := judge(c.lie(rolledBack(told())))
			if !slices.ContainsFunc(wrong, func(w string) bool { return strings.HasPrefix(w, c.objects) }) {
				t.Errorf("it does not object: %v", wrong)
			}
		})
	}
}
