package gate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// Whatever is wrong together with whatever else, the answer stays no.
func TestNoFaultMendsAnother(t *testing.T) {
	all := nos()
	rapid.Check(t, func(t *rapid.T) {
		w := good()
		harmed := map[string]bool{}
		for _, c := range rapid.SliceOfN(rapid.SampledFrom(all), 1, 4).Draw(t, "faults") {
			part := c.demand
			if strings.HasPrefix(part, "live") {
				part = "live"
			}
			if harmed[part] || harmed[every] || part == every && len(harmed) > 0 {
				continue // two faults of one part may be the same thing done and undone
			}
			harmed[part] = true
			c.harm(w)
			if d := Decide(w.ask()); d.Allowed {
				t.Fatalf("%s: allowed", c.name)
			}
		}
	})
}

// drawPast makes up what was recorded: passes that count, passes that don't, failures, the words of strangers.
func drawPast(t *rapid.T) *world {
	w := good()
	full := w.found
	w.found = nil
	for i := range rapid.IntRange(0, 8).Draw(t, "statements") {
		check := rapid.SampledFrom([]string{"unit", "checkout", Migration, OldOnNew, Rollback}).Draw(t, "check")
		run := fmt.Sprintf("r%d", i)
		if check == "unit" {
			run = BuildRun
		}
		f := passed(check, run)
		f.ID = fmt.Sprint(i)
		f.Result.Verdict = rapid.SampledFrom([]evidence.Verdict{evidence.Pass, evidence.Pass, evidence.Pass, evidence.Fail, evidence.Inconclusive}).Draw(t, "verdict")
		switch rapid.IntRange(0, 7).Draw(t, "void") {
		case 0:
			f.Policy, f.Baseline = string(other), release.Baseline{}
			if check == "unit" {
				f.Policy = ""
			}
		case 1:
			f.by = stranger
		case 2:
			f.Release = other
		case 3:
			f.by = own
		}
		w.add(f)
	}
	w.add(full[:rapid.IntRange(0, 5).Draw(t, "good ones")]...)
	w.Policy.Environments[2].Rollout.Downtime = rapid.Bool().Draw(t, "downtime")
	return w
}

// Nothing that is removed, damaged, repeated or moved, and no key that is lost, ever turns a no into a yes; nor does
// anything that is added by somebody who is not trusted.
func TestNothingMakesANoAYes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawPast(t)
		q := w.ask()
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			before := Decide(q).Allowed
			how := rapid.SampledFrom([]string{"remove", "lose", "damage", "repeat", "move", "swap", "add", "distrust", "revoke", "retire", "narrow", "log"}).Draw(t, "how")
			q.Evidence, q.Keys = slices.Clone(q.Evidence), slices.Clone(q.Keys)
			tamper(t, &q, how)
			if !before && Decide(q).Allowed {
				t.Fatalf("%s: a no became a yes", how)
			}
		}
	})
}

