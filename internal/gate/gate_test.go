package gate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

func TestYes(t *testing.T) {
	d := Decide(good().ask())
	if !d.Allowed || len(d.Missing()) != 0 {
		t.Fatalf("%+v", d)
	}
	for _, m := range d.Demands {
		if m.Reason == "" || m.Next != "" {
			t.Errorf("%+v", m)
		}
		if check, is := strings.CutPrefix(m.Name, "check "); (m.Proof != nil) != (is && check != "evening") {
			t.Errorf("%s has the proof %+v", m.Name, m.Proof)
		}
	}
}

// no is one way in which the answer is no: the only demand that is not met, and what is said about it.
type no struct {
	name   string
	harm   func(w *world)
	demand string // or every, for all checks that evidence is asked for
	answer Answer
	reason string
	next   string
}

const every = "every check"

func nos() []no {
	return slices.Concat(nosOfTheQuestion(), nosOfTheEvidence(), nosOfTheKeys(), nosOfTheLog())
}

func nosOfTheQuestion() []no {
	short, after := wanted.Short(), "greenroom promote "+wanted.Short()+" staging"
	return []no{
		{"another app's policy", func(w *world) { w.Policy.App = "blog" }, demandSense, Unknown, `that of "blog"`, ""},
		{"an environment that nobody knows", func(w *world) { w.Environment = "moon" }, demandSense, Unknown, `no environment "moon"`, "greenroom up"},
		{"no release", func(w *world) { w.Release = "" }, demandSense, Unknown, `"" is not the digest`, ""},
		{"no time", func(w *world) { w.Now = time.Time{} }, demandSense, Unknown, "what time it is", ""},
		{"half-migrated", func(w *world) { w.Schema = SchemaHalfMigrated }, demandSchema, No, "neither release runs", "restore the backup; then: greenroom explain"},
		{"schema unknown", func(w *world) { w.Schema = SchemaUnknown }, demandSchema, Unknown, "could not be read", "greenroom explain"},
		{"schema never looked at", func(w *world) { w.Schema = "" }, demandSchema, Unknown, "could not be read", "greenroom explain"},
		{"known to be bad", func(w *world) { w.KnownBad = &KnownBad{Reason: "5 % errors", At: noon} }, "not known to be bad", No,
			"rolled back on 2026-05-04: 5 % errors", "greenroom promote " + short + " production --because REASON"},
		{"a blank is no reason", func(w *world) { w.KnownBad, w.Override = &KnownBad{Reason: "5 % errors", At: noon}, " \n" }, "not known to be bad", No, "5 % errors", "--because"},
		{"not healthy before", func(w *world) { w.After.Healthy = false; noGates(w) }, "live in staging", No, "not healthy", "greenroom logs --environment staging"},
		{"nothing before", func(w *world) { w.After = nil; noGates(w) }, "live in staging", No, "nothing is live in staging", after},
		{"another before", func(w *world) { w.After.Release = other; noGates(w) }, "live in staging", No, other.Short() + " is live in staging", after},
		{"not long enough", func(w *world) { w.After.Since = noon.Add(-29 * time.Minute) }, "live in staging for 30 min", No,
			"live there for 29 min", "greenroom explain " + short + " production, after 2026-05-04 12:01:00 UTC"},
		{"the clock was set back", func(w *world) { w.After.Since = noon.Add(time.Hour) }, "live in staging for 30 min", No, "live there for 0 ms", "greenroom explain"},
		{"since nobody knows when", func(w *world) { w.After.Since = time.Time{} }, "live in staging for 30 min", No, "not live and healthy", after},
		{"a soak after nothing", func(w *world) { w.Policy.Environments[2].After = "" }, "live for 30 min", No, "comes after no environment", "greenroom up"},
		{"a check that production's release has is gone", func(w *world) { w.Live = []app.Check{{Name: "pay"}} }, "check pay kept", No,
			"does not bring it", "bring it back, then: greenroom build; or gates.production.except.pay"},
		{"a check that runs at the build alone", func(w *world) { w.Live = []app.Check{{Name: "unit"}} }, "check unit kept", No,
			"only at the build", "greenroom apply"},
		{"no built-in checks", func(w *world) { w.Builtin = nil }, "a rehearsal", Unknown, "no built-in check", ""},
		{"production unread", func(w *world) { w.Baseline = nil }, "a baseline", Unknown, "could not be read", "greenroom status"},
		{"first, but not empty", func(w *world) { w.First = true }, "a baseline", Unknown, "could not be read", "greenroom status"},
		{"one name for two checks", func(w *world) { w.Checks = append(w.Checks, app.Check{Name: "checkout"}) }, "check checkout", Unknown, "two checks", "greenroom build"},
		{"a check in a built-in's name", func(w *world) { w.Checks = append(w.Checks, app.Check{Name: Rollback}) }, "check rollback", Unknown, "two checks", "greenroom build"},
		{"the exception has ended", func(w *world) { w.Now = noon.AddDate(0, 1, 0) }, "check evening", No, "(the exception ended on 2026-06-04)", "greenroom rehearse"},
	}
}

