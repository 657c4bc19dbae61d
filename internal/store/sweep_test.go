package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// told is how much is kept of a run.
type told struct {
	events, lines int
	ended         bool
}

func (s *Store) told(t testing.TB, id string) told {
	t.Helper()
	r, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	return told{len(events), len(r.Journal), r.Phase == Ended}
}

func TestSweepRuns(t *testing.T) {
	s := open(t)
	long := mustCreate(t, s, promotion("canary")) // begun first, and it ends last
	mustAppend(t, s, long.ID, started)
	other := promotion("production")
	other.App = "other"
	mustFinish(t, s, mustCreate(t, s, other).ID)
	var ids []string
	for i := range 5 {
		p := promotion("production")
		if i == 1 {
			p = rehearsal()
		}
		r := mustCreate(t, s, p)
		ids = append(ids, r.ID)
		mustAppend(t, s, r.ID, started)
		mustAppend(t, s, r.ID, plan.Entry{Step: "one", State: plan.Done, Result: []byte(`{"schema":"a"}`)})
		mustFinish(t, s, r.ID)
	}
	under := mustCreate(t, s, promotion("staging"))
	mustAppend(t, s, under.ID, started)
	if err := s.Change(t.Context(), Audit{Actor: "ann", Action: "report"}, func(tx *Tx) error {
		return tx.PutReport(t.Context(), evidence.Report{Run: ids[1], App: "shop"})
	}); err != nil {
		t.Fatal(err)
	}
	mustFinish(t, s, long.ID)
	history, err := s.History(t.Context(), HistoryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.SweepRuns(t.Context(), 3)
	if err != nil || n != 3 {
		t.Fatalf("swept %d, %v", n, err)
	}
	// The newest three of the shop's are the long one and the last two.
	for id, want := range map[string]told{
		long.ID: {3, 1, true}, "r2": {2, 0, true}, ids[0]: {0, 1, true}, ids[1]: {0, 0, true}, ids[2]: {0, 1, true},
		ids[3]: {4, 2, true}, ids[4]: {4, 2, true}, under.ID: {2, 1, false},
	} {
		if got := s.told(t, id); got != want {
			t.Errorf("%s: %+v, want %+v", id, got, want)
		}
	}
	if _, err := s.Report(t.Context(), ids[1]); err != nil {
		t.Error("the report:", err)
	}
	after, err := s.History(t.Context(), HistoryQuery{})
	if err != nil || len(after) != len(history) {
		t.Errorf("the log has %d entries, had %d, %v", len(after), len(history), err)
	}
	raw, found, err := s.Leaving(t.Context(), "shop", "production", "", "one")
	if err != nil || found {
		t.Errorf("%s %v, %v: the plans leave nothing", raw, found, err)
	}
	if n, err := s.SweepRuns(t.Context(), 3); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
}

// What a rollback asks of runs long ago is there after any sweep.
func TestSweepKeepsWhatIsAskedFor(t *testing.T) {
	s := open(t)
	from := release.Of([]byte("old"))
	p := promotion("production")
	p.From = from
	p.Steps = []plan.Step{{Name: "way-back", Action: "x"}, {Name: "migrate", Action: "x"}}
	r := mustCreate(t, s, p)
	mustAppend(t, s, r.ID, plan.Entry{Step: "way-back", State: plan.Done, Result: []byte(`{"schema":"a"}`)})
	mustAppend(t, s, r.ID, plan.Entry{Step: "migrate", State: plan.Done, Result: []byte(`{"before":"a","after":"b"}`)})
	mustFinish(t, s, r.ID)
	for range 2 {
		if _, err := s.SweepRuns(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		raw, found, err := s.Leaving(t.Context(), "shop", "production", from, "way-back")
		if err != nil || !found || string(raw) != `{"schema":"a"}` {
			t.Errorf("leaving: %s %v %v", raw, found, err)
		}
		maker, err := s.SchemaMaker(t.Context(), "shop", "production", "b", from)
		if err != nil || maker != p.Release {
			t.Errorf("maker: %s %v", maker, err)
		}
	}
}

// A run with more than goes into one transaction is swept by whoever comes next, from where the one before was interrupted.
func TestSweepThatIsInterrupted(t *testing.T) {
	s := open(t)
	r := mustCreate(t, s, rehearsal())
	for range 10 {
		mustAppend(t, s, r.ID, started)
	}
	if err := s.transact(t.Context(), func(tx *Tx) error {
		for range 2*sweptAtOnce + 5 {
			if err := tx.event(t.Context(), Event{Run: r.ID, Text: "word"}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	mustFinish(t, s, r.ID)
	mustFinish(t, s, mustCreate(t, s, rehearsal()).ID)
	var left []int64
	if err := s.transact(t.Context(), func(tx *Tx) (err error) {
		left, err = tx.sweep(t.Context(), []int64{1})
		return err
	}); err != nil || !slices.Equal(left, []int64{1}) {
		t.Fatalf("left %v, %v", left, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.SweepRuns(ended, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
	if got := s.told(t, r.ID); got.events == 0 || got.lines != 10 {
		t.Errorf("half of it: %+v", got)
	}
	if n, err := s.SweepRuns(t.Context(), 1); err != nil || n != 1 {
		t.Errorf("swept %d, %v", n, err)
	}
	if got := s.told(t, r.ID); got != (told{0, 0, true}) {
		t.Errorf("all of it: %+v", got)
	}
}

// The journal of a run that goes on is what a kill is survived by.
func TestJournalOfARunThatGoesOn(t *testing.T) {
	s := open(t)
	r := mustCreate(t, s, promotion("production"))
	mustAppend(t, s, r.ID, started)
	for _, q := range []string{`DELETE FROM journal`, `UPDATE journal SET step = 'x'`} {
		if err := s.transact(t.Context(), func(tx *Tx) error {
			_, err := tx.exec(t.Context(), q)
			return err
		}); err == nil {
			t.Errorf("%s: nobody objects", q)
		}
	}
}

// TestNamed holds the query against a model of who names a release.
func TestNamed(t *testing.T) {
	s, cases := open(t), 0 // each case has apps of its own, because a store is slow to make
	rapid.Check(t, func(r *rapid.T) {
		cases++
		ctx := t.Context()
		var built []release.Digest
		named := map[release.Digest]bool{}
		apps := []string{fmt.Sprint("shop", cases), fmt.Sprint("other", cases)}
		perApp := map[string][]release.Digest{}
		change := func(do func(tx *Tx) error) {
			if err := s.Change(ctx, Audit{Actor: "ann", Action: "x"}, do); err != nil {
				r.Fatal(err)
			}
		}
		for i := range rapid.IntRange(1, 12).Draw(r, "releases") {
			name := rapid.SampledFrom(apps).Draw(r, "app")
			doc := fmt.Appendf(nil, "%s %d", name, i)
			d := release.Of(doc)
			change(func(tx *Tx) error { return tx.PutRelease(ctx, doc, Build{Release: d, App: name}) })
			built, perApp[name] = append(built, d), append(perApp[name], d)
		}
		one := func(what string) release.Digest { return rapid.SampledFrom(built).Draw(r, what) }
		for i := range rapid.IntRange(0, 6).Draw(r, "reasons") {
			d, e := one("release"), one("another")
			switch rapid.SampledFrom([]string{"live", "run", "ended", "bad", "found"}).Draw(r, "reason") {
			case "live":
				change(func(tx *Tx) error {
					return tx.PutEnvironment(ctx, Environment{App: apps[0], Name: fmt.Sprint("e", i), Live: d, Previous: []release.Digest{e}})
				})
				named[d], named[e] = true, true
			case "run", "ended":
				p := promotion(fmt.Sprint("run", i))
				p.App = apps[0]
				p.Release, p.From = d, e
				run, err := s.CreateRun(ctx, p, "ann")
				if err == nil && i%2 == 0 {
					err = s.FinishRun(ctx, run.ID, plan.Move{Outcome: plan.Succeeded})
				} else {
					named[d], named[e] = true, true
				}
				if err != nil {
					r.Fatal(err)
				}
			case "bad":
				change(func(tx *Tx) error { return tx.MarkBad(ctx, apps[0], d, "slow") })
				named[d] = true
			case "found":
				change(func(tx *Tx) error {
					_, err := tx.PutEvidence(ctx, apps[0], d, evidence.KindCheck, fmt.Append(nil, i))
					return err
				})
			}
		}
		newest := rapid.IntRange(0, 4).Draw(r, "newest")
		for _, list := range perApp {
			for _, d := range list[max(0, len(list)-newest):] {
				named[d] = true
			}
		}
		got, err := s.Named(ctx, newest)
		maps.DeleteFunc(got, func(d release.Digest, _ bool) bool { return !slices.Contains(built, d) })
		if err != nil || !maps.Equal(got, named) {
			r.Fatalf("named %v, %v, want %v", got, err, named)
		}
	})
}