func tamper(t *rapid.T, q *Question, how string) {
	key := &q.Keys[rapid.IntRange(0, len(q.Keys)-1).Draw(t, "key")]
	switch how {
	case "add":
		f := passed(rapid.SampledFrom([]string{"unit", "checkout", Migration, OldOnNew, Rollback}).Draw(t, "check"), "r99")
		if f.Result.Check == "unit" {
			f = passed("unit", BuildRun)
		}
		f.Result.Verdict = rapid.SampledFrom([]evidence.Verdict{evidence.Pass, evidence.Fail}).Draw(t, "verdict")
		f.by = stranger
		q.Evidence = append(q.Evidence, record((&world{Question: *q}).seal(f), next(q)))
		return
	case "distrust":
		q.Keys = slices.DeleteFunc(q.Keys, func(k evidence.Key) bool { return k.ID == key.ID })
		if len(q.Keys) == 0 {
			q.Keys = evidence.Keys{keyOf(stranger, "eve", nil, nil)}
		}
		return
	case "revoke":
		key.Revoked = &evidence.Revocation{At: noon, Because: "stolen"}
		return
	case "retire":
		key.Retired = rapid.Int64Range(1, 100).Draw(t, "retired")
		return
	case "narrow":
		key.Checks, key.Environments = []string{"checkout"}, []string{evidence.Stage}
		return
	case "log":
		q.LogFault = "entry 7 of the log is missing"
		return
	}
	if len(q.Evidence) == 0 {
		return
	}
	i := rapid.IntRange(0, len(q.Evidence)-1).Draw(t, "which")
	r := &q.Evidence[i]
	switch how {
	case "remove": // that a failure's entry can't be taken away is the log's business: see the next test
		if w, err := r.Read(q.Keys); err == nil && w.Verdict == evidence.Pass {
			q.Evidence = slices.Delete(q.Evidence, i, i+1)
		}
	case "lose":
		r.Envelope = nil
	case "damage":
		if len(r.Envelope) > 0 {
			r.Envelope = slices.Clone(r.Envelope)
			r.Envelope[rapid.IntRange(0, len(r.Envelope)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		}
	case "repeat": // recorded once more, which who brings it here again may have done
		q.Evidence = append(q.Evidence, evidence.Recorded{Envelope: r.Envelope, Digest: r.Digest, Entry: entry(r.Digest, evidence.Head{Seq: next(q) - 1, Hash: make([]byte, 32)})})
	case "move":
		moved := *r
		q.Evidence = append(slices.Delete(q.Evidence, i, i+1), moved)
		if i == len(q.Evidence)-1 {
			return // it was the last one already
		}
	case "swap":
		j := rapid.IntRange(0, len(q.Evidence)-1).Draw(t, "with")
		r.Envelope, q.Evidence[j].Envelope = q.Evidence[j].Envelope, r.Envelope
	}
}

func next(q *Question) int64 {
	var seq int64
	for _, r := range q.Evidence {
		seq = max(seq, r.Entry.Seq)
	}
	return seq + 10
}

// What is kept, as the daemon asks about it: the whole log, the envelopes, and how far the log once went.
type kept struct {
	log       []evidence.Entry
	envelopes map[release.Digest][]byte
	head      evidence.Head
}

// keep records a past in one log, with other entries between.
func keep(w *world) kept {
	k := kept{envelopes: map[release.Digest][]byte{}}
	write := func(e evidence.Entry) {
		e = evidence.Link(e, k.head, own.signer())
		k.log, k.head = append(k.log, e), evidence.Head{Seq: e.Seq, Hash: e.Hash}
	}
	for _, f := range w.found {
		b := w.seal(f)
		d := release.Of(b)
		k.envelopes[d] = b
		write(evidence.Entry{At: noon, Actor: "anna", Action: "rehearsal ended", App: "shop", Run: f.Run})
		write(evidence.Entry{At: noon, Actor: "anna", Action: evidence.ActionEvidence, App: f.App, Subject: string(f.Release), Detail: `"` + string(d) + `"`})
	}
	return k
}

// ask is what a daemon does: it verifies the log up to the head that it knows, and finds the evidence by its entries.
func (k kept) ask(q Question) Question {
	v := evidence.NewVerifier(evidence.Head{}, q.Keys)
	q.LogFault, q.Evidence = "", nil
	if err := v.Next(k.log); err != nil {
		q.LogFault = err.Error()
	} else if v.Head().Seq < k.head.Seq {
		q.LogFault = fmt.Sprintf("it ends at entry %d, and went on to %d before", v.Head().Seq, k.head.Seq)
	}
	for _, e := range k.log {
		if d, err := e.Evidence(); err == nil && e.Subject == string(q.Release) && e.App == q.App {
			q.Evidence = append(q.Evidence, evidence.Recorded{Envelope: k.envelopes[d], Digest: d, Entry: e})
		}
	}
	return q
}

// Who can write to everything that is kept, and has no key, makes no yes: neither a failure nor its entry can be hidden.
func TestWhoHasNoKeyMakesNoYes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawPast(t)
		k := keep(w)
		before := Decide(k.ask(w.Question)).Allowed
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			if len(k.log) == 0 {
				return
			}
			i := rapid.IntRange(0, len(k.log)-1).Draw(t, "at")
			e := &k.log[i]
			switch rapid.SampledFrom([]string{"remove", "cut", "swap", "edit", "insert", "sign", "lose", "exchange"}).Draw(t, "how") {
			case "remove":
				k.log = slices.Delete(k.log, i, i+1)
			case "cut":
				k.log = k.log[:i]
			case "swap":
				j := rapid.IntRange(0, len(k.log)-1).Draw(t, "with")
				k.log[i], k.log[j] = k.log[j], k.log[i]
				k.log[i].Seq, k.log[j].Seq = k.log[j].Seq, k.log[i].Seq
			case "edit":
				e.Subject = string(rapid.SampledFrom([]release.Digest{wanted, other}).Draw(t, "subject"))
			case "insert":
				b := (&world{Question: w.Question}).seal(found{Statement: passed("checkout", "r99").Statement, by: stranger})
				d := release.Of(b)
				k.envelopes[d] = b
				k.log = slices.Insert(k.log, i, evidence.Link(entry(d, evidence.Head{}), evidence.Head{Seq: e.Seq - 1, Hash: e.Previous}, stranger.signer()))
			case "sign":
				*e = evidence.Link(evidence.Entry{Action: "nothing happened"}, evidence.Head{Seq: e.Seq - 1, Hash: e.Previous}, stranger.signer())
			case "lose":
				if d, err := e.Evidence(); err == nil {
					delete(k.envelopes, d)
				}
			case "exchange":
				if d, err := e.Evidence(); err == nil {
					k.envelopes[d] = (&world{Question: w.Question}).seal(passed("checkout", "r98"))
				}
			}
		}
		if !before && Decide(k.ask(w.Question)).Allowed {
			t.Fatal("a no became a yes")
		}
	})
}