func nosOfTheEvidence() []no {
	rehearse := "greenroom rehearse " + wanted.Short()
	newest := func(check string, v evidence.Verdict) func(w *world) {
		return func(w *world) {
			f := passed(check, "r2")
			f.Result.Verdict, f.Result.Summary = v, "TestPay: got 500"
			w.add(f)
		}
	}
	forged := func(check, old, now string) func(w *world) {
		return func(w *world) {
			f := passed(check, "r2")
			f.forge = rewritten(old, now)
			w.add(f)
		}
	}
	return []no{
		{"failed later", newest("checkout", evidence.Fail), "check checkout", No, "it failed in r2: TestPay: got 500", "repair it, then: greenroom build"},
		{"could not decide later", newest("checkout", evidence.Inconclusive), "check checkout", Unknown, "it could not decide in r2", rehearse},
		{"failed later in production", func(w *world) {
			newest("checkout", evidence.Fail)(w)
			f := &w.found[len(w.found)-1]
			f.Environment, f.by = "production", own
		}, "check checkout", No, "it failed in r2", "greenroom build"},
		{"failed, and the pass before it shown again", func(w *world) {
			newest("checkout", evidence.Fail)(w)
			w.add(passed("checkout", "r1"))
		}, "check checkout", No, "it failed in r2", "greenroom build"},
		{"failed, the pass before it gone and shown again", func(w *world) {
			newest("checkout", evidence.Fail)(w)
			w.add(passed("checkout", "r1"), passed("unit", "build"), passed(Migration, "r3"), passed(OldOnNew, "r3"), passed(Rollback, "r3"))
			w.found[7].ID = "built again"
			w.later(func(q *Question) { q.Evidence[1].Envelope = nil })
		}, "check checkout", No, "it failed in r2", "greenroom build"},
		{"a verdict that is none", forged(Migration, `"verdict":"pass"`, `"verdict":"fine"`), every, Unknown, `"fine" is not a verdict`, rehearse},
		{"a pass with failures", forged(Migration, `"failed":0`, `"failed":1`), every, Unknown, "a pass with 1 failed", rehearse},
		{"a pass without an id", forged(Migration, `"id":"r2/migration"`, `"id":""`), every, Unknown, "without an id", rehearse},
		{"a pass without a run", forged(Migration, `"run":"r2"`, `"run":""`), every, Unknown, "where it comes from", rehearse},
		{"a pass without a time", forged(Migration, `"at":"2026-05-04T11:00:00Z"`, `"at":"0001-01-01T00:00:00Z"`), every, Unknown, "without a time", rehearse},
		{"what a newer Greenroom signed", forged(Migration, "predicate/migration/v1", "predicate/migration/v2"), every, Unknown, "knows no predicate", rehearse},
		{"not an envelope", func(w *world) {
			f := passed(Migration, "r2")
			f.forge = func([]byte, person) []byte { return []byte("passed") }
			w.add(f)
		}, every, Unknown, "may have been a failure", rehearse},
		{"another release's", func(w *world) { w.of(Rollback).Release = other }, "check rollback", No, "no evidence", rehearse},
		{"another app's", func(w *world) { w.of(Rollback).App = "blog" }, "check rollback", No, "no evidence", rehearse},
		{"under another policy", func(w *world) { w.of(Rollback).Policy = string(other) }, "check rollback", No, "the policy changed since it passed in r1", rehearse},
		{"under no policy", func(w *world) { w.of(Rollback).Policy = "" }, "check rollback", No, "the policy changed since it passed in r1", rehearse},
		{"in an environment, not on a stage", func(w *world) { w.of(Rollback).Environment, w.of(Rollback).by = "staging", own }, "check rollback", No, "passed in staging, but not in a rehearsal", rehearse},
		{"in a place that nobody knows", func(w *world) { w.of(Rollback).Environment, w.of(Rollback).by = "moon", own }, "check rollback", No, "passed in moon, but not in a rehearsal", rehearse},
		{"at the build, not on a stage", func(w *world) {
			f := w.of(Rollback)
			f.Run, f.Environment, f.by = evidence.Build, evidence.Build, own
		}, "check rollback", No, "at the build, but not", rehearse},
		{"on a stage, not at the build", func(w *world) {
			w.of("unit").Run, w.of("unit").Environment, w.of("unit").by = "r1", evidence.Stage, own
		}, "check unit", No, "belongs to the build", "greenroom build"},
		{"did not run at the build", func(w *world) { w.of("unit").Result.Check = "lint"; w.key(builder).Checks = []string{"lint"} }, "check unit", No, "did not run when", "greenroom build"},
		{"production's release changed", func(w *world) { w.of("checkout").Baseline[release.PartRelease] = string(other) }, "check checkout", No,
			fmt.Sprintf("production's release changed since (was %s, is %s)", other.Short(), live.Short()), rehearse},
		{"production got a secret", func(w *world) { delete(w.of(Migration).Baseline, release.PartSecrets) }, "check migration", No,
			"production's secrets changed since (was nothing, is secrets-1)", rehearse},
		{"its evidence depends on more", func(w *world) {
			s := w.of("checkout")
			s.DependsOn, s.Baseline[release.PartFlags] = []release.Part{release.PartFlags}, "flags-0"
		}, "check checkout", No, "production's flags changed", rehearse},
		{"its evidence depends on what nobody knows", func(w *world) { w.of("checkout").DependsOn = []release.Part{"weather"} },
			"check checkout", No, "production's weather changed", rehearse},
		{"depends on what nobody knows", func(w *world) {
			w.Checks[1].DependsOn = []string{"weather"}
			w.of("checkout").Baseline[release.PartSizes] = "sizes-0"
		}, "check checkout", No, "production's sizes changed", rehearse},
	}
}

