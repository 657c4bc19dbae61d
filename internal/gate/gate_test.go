package gate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

var (
	noon   = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	wanted = release.Of([]byte("wanted"))
	other  = release.Of([]byte("other"))
	live   = release.Of([]byte("live"))
)

func policy() app.Policy {
	return app.Policy{
		App: "shop",
		Environments: []app.Environment{
			{Name: "dev"}, {Name: "staging", After: "dev"}, {Name: "production", After: "staging"},
		},
		Gates: map[string]app.Gate{"production": {Soak: 30 * time.Minute, Except: map[string]app.Except{
			"evening": {Because: "the load file is not ready", Until: noon.AddDate(0, 1, 0)},
		}}},
	}
}

func baseline() release.Baseline {
	return release.Baseline{
		release.PartRelease: string(live), release.PartSchema: "schema-1", release.PartConfig: "config-1",
		release.PartSecrets: "secrets-1", release.PartFlags: "flags-1", release.PartSizes: "sizes-1",
	}
}

func passed(check, run string) evidence.Statement {
	s := evidence.Statement{
		ID: run + "-" + check, App: "shop", Release: wanted, Environment: "stage", Run: run,
		Policy: policy().Digest(), Baseline: baseline(), At: noon.Add(-time.Hour),
		Result: evidence.Result{Check: check, Verdict: evidence.Pass, Summary: "3 tests passed", Passed: 3},
	}
	if run == BuildRun {
		s.Environment, s.Policy, s.Baseline = "", "", nil
	}
	return s
}

// good is a question whose answer is yes.
func good() Question {
	return Question{
		App: "shop", Release: wanted, Environment: "production", Policy: policy(),
		Checks:  []app.Check{{Name: "unit", AtBuild: true}, {Name: "checkout", DependsOn: []string{"release", "schema"}}, {Name: "evening"}},
		Builtin: Builtin(),
		Statements: []evidence.Statement{
			passed("unit", BuildRun), passed("checkout", "r1"), passed(Migration, "r1"), passed(OldOnNew, "r1"), passed(Rollback, "r1"),
		},
		Baseline: baseline(),
		After:    &Presence{Release: wanted, Since: noon.Add(-time.Hour), Healthy: true},
		Schema:   SchemaProven,
		Now:      noon,
	}
}

func statement(q *Question, check string) *evidence.Statement {
	i := slices.IndexFunc(q.Statements, func(s evidence.Statement) bool { return s.Result.Check == check })
	return &q.Statements[i]
}

func TestYes(t *testing.T) {
	d := Decide(good())
	if !d.Allowed || len(d.Missing()) != 0 {
		t.Fatalf("%+v", d)
	}
	for _, m := range d.Demands {
		if m.Reason == "" || m.Next != "" {
			t.Errorf("%+v", m)
		}
	}
}

// no is one way in which the answer is no: the only demand that is not met, and what is said about it.
type no struct {
	name   string
	harm   func(q *Question)
	demand string
	answer Answer
	reason string
	next   string
}

