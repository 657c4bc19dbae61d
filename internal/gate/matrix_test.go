package gate

import (
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// The attack matrix (FAULTS.md: I6, I7, and "Evidence, gates, people"). Production asks for the check checkout. Somebody
// shows a pass of it; each column is one thing that has to be right about it, and below are the ways in which it is not.
// One row is let in: the one in which all is good.
func matrix() []column {
	f := func(w *world) *found { return &w.found[1] }
	k := func(w *world) *evidence.Key { return w.key(staging) }
	forge := func(how func(b []byte, by person) []byte) func(w *world) {
		return func(w *world) {
			before := f(w).forge
			f(w).forge = func(b []byte, by person) []byte {
				if before != nil {
					b = before(b, by)
				}
				return how(b, by)
			}
		}
	}
	recorded := func(how func(r *evidence.Recorded)) func(w *world) {
		return func(w *world) {
			w.later(func(q *Question) { how(&q.Evidence[1]) })
		}
	}
	newer := func(change func(f *found)) func(w *world) {
		return func(w *world) {
			n := *f(w)
			n.ID, n.forge = "r2/checkout", nil
			change(&n)
			w.add(n)
		}
	}
	return []column{
		{"signature", []bad{
			{"missing", forge(func(b []byte, _ person) []byte { return enveloped(evidence.PayloadType, payloadOf(b)) })},
			{"of two keys", forge(func(b []byte, by person) []byte { return enveloped(evidence.PayloadType, payloadOf(b), by, own) })},
			{"of one key, twice", forge(func(b []byte, by person) []byte { return enveloped(evidence.PayloadType, payloadOf(b), by, by) })},
			{"of a stranger, in the name of the key", forge(func(b []byte, by person) []byte {
				s := string(enveloped(evidence.PayloadType, payloadOf(b), stranger))
				return []byte(strings.Replace(s, string(stranger.signer().ID()), string(by.signer().ID()), 1))
			})},
			{"over another payload", forge(func(b []byte, by person) []byte {
				s := string(b)
				changed := string(enveloped(evidence.PayloadType, strings.Replace(payloadOf(b), "3 tests", "9 tests", 1), by))
				return []byte(changed[:strings.Index(changed, `"sig"`)] + s[strings.Index(s, `"sig"`):])
			})},
			{"over the payload as another type", forge(func(b []byte, by person) []byte {
				s := string(enveloped("application/json", payloadOf(b), by))
				return []byte(strings.Replace(s, "application/json", evidence.PayloadType, 1))
			})},
		}},
		{"key", []bad{
			{"that nobody knows", func(w *world) { k(w).Checks, f(w).by = nil, stranger }},
			{"that was revoked", func(w *world) { k(w).Revoked = &evidence.Revocation{At: noon, Because: "stolen"} }},
			{"that was retired before", func(w *world) { k(w).Retired = 5 }},
			{"of two that have its name", func(w *world) { w.Keys = append(w.Keys, *k(w)) }},
			{"that is another under its name", func(w *world) { k(w).Public = stranger.signer().Public() }},
			{"for another check", func(w *world) { k(w).Checks = []string{"unit"} }},
			{"for another place", func(w *world) { k(w).Environments = []string{evidence.Build} }},
			{"for nothing", func(w *world) { k(w).Checks, k(w).Environments = nil, nil }},
		}},
		{"type", []bad{
			{"that of another check", func(w *world) { f(w).Result.Check += "-2" }},
			{"that of no check", forge(func(b []byte, by person) []byte {
				return enveloped(evidence.PayloadType, payloadOf(provenance()), by)
			})},
			{"that nobody knows", forge(func(b []byte, by person) []byte {
				return enveloped(evidence.PayloadType, strings.Replace(payloadOf(b), "test-result/v0.1", "test-result/v9", 1), by)
			})},
			{"of a payload that is no statement", forge(func(b []byte, by person) []byte { return enveloped("text/plain", payloadOf(b), by) })},
			{"a fail", func(w *world) { f(w).Result.Verdict = evidence.Fail }},
			{"could not decide", func(w *world) { f(w).Result.Verdict = evidence.Inconclusive }},
			{"in in-toto's words a pass, in ours a fail", forge(func(b []byte, by person) []byte {
				return enveloped(evidence.PayloadType, strings.Replace(payloadOf(b), `"verdict":"pass"`, `"verdict":"fail"`, 1), by)
			})},
		}},
		{"subject", []bad{
			{"another release", func(w *world) { f(w).Release = other }},
			{"another release, and the statement's is this one", forge(func(b []byte, by person) []byte {
				hex := func(d release.Digest) string { return strings.TrimPrefix(string(d), "sha256:") }
				return enveloped(evidence.PayloadType, strings.Replace(payloadOf(b), hex(wanted), hex(other), 1), by)
			})},
			{"this one, recorded for another", recorded(func(r *evidence.Recorded) {
				e := r.Entry
				e.Subject = string(other)
				r.Entry = evidence.Link(e, evidence.Head{Seq: e.Seq - 1, Hash: e.Previous}, own.signer())
			})},
			{"two releases", forge(func(b []byte, by person) []byte {
				return enveloped(evidence.PayloadType, strings.Replace(payloadOf(b), `"subject":[`, `"subject":[{"name":"x","digest":{"sha256":"00"}},`, 1), by)
			})},
		}},
		{"app", []bad{
			{"another", func(w *world) { f(w).App = "blog" }},
			{"another in the subject", forge(func(b []byte, by person) []byte {
				return enveloped(evidence.PayloadType, strings.Replace(payloadOf(b), `"name":"shop"`, `"name":"blog"`, 1), by)
			})},
			{"this one, recorded for another", recorded(func(r *evidence.Recorded) {
				e := r.Entry
				e.App = "blog"
				r.Entry = evidence.Link(e, evidence.Head{Seq: e.Seq - 1, Hash: e.Previous}, own.signer())
			})},
			{"whose policy is another's", func(w *world) { w.Policy.App = "blog" }},
		}},
		{"environment", []bad{
			{"staging, by who may speak for it", func(w *world) { f(w).Environment, k(w).Environments = "staging", []string{evidence.Any} }},
			{"production, by who may speak for it", func(w *world) { f(w).Environment, k(w).Environments = "production", []string{evidence.Any} }},
			{"one that nobody knows", func(w *world) { f(w).Environment, k(w).Environments = "moon", []string{evidence.Any} }},
			{"the build, by who may speak for it", func(w *world) {
				f(w).Environment, f(w).Run, k(w).Environments = evidence.Build, evidence.Build, []string{evidence.Any}
			}},
		}},
		{"baseline", []bad{
			{"another release was live", func(w *world) { f(w).Baseline[release.PartRelease] = string(other) }},
			{"another schema", func(w *world) { f(w).Baseline[release.PartSchema] = "schema-0" }},
			{"none", func(w *world) { f(w).Baseline = nil }},
			{"production changed since", func(w *world) { w.Baseline[release.PartSchema] = "schema-2" }},
			{"of what else it says it depends on", func(w *world) {
				f(w).DependsOn, f(w).Baseline = []release.Part{release.PartFlags}, baseline()
				f(w).Baseline[release.PartFlags] = "flags-0"
			}},
		}},
		{"policy", []bad{
			{"another", func(w *world) { f(w).Policy = string(other) }},
			{"none", func(w *world) { f(w).Policy = "" }},
			{"the whole one's digest", func(w *world) { f(w).Policy = w.Policy.Digest() }},
			{"another stage since", func(w *world) {
				f(w).Policy = w.Policy.Conditions()
				w.Policy.Environments[1].Scale.Replicas = 7
			}},
		}},
		{"time", []bad{
			{"none in the statement", forge(func(b []byte, by person) []byte {
				return enveloped(evidence.PayloadType, strings.ReplaceAll(payloadOf(b), "2026-05-04T11:00:00Z", "0001-01-01T00:00:00Z"), by)
			})},
			{"nobody knows what it is now", func(w *world) { w.Now = time.Time{} }},
			{"too early: it has not soaked", func(w *world) { w.After.Since = noon.Add(-time.Minute) }},
			{"too late: an exception has ended", func(w *world) {
				w.Checks = append(w.Checks, app.Check{Name: "evening"})
				w.Now = noon.AddDate(1, 0, 0)
			}},
		}},
		{"sequence", []bad{
			{"failed later", newer(func(n *found) { n.Result.Verdict = evidence.Fail })},
			{"failed later, said by a stranger", newer(func(n *found) { n.Result.Verdict, n.by = evidence.Fail, stranger })},
			{"shown again after it failed", func(w *world) {
				newer(func(n *found) { n.Result.Verdict = evidence.Fail })(w)
				w.add(*f(w))
			}},
			{"something later is gone", func(w *world) {
				w.later(func(q *Question) { q.Evidence[2].Envelope = nil })
			}},
			{"itself gone", recorded(func(r *evidence.Recorded) { r.Envelope = nil })},
			{"itself damaged", recorded(func(r *evidence.Recorded) { r.Envelope = append([]byte(" "), r.Envelope...) })},
			{"moved to the end of the log", func(w *world) {
				w.later(func(q *Question) { q.Evidence = append(append(q.Evidence[:1:1], q.Evidence[2:]...), q.Evidence[1]) })
			}},
			{"renumbered", recorded(func(r *evidence.Recorded) { r.Entry.Seq = 60 })},
			{"recorded by a stranger", recorded(func(r *evidence.Recorded) {
				r.Entry = evidence.Link(r.Entry, evidence.Head{Seq: r.Entry.Seq - 1, Hash: r.Entry.Previous}, stranger.signer())
			})},
			{"not recorded", func(w *world) {
				w.later(func(q *Question) { q.Evidence = append(q.Evidence[:1:1], q.Evidence[2:]...) })
			}},
			{"the log is cut off", func(w *world) { w.LogFault = "it ends at entry 20, and went on to 50 before" }},
		}},
	}
}

type column struct {
	name string
	bads []bad
}

type bad struct {
	name string
	do   func(w *world)
}

// attacked is a production that asks for checkout and rollback. What is shown of checkout is the second of three.
func attacked() *world {
	w := good()
	w.Checks, w.Builtin = w.Checks[1:2], []app.Check{{Name: Rollback}}
	w.found = []found{passed(Rollback, "r1"), passed("checkout", "r1"), passed("lint", "r1")}
	return w
}

func TestTheAttackMatrix(t *testing.T) {
	columns := matrix()
	for _, c := range columns {
		for _, b := range c.bads {
			t.Run(c.name+"/"+b.name, func(t *testing.T) {
				w := attacked()
				b.do(w)
				if d := Decide(w.ask()); d.Allowed || len(d.Missing()) == 0 {
					t.Error("let in")
				}
			})
		}
	}
	// Every combination of good and bad columns, each time with another way of being bad: one fault never mends another.
	allowed := 0
	for row := range 1 << len(columns) {
		w := attacked()
		var names []string
		for i, c := range columns {
			if row&(1<<i) == 0 {
				continue
			}
			b := c.bads[(row*7+row>>i)%len(c.bads)]
			names = append(names, c.name+": "+b.name)
			b.do(w)
		}
		if Decide(w.ask()).Allowed {
			allowed++
			if row != 0 {
				t.Errorf("let in: %s", strings.Join(names, "; "))
			}
		}
	}
	if allowed != 1 {
		t.Errorf("%d rows are let in, not one", allowed)
	}
}