func nosOfTheKeys() []no {
	rehearse := "greenroom rehearse " + wanted.Short()
	// by has a pass signed by somebody whose key is as it is made here.
	by := func(p person, change func(k *evidence.Key)) func(w *world) {
		return func(w *world) {
			k := keyOf(p, "ci", []string{evidence.Any}, []string{evidence.Stage})
			change(&k)
			w.Keys = append(w.Keys, k)
			w.of(Rollback).by = p
		}
	}
	ci := newPerson(9)
	return []no{
		{"a key that nobody knows", func(w *world) { w.of(Rollback).by = stranger }, "check rollback", No, "it passed in r1, but nobody here knows the key", rehearse},
		{"a revoked key", by(ci, func(k *evidence.Key) { k.Revoked = &evidence.Revocation{At: noon, Because: "stolen"} }), "check rollback", No,
			"was revoked on 2026-05-04: stolen", rehearse},
		{"a key that was retired before", by(ci, func(k *evidence.Key) { k.Retired = 50 }), "check rollback", No, "was retired before it was recorded", rehearse},
		{"a key for another check", by(ci, func(k *evidence.Key) { k.Checks = []string{"checkout"} }), "check rollback", No, "not trusted with the check rollback", rehearse},
		{"a key for another place", by(ci, func(k *evidence.Key) { k.Environments = []string{evidence.Build} }), "check rollback", No, "not trusted with what happens in rehearsal", rehearse},
		{"a key for nothing", by(ci, func(k *evidence.Key) { k.Checks, k.Environments = nil, nil }), "check rollback", No, "not trusted", rehearse},
		{"two keys of one name", func(w *world) {
			by(ci, func(*evidence.Key) {})(w)
			w.Keys = append(w.Keys, *w.key(ci))
		}, "check rollback", No, "two keys are called", rehearse},
		{"another key under that name", by(ci, func(k *evidence.Key) { k.Public = stranger.signer().Public() }), "check rollback", No, "is another one", rehearse},
		{"another's signature", func(w *world) {
			w.of(Rollback).forge = func(b []byte, _ person) []byte {
				ours, theirs := string(b), string(enveloped(evidence.PayloadType, payloadOf(b), stranger))
				return []byte(ours[:strings.Index(ours, `"sig"`)] + theirs[strings.Index(theirs, `"sig"`):])
			}
		}, "check rollback", No, "the signature is not one of the key staging", rehearse},
		{"a stranger says that it failed", func(w *world) {
			f := passed(Rollback, "r2")
			f.Result.Verdict, f.by = evidence.Fail, stranger
			w.add(f)
		}, "check rollback", Unknown, "it may have failed in r2, but nobody here knows the key", rehearse},
		{"it failed, and the key that told of it was revoked", func(w *world) {
			by(ci, func(k *evidence.Key) { k.Revoked = &evidence.Revocation{At: noon, Because: "stolen"} })(w)
			w.of(Rollback).by = staging
			f := passed(Rollback, "r2")
			f.Result.Verdict, f.by = evidence.Fail, ci
			w.add(f)
		}, "check rollback", Unknown, "it may have failed in r2, but the key ci", rehearse},
	}
}