func nos() []no {
	short, after := wanted.Short(), "greenroom promote "+wanted.Short()+" staging"
	rehearse := "greenroom rehearse " + short
	newest := func(check string, v evidence.Verdict) func(q *Question) {
		return func(q *Question) {
			s := passed(check, "r2")
			s.Result.Verdict, s.Result.Summary = v, "TestPay: got 500"
			q.Statements = append(q.Statements, s)
		}
	}
	return []no{
		{"another app's policy", func(q *Question) { q.Policy.App = "blog" }, "a sensible question", Unknown, `that of "blog"`, ""},
		{"an environment that nobody knows", func(q *Question) { q.Environment = "moon" }, "a sensible question", Unknown, `no environment "moon"`, "greenroom up"},
		{"no release", func(q *Question) { q.Release = "" }, "a sensible question", Unknown, `"" is not the digest`, ""},
		{"no time", func(q *Question) { q.Now = time.Time{} }, "a sensible question", Unknown, "what time it is", ""},
		{"half-migrated", func(q *Question) { q.Schema = SchemaHalfMigrated }, "a schema that is known", No, "neither release runs", "restore the backup; then: greenroom explain"},
		{"schema unknown", func(q *Question) { q.Schema = SchemaUnknown }, "a schema that is known", Unknown, "could not be read", "greenroom explain"},
		{"schema never looked at", func(q *Question) { q.Schema = "" }, "a schema that is known", Unknown, "could not be read", "greenroom explain"},
		{"known to be bad", func(q *Question) { q.KnownBad = &KnownBad{Reason: "5 % errors", At: noon} }, "not known to be bad", No,
			"rolled back on 2026-05-04: 5 % errors", "greenroom promote " + short + " production --because REASON"},
		{"a blank is no reason", func(q *Question) { q.KnownBad, q.Override = &KnownBad{Reason: "5 % errors", At: noon}, " \n" }, "not known to be bad", No, "5 % errors", "--because"},
		{"not healthy before", func(q *Question) { q.After.Healthy, q.Policy.Gates = false, nil; repolicy(q) }, "live in staging", No, "not healthy", "greenroom logs --environment staging"},
		{"nothing before", func(q *Question) { q.After, q.Policy.Gates = nil, nil; repolicy(q) }, "live in staging", No, "nothing is live in staging", after},
		{"another before", func(q *Question) { q.After.Release, q.Policy.Gates = other, nil; repolicy(q) }, "live in staging", No, other.Short() + " is live in staging", after},
		{"not long enough", func(q *Question) { q.After.Since = noon.Add(-29 * time.Minute) }, "live in staging for 30m0s", No,
			"live there for 29m0s", "greenroom explain " + short + " production, after 2026-05-04 12:01:00 UTC"},
		{"the clock was set back", func(q *Question) { q.After.Since = noon.Add(time.Hour) }, "live in staging for 30m0s", No, "live there for 0s", "greenroom explain"},
		{"since nobody knows when", func(q *Question) { q.After.Since = time.Time{} }, "live in staging for 30m0s", No, "not live and healthy", after},
		{"a soak after nothing", func(q *Question) { q.Policy.Environments[2].After = ""; repolicy(q) }, "live for 30m0s", No, "comes after no environment", "greenroom up"},
		{"no built-in checks", func(q *Question) { q.Builtin = nil }, "a rehearsal", Unknown, "no built-in check", ""},
		{"production unread", func(q *Question) { q.Baseline = nil }, "a baseline", Unknown, "could not be read", "greenroom status"},
		{"first, but not empty", func(q *Question) { q.First = true }, "a baseline", Unknown, "could not be read", "greenroom status"},
		{"one name for two checks", func(q *Question) { q.Checks = append(q.Checks, app.Check{Name: "checkout"}) }, "check checkout", Unknown, "two checks", "greenroom build"},
		{"a check in a built-in's name", func(q *Question) { q.Checks = append(q.Checks, app.Check{Name: Rollback}) }, "check rollback", Unknown, "two checks", "greenroom build"},
		{"failed later", newest("checkout", evidence.Fail), "check checkout", No, "it failed in r2: TestPay: got 500", rehearse},
		{"could not decide later", newest("checkout", evidence.Inconclusive), "check checkout", Unknown, "it could not decide in r2", rehearse},
		{"nonsense later", newest("checkout", "fine"), "check checkout", Unknown, `verdict "fine"`, rehearse},
		{"a pass with failures", func(q *Question) { statement(q, Migration).Result.Failed = 1 }, "check migration", Unknown, "1 failed", rehearse},
		{"a pass without an id", func(q *Question) { statement(q, Migration).ID = "" }, "check migration", Unknown, "makes no sense", rehearse},
		{"a pass without a run", func(q *Question) { statement(q, Migration).Run = "" }, "check migration", Unknown, "makes no sense", rehearse},
		{"one id, two contents", func(q *Question) {
			s := *statement(q, Migration)
			s.Result.Summary = "really"
			q.Statements = append(q.Statements, s)
		}, "check migration", Unknown, "contradicting itself", rehearse},
		{"another release's", func(q *Question) { statement(q, Rollback).Release = other }, "check rollback", No, "no evidence", rehearse},
		{"another app's", func(q *Question) { statement(q, Rollback).App = "blog" }, "check rollback", No, "no evidence", rehearse},
		{"under another policy", func(q *Question) { statement(q, Rollback).Policy = "sha256:old" }, "check rollback", No, "the policy changed since it passed in r1", rehearse},
		{"in an environment, not on a stage", func(q *Question) { statement(q, Rollback).Environment = "staging" }, "check rollback", No, "passed in staging, but not in a rehearsal", rehearse},
		{"at the build, not on a stage", func(q *Question) { statement(q, Rollback).Run = BuildRun }, "check rollback", No, "at the build, but not", rehearse},
		{"on a stage, not at the build", func(q *Question) { statement(q, "unit").Run = "r1" }, "check unit", No, "belongs to the build", "greenroom build"},
		{"did not run at the build", func(q *Question) { q.Statements = q.Statements[1:] }, "check unit", No, "did not run when", "greenroom build"},
		{"production's release changed", func(q *Question) { statement(q, "checkout").Baseline[release.PartRelease] = string(other) }, "check checkout", No,
			fmt.Sprintf("production's release changed since (was %s, is %s)", other.Short(), live.Short()), rehearse},
		{"production got a secret", func(q *Question) { delete(statement(q, Migration).Baseline, release.PartSecrets) }, "check migration", No,
			"production's secrets changed since (was nothing, is secrets-1)", rehearse},
		{"its evidence depends on more", func(q *Question) {
			s := statement(q, "checkout")
			s.DependsOn, s.Baseline[release.PartFlags] = []release.Part{release.PartFlags}, "flags-0"
		}, "check checkout", No, "production's flags changed", rehearse},
		{"depends on what nobody knows", func(q *Question) {
			q.Checks[1].DependsOn = []string{"weather"}
			statement(q, "checkout").Baseline[release.PartSizes] = "sizes-0"
		}, "check checkout", No, "production's sizes changed", rehearse},
		{"the exception has ended", func(q *Question) { q.Now = noon.AddDate(0, 1, 0) }, "check evening", No, "(the exception ended on 2026-06-04)", rehearse},
	}
}

// repolicy rewrites the evidence for a changed policy, so that only the change itself is in question.
func repolicy(q *Question) {
	for i := range q.Statements {
		if q.Statements[i].Run != BuildRun {
			q.Statements[i].Policy = q.Policy.Digest()
		}
	}
	q.Checks = slices.DeleteFunc(q.Checks, func(c app.Check) bool { return c.Name == "evening" && q.Policy.Gates == nil })
}

func TestNo(t *testing.T) {
	for _, c := range nos() {
		t.Run(c.name, func(t *testing.T) {
			q := good()
			c.harm(&q)
			d := Decide(q)
			if d.Allowed {
				t.Fatal("allowed")
			}
			missing := d.Missing()
			if len(missing) != 1 {
				t.Fatalf("want only %q missing: %+v", c.demand, missing)
			}
			m := missing[0]
			if m.Name != c.demand || m.Answer != c.answer || !strings.Contains(m.Reason, c.reason) || !strings.Contains(m.Next, c.next) {
				t.Errorf("got  %+v\nwant %s: %s, %q, %q", m, c.demand, c.answer, c.reason, c.next)
			}
		})
	}
}

func TestYesAllTheSame(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(q *Question)
	}{
		{"a reason overrides what is known to be bad", func(q *Question) {
			q.KnownBad, q.Override = &KnownBad{Reason: "5 % errors", At: noon}, "the database was down"
		}},
		{"passed again after a failure", func(q *Question) {
			failed := passed("checkout", "r0")
			failed.Result.Verdict = evidence.Fail
			q.Statements = slices.Insert(q.Statements, 0, failed)
		}},
		{"another release failed", func(q *Question) {
			failed := passed("checkout", "r2")
			failed.Release, failed.Result.Verdict = other, evidence.Fail
			q.Statements = append(q.Statements, failed)
		}},
		{"what the check does not depend on changed", func(q *Question) {
			statement(q, "checkout").Baseline[release.PartSizes] = "sizes-0"
		}},
		{"production changed and changed back: the older evidence counts", func(q *Question) {
			later := passed(Migration, "r2")
			later.Baseline[release.PartSchema] = "schema-2"
			q.Statements = append(q.Statements, later)
		}},
		{"the first release of an empty production", func(q *Question) {
			q.First, q.Baseline = true, nil
			for i := range q.Statements {
				q.Statements[i].Baseline = nil
			}
		}},
		{"dev takes anything", func(q *Question) {
			q.Environment, q.Statements, q.After, q.Baseline, q.Schema = "dev", nil, nil, nil, SchemaNone
		}},
		{"staging asks only for dev", func(q *Question) { q.Environment, q.Statements, q.Baseline = "staging", nil, nil }},
		{"an exception without an end", func(q *Question) {
			q.Policy.Gates["production"].Except["evening"] = app.Except{Because: "never mind"}
			repolicy(q)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := good()
			c.change(&q)
			if d := Decide(q); !d.Allowed {
				t.Fatalf("%+v", d.Missing())
			}
		})
	}
}