func nosOfTheLog() []no {
	rehearse, audit := "greenroom rehearse "+wanted.Short(), "greenroom audit verify"
	later := func(f func(q *Question)) func(w *world) { return func(w *world) { w.later(f) } }
	return []no{
		{"evidence that is gone", later(func(q *Question) { q.Evidence[4].Envelope = nil }), every, Unknown, "the evidence of entry 50 of the log is gone, and may have been a failure", rehearse},
		{"evidence that is damaged", later(func(q *Question) { q.Evidence[4].Envelope = q.Evidence[3].Envelope }), every, Unknown, "entry 50 of the log is not what it was", rehearse},
		{"a log with a fault", func(w *world) { w.LogFault = "entry 7 of the log is missing" }, demandLog, Unknown, "entry 7 of the log is missing", audit},
		{"an entry that was changed", later(func(q *Question) { q.Evidence[1].Entry.Run = "r9" }), demandLog, Unknown, "entry 20 of the log is not what it was", audit},
		{"an entry for another envelope", later(func(q *Question) { q.Evidence[1].Entry = q.Evidence[0].Entry }), demandLog, Unknown, "entry 10 of the log is about another envelope", audit},
		{"an entry that somebody else signed", later(func(q *Question) {
			e := q.Evidence[1].Entry
			q.Evidence[1].Entry = evidence.Link(e, evidence.Head{Seq: 19, Hash: e.Previous}, staging.signer())
		}), demandLog, Unknown, "the key staging (" + string(staging.signer().ID()) + ") may not sign the log", audit},
		{"an entry of a key that was retired", func(w *world) { w.key(own).Retired = 15 }, demandLog, Unknown, "was retired by entry 15", audit},
		{"an entry of a key that was revoked in use", func(w *world) {
			w.key(own).Revoked = &evidence.Revocation{At: noon, Because: "stolen"}
		}, demandLog, Unknown, "was revoked on 2026-05-04: stolen", audit},
		{"another order", later(func(q *Question) { q.Evidence[1], q.Evidence[2] = q.Evidence[2], q.Evidence[1] }), demandLog, Unknown, "entry 20 of the log comes after entry 30", audit},
		{"an entry twice", later(func(q *Question) { q.Evidence = append(q.Evidence, q.Evidence[4]) }), demandLog, Unknown, "entry 50 of the log comes after entry 50", audit},
	}
}