// Whatever is wrong together with whatever else, the answer stays no.
func TestNoFaultMendsAnother(t *testing.T) {
	all := nos()
	rapid.Check(t, func(t *rapid.T) {
		q := good()
		harmed := map[string]bool{}
		for _, c := range rapid.SliceOfN(rapid.SampledFrom(all), 1, 4).Draw(t, "faults") {
			part := c.demand
			if strings.HasPrefix(part, "live") {
				part = "live"
			}
			if harmed[part] {
				continue // two faults of one part may be the same thing done and undone
			}
			harmed[part] = true
			c.harm(&q)
			if d := Decide(q); d.Allowed {
				t.Fatalf("%s: allowed", c.name)
			}
		}
	})
}

// drawStatements makes up a past: passes that count, passes that don't, failures, nonsense.
func drawStatements(t *rapid.T) []evidence.Statement {
	var all []evidence.Statement
	for i := range rapid.IntRange(0, 12).Draw(t, "statements") {
		check := rapid.SampledFrom([]string{"unit", "checkout", Migration, OldOnNew, Rollback}).Draw(t, "check")
		run := fmt.Sprintf("r%d", i)
		if check == "unit" {
			run = BuildRun
		}
		s := passed(check, run)
		s.ID = fmt.Sprint(i)
		s.Result.Verdict = rapid.SampledFrom([]evidence.Verdict{evidence.Pass, evidence.Pass, evidence.Pass, evidence.Fail, evidence.Inconclusive, "odd"}).Draw(t, "verdict")
		if rapid.IntRange(0, 4).Draw(t, "void") == 0 {
			s.Policy = "sha256:old"
			s.Baseline = release.Baseline{}
		}
		all = append(all, s)
	}
	return slices.Concat(all, good().Statements[:rapid.IntRange(0, 5).Draw(t, "good ones")])
}

func TestTakingEvidenceAwayNeverMakesANoAYes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := good()
		q.Statements = drawStatements(t)
		before := Decide(q).Allowed
		if len(q.Statements) == 0 {
			if before {
				t.Fatal("allowed without any evidence")
			}
			return
		}
		i := rapid.IntRange(0, len(q.Statements)-1).Draw(t, "which")
		s := q.Statements[i]
		switch rapid.SampledFrom([]string{"remove", "damage", "repeat", "fail"}).Draw(t, "how") {
		case "remove":
			if s.Result.Verdict != evidence.Pass {
				return // that a failure can't be taken away is the log's business: it only grows
			}
			q.Statements = slices.Delete(slices.Clone(q.Statements), i, i+1)
		case "damage":
			q.Statements = slices.Clone(q.Statements)
			q.Statements[i] = damage(t, s)
			if s.Result.Verdict != evidence.Pass && (q.Statements[i].Release != s.Release || q.Statements[i].App != s.App) {
				return // the same as taking it away
			}
		case "repeat":
			q.Statements = append(slices.Clone(q.Statements), s)
		case "fail":
			s.ID, s.Result.Verdict = "new", evidence.Fail
			q.Statements = append(slices.Clone(q.Statements), s)
			before = false
		}
		if !before && Decide(q).Allowed {
			t.Fatal("a no became a yes")
		}
	})
}

func damage(t *rapid.T, s evidence.Statement) evidence.Statement {
	switch rapid.IntRange(0, 6).Draw(t, "damage") {
	case 0:
		s.ID = ""
	case 1:
		s.Release = other
	case 2:
		s.App = ""
	case 3:
		s.Result.Verdict = "?"
	case 4:
		s.Run = ""
	case 5:
		s.Policy += "x"
	case 6:
		s.At = time.Time{}
	}
	return s
}