// noGates takes the soak away, and with it the exception.
func noGates(w *world) {
	w.Policy.Gates = nil
	w.Checks = slices.DeleteFunc(w.Checks, func(c app.Check) bool { return c.Name == "evening" })
}

func TestNo(t *testing.T) {
	for _, c := range nos() {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			c.harm(w)
			d := Decide(w.ask())
			if d.Allowed {
				t.Fatal("allowed")
			}
			missing := d.Missing()
			if c.demand == demandLog && len(missing) == 2 && missing[1].Name == "a rehearsal" && missing[1].Next == c.next {
				missing = missing[:1] // evidence that has no place in the log proves nothing
			}
			if c.demand == every {
				if len(missing) != 5 {
					t.Fatalf("want every check missing: %+v", missing)
				}
				for _, m := range missing {
					if m.Answer != c.answer || !strings.Contains(m.Reason, c.reason) || m.Name == "check checkout" && m.Next != c.next {
						t.Errorf("got %+v, want %s, %q, %q", m, c.answer, c.reason, c.next)
					}
				}
				return
			}
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
	failed := func(check, run string, by person) found {
		f := passed(check, run)
		f.Result.Verdict, f.by = evidence.Fail, by
		return f
	}
	for _, c := range []struct {
		name   string
		change func(w *world)
	}{
		{"a reason overrides what is known to be bad", func(w *world) {
			w.KnownBad, w.Override = &KnownBad{Reason: "5 % errors", At: noon}, "the database was down"
		}},
		{"passed again after a failure", func(w *world) { w.found = slices.Insert(w.found, 0, failed("checkout", "r0", staging)) }},
		{"passed again after a stranger's failure", func(w *world) { w.add(failed("checkout", "r2", stranger), passed("checkout", "r3")) }},
		{"a stranger's pass is nothing", func(w *world) {
			f := passed("checkout", "r2")
			f.by = stranger
			w.add(f)
		}},
		{"another release failed", func(w *world) {
			f := failed("checkout", "r2", staging)
			f.Release = other
			w.add(f)
		}},
		{"all of it recorded twice", func(w *world) { w.found = append(w.found, w.found...) }},
		{"rehearsed again after something was gone", func(w *world) {
			again := passed("unit", BuildRun)
			again.ID = "built again"
			w.add(again, passed("checkout", "r2"), passed(Migration, "r2"), passed(OldOnNew, "r2"), passed(Rollback, "r2"))
			w.later(func(q *Question) { q.Evidence[2].Envelope = nil })
		}},
		{"a key that was retired later", func(w *world) { w.key(staging).Retired = 51 }},
		{"this Greenroom's key, retired later and then revoked", func(w *world) {
			k := w.key(own)
			k.Retired, k.Revoked = 51, &evidence.Revocation{At: noon, Because: "stolen"}
		}},
		{"something that is no check was recorded", func(w *world) {
			w.later(func(q *Question) { q.Evidence = append(q.Evidence, record(provenance(), 60)) })
		}},
		{"the signer's clock was wrong", func(w *world) {
			for i := range w.found {
				w.found[i].At = noon.AddDate(i-2, 0, 0)
			}
		}},
		{"what the check does not depend on changed", func(w *world) { w.of("checkout").Baseline[release.PartSizes] = "sizes-0" }},
		{"production changed and changed back: the older evidence counts", func(w *world) {
			f := passed(Migration, "r2")
			f.Baseline[release.PartSchema] = "schema-2"
			w.add(f)
		}},
		{"what a rehearsal does not depend on changed in the policy", func(w *world) {
			before := w.Policy.Conditions()
			w.Policy.Roles = map[app.Right][]string{app.RightPromote: {"anna"}}
			w.Policy.Gates["production"] = app.Gate{Except: w.Policy.Gates["production"].Except}
			for i := range w.found {
				if w.found[i].Policy == underPolicy {
					w.found[i].Policy = before
				}
			}
		}},
		{"the old release fails, and production accepts downtime", func(w *world) {
			w.Policy.Environments[2].Rollout.Downtime = true
			w.of(OldOnNew).Result.Verdict = evidence.Fail
		}},
		{"the first release of an empty production", func(w *world) {
			w.First, w.Baseline = true, nil
			for i := range w.found {
				w.found[i].Baseline = nil
			}
		}},
		{"dev takes anything", func(w *world) {
			w.Environment, w.found, w.After, w.Baseline, w.Schema = "dev", nil, nil, nil, SchemaNone
		}},
		{"staging asks only for dev", func(w *world) { w.Environment, w.found, w.Baseline = "staging", nil, nil }},
		{"an exception without an end", func(w *world) {
			w.Policy.Gates["production"].Except["evening"] = app.Except{Because: "never mind"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			c.change(w)
			if d := Decide(w.ask()); !d.Allowed {
				t.Fatalf("%+v", d.Missing())
			}
		})
	}
}

func provenance() []byte {
	b, err := evidence.SealProvenance(evidence.Provenance{App: "shop", Release: wanted, Builder: "anna", Started: noon, Ended: noon}, builder.signer())
	if err != nil {
		panic(err)
	}
	return b
}

// A proof tells whose word it is, how old, what it depends on, and whether that still holds.
func TestProof(t *testing.T) {
	w := good()
	w.of("checkout").Baseline[release.PartSchema] = "schema-0"
	q := w.ask()
	d := Decide(q)
	i := slices.IndexFunc(d.Demands, func(m Demand) bool { return m.Name == "check checkout" })
	p := d.Demands[i].Proof
	if p == nil || p.Statement != "r1/checkout" || p.Signer != "staging" || p.Key != staging.signer().ID() ||
		p.Envelope != q.Evidence[1].Digest || !p.At.Equal(noon.Add(-time.Hour)) {
		t.Fatalf("%+v", p)
	}
	conditions := w.Policy.Conditions()
	want := []Dependence{
		{On: "policy", Was: conditions, Is: conditions, Holds: true},
		{On: "release", Was: string(live), Is: string(live), Holds: true},
		{On: "schema", Was: "schema-0", Is: "schema-1"},
	}
	if !slices.Equal(p.DependsOn, want) {
		t.Errorf("got %+v", p.DependsOn)
	}
}

func TestBelieved(t *testing.T) {
	w := good()
	f := passed("checkout", "r2")
	f.by = stranger
	w.add(f, passed(Migration, "r1"), passed(Migration, "r2"))
	q := w.ask()
	q.Evidence[4].Envelope = nil
	q.Evidence[3].Entry.Because = "changed"
	q.Evidence = append(q.Evidence, record(provenance(), 90))
	var ids []string
	for _, s := range Believed(q.Evidence, q.Keys) {
		ids = append(ids, s.ID)
	}
	if want := []string{"build/unit", "r1/checkout", "r1/migration", "r2/migration"}; !slices.Equal(ids, want) {
		t.Errorf("got %q, want %q", ids, want)
	}
}

func TestKnownBadInOneLine(t *testing.T) {
	q := Question{Release: wanted, Environment: "production", KnownBad: &KnownBad{Reason: "exit code 1\nit printed last:\n  no space", At: noon}}
	if d := q.notKnownBad(); d.Answer != No || d.Reason != "it was rolled back on 2026-05-04: exit code 1" {
		t.Errorf("%s: %q", d.Answer, d.Reason)
	}
}
