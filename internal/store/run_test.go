package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

var started = plan.Entry{Step: "one", State: plan.Started}

func promotion(environment string) plan.Plan {
	return plan.Plan{Format: plan.Format, Kind: plan.Promotion, App: "shop", Environment: environment,
		Release: release.Of([]byte("x")), Steps: []plan.Step{{Name: "one", Action: "x"}}}
}

func rehearsal() plan.Plan {
	p := promotion("stage")
	p.Kind = plan.Rehearsal
	return p
}

func mustCreate(t testing.TB, s *Store, p plan.Plan) Run {
	t.Helper()
	r, err := s.CreateRun(t.Context(), p, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustAppend(t testing.TB, s *Store, run string, e plan.Entry) plan.Entry {
	t.Helper()
	e, err := s.Append(t.Context(), run, e)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustFinish(t testing.TB, s *Store, run string) {
	t.Helper()
	if err := s.FinishRun(t.Context(), run, plan.Move{Outcome: plan.Succeeded}); err != nil {
		t.Fatal(err)
	}
}

func TestARunFromBeginningToEnd(t *testing.T) {
	s := open(t)
	p := promotion("production")
	r := mustCreate(t, s, p)
	if r.ID != "r1" || r.Phase != Running || r.Started.IsZero() {
		t.Errorf("%+v", r)
	}
	first := mustAppend(t, s, r.ID, started)
	done := mustAppend(t, s, r.ID, plan.Entry{Step: "one", State: plan.Done, Result: []byte(`{"pid":7}`), Error: "e", Hint: "h"})
	if first.Seq != 1 || done.Seq != 2 || done.At.IsZero() {
		t.Errorf("%+v, %+v", first, done)
	}
	if err := s.FinishRun(t.Context(), r.ID, plan.Move{Outcome: plan.RolledBack, Reason: "why", Hint: "what"}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Run(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := Run{ID: "r1", Phase: Ended, Plan: p, Actor: "ann", Outcome: plan.RolledBack, Reason: "why", Hint: "what",
		Created: r.Created, Started: r.Started, Ended: got.Ended, Journal: []plan.Entry{first, done}}
	if diff := cmp.Diff(want, got); diff != "" || got.Ended.IsZero() {
		t.Error(diff)
	}
	if _, err := s.Append(t.Context(), r.ID, started); err == nil {
		t.Error("the journal of an ended run grew")
	}
	if err := s.FinishRun(t.Context(), r.ID, plan.Move{Outcome: plan.Succeeded}); !errors.Is(err, ErrChanged) {
		t.Errorf("ended twice: %v", err)
	}
	log, err := s.History(t.Context(), HistoryQuery{App: "shop"})
	if err != nil || len(log) != 2 || log[0].Action != "promotion rolled back" || log[0].Run != "r1" || log[0].Because != "why" ||
		log[1].Action != "promotion running" || log[1].Subject != string(p.Release) {
		t.Errorf("%+v, %v", log, err)
	}
	open, err := s.Unfinished(t.Context())
	if err != nil || len(open) != 0 {
		t.Errorf("%+v, %v", open, err)
	}
}

func TestNoSuchRun(t *testing.T) {
	s := open(t)
	mustCreate(t, s, promotion("production"))
	for _, id := range []string{"", "r", "r2", "1", "r01", "r+1", "R1", "r1 ", "r-1", "r99999999999999999999"} {
		_, err := s.Run(t.Context(), id)
		wantProblem(t, err, problem.NotFound, fmt.Sprintf("no run %q", id), "greenroom history")
		if _, err := s.Append(t.Context(), id, started); err == nil {
			t.Errorf("%q has a journal", id)
		}
	}
}

func TestAnEnvironmentHasOneOwner(t *testing.T) {
	s := open(t)
	r := mustCreate(t, s, promotion("production"))
	_, err := s.CreateRun(t.Context(), promotion("production"), "bob")
	wantProblem(t, err, problem.Blocked, "a promotion of "+r.Plan.Release.Short()+" to production is under way (r1, begun by ann)", WatchCommand)
	mustCreate(t, s, promotion("qa"))
	other := promotion("production")
	other.App = "blog"
	mustCreate(t, s, other)
	mustFinish(t, s, r.ID)
	mustCreate(t, s, promotion("production"))
}

// The index guards what CreateRun looks at first.
func TestTheIndexGuardsOwnership(t *testing.T) {
	s := open(t)
	mustCreate(t, s, promotion("production"))
	err := raw(t, s, `INSERT INTO runs (app, environment, release, phase, plan, actor, created)
		VALUES ('shop', 'production', '', 'running', '{}', 'bob', 1)`)
	if !isUnique(err) {
		t.Errorf("got %v", err)
	}
}

func TestOfManyPromotionsAtOnceOneBegins(t *testing.T) {
	s := open(t)
	const n = 16
	errs := make(chan error, n)
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			_, err := s.CreateRun(context.Background(), promotion("production"), fmt.Sprint("person ", i))
			errs <- err
		})
	}
	work.Wait()
	close(errs)
	began := 0
	for err := range errs {
		if err == nil {
			began++
		} else if problem.From(err).Code != problem.Blocked {
			t.Error(err)
		}
	}
	if began != 1 {
		t.Errorf("%d began", began)
	}
}

func TestRehearsalsQueue(t *testing.T) {
	s := open(t)
	begin := func() string {
		runs, err := s.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range runs {
			if r.Phase != Running || r.Started.IsZero() {
				t.Errorf("%+v", r)
			}
			ids = append(ids, r.ID)
		}
		return strings.Join(ids, " ")
	}
	var phases []string
	for range 3 {
		phases = append(phases, string(mustCreate(t, s, rehearsal()).Phase))
	}
	if got := strings.Join(phases, " "); got != "running queued queued" {
		t.Errorf("got %s", got)
	}
	if got := begin(); got != "" {
		t.Errorf("%s began beside another", got)
	}
	mustFinish(t, s, "r1")
	// One that comes now waits behind those that wait already.
	if r := mustCreate(t, s, rehearsal()); r.Phase != Queued {
		t.Errorf("%+v jumped the queue", r)
	}
	for _, want := range []string{"r2", "r3", "r4"} {
		if got := begin(); got != want {
			t.Fatalf("%s began, want %s", got, want)
		}
		mustFinish(t, s, want)
	}
	mustCreate(t, s, rehearsal())
	mustCreate(t, s, rehearsal())
	if err := s.FinishRun(t.Context(), "r6", plan.Move{Outcome: plan.Stopped}); err != nil {
		t.Errorf("a queued run can't end: %v", err)
	}
}

func TestACommitAndItsLineAreOne(t *testing.T) {
	s := open(t)
	r := mustCreate(t, s, promotion("production"))
	by := Audit{Actor: "ann", Action: "live"}
	put := func(tx *Tx) error {
		return tx.PutEnvironment(context.Background(), Environment{App: "shop", Name: "production", Live: "sha256:x"})
	}
	done := plan.Entry{Step: "one", State: plan.Done}
	failed := errors.New("no luck")
	_, err := s.Append(t.Context(), r.ID, done, Commit{by, put}, Commit{by, func(*Tx) error { return failed }})
	if !errors.Is(err, failed) {
		t.Fatalf("got %v", err)
	}
	check := func(lines int, live release.Digest) {
		t.Helper()
		r, err := s.Run(t.Context(), r.ID)
		e, err2 := s.Environment(t.Context(), "shop", "production")
		if err := errors.Join(err, err2); err != nil || len(r.Journal) != lines || e.Live != live {
			t.Errorf("%d lines, %q live, %v", len(r.Journal), e.Live, err)
		}
	}
	check(0, "")
	if _, err := s.Append(t.Context(), r.ID, done, Commit{by, put}); err != nil {
		t.Fatal(err)
	}
	check(1, "sha256:x")
}

func TestEventsAreToldAfterTheyAreCommitted(t *testing.T) {
	s := open(t)
	r := mustCreate(t, s, promotion("production"))
	signal, cancel := s.Subscribe(r.ID)
	defer cancel()
	other, cancelOther := s.Subscribe("r99")
	defer cancelOther()
	told := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	_, err := s.Append(t.Context(), r.ID, started, Commit{Audit{Actor: "ann", Action: "x"}, func(*Tx) error { return errors.New("no luck") }})
	if err == nil || told(signal) {
		t.Errorf("told of what never happened: %v", err)
	}
	if err := s.Progress(t.Context(), r.ID, "one", strings.Repeat("ä", 5000)); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, r.ID, started)
	if !told(signal) || told(other) {
		t.Error("not told, or the wrong one was")
	}
	mustFinish(t, s, r.ID)
	events, err := s.Events(t.Context(), r.ID, 1)
	if err != nil || len(events) != 3 {
		t.Fatalf("%+v, %v", events, err)
	}
	if text := events[0].Text; len(text) > textLimit+3 || !strings.HasSuffix(text, "ä…") {
		t.Errorf("%d bytes of progress: …%q", len(text), text[len(text)-8:])
	}
	if events[1].State != plan.Started || events[1].Step != "one" || events[2].Outcome != plan.Succeeded || events[2].At.Before(noon) {
		t.Errorf("%+v", events)
	}
	cancel()
	if len(s.feed.listeners) != 1 {
		t.Errorf("%d listeners are kept", len(s.feed.listeners))
	}
}

func TestAPlanThatCantBeReadDoesNotHideTheOthers(t *testing.T) {
	s := open(t)
	mustCreate(t, s, promotion("qa"))
	if err := raw(t, s, `INSERT INTO runs (app, environment, release, phase, plan, actor, created)
		VALUES ('shop', 'production', '', 'running', '{"format":9,"steps":"three"}', 'bob', 1)`); err != nil {
		t.Fatal(err)
	}
	runs, err := s.Unfinished(t.Context())
	if err != nil || len(runs) != 2 {
		t.Fatalf("%+v, %v", runs, err)
	}
	if err := runs[1].Plan.Validate(); err == nil || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("got %v", err)
	}
}

func TestRuns(t *testing.T) {
	s := open(t)
	for _, environment := range []string{"qa", "production", "qa"} {
		r := mustCreate(t, s, promotion(environment))
		mustFinish(t, s, r.ID)
	}
	for environment, want := range map[string]string{"": "r3 r2 r1", "qa": "r3 r1", "moon": ""} {
		runs, err := s.Runs(t.Context(), "shop", environment, 0)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range runs {
			ids = append(ids, r.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%q: %s, want %s", environment, got, want)
		}
	}
	if runs, err := s.Runs(t.Context(), "shop", "", 1); err != nil || len(runs) != 1 || runs[0].Ended.Before(noon.Add(time.Second)) {
		t.Errorf("%+v, %v", runs, err)
	}
}

func BenchmarkUnfinishedAmongTenThousandRuns(b *testing.B) {
	s := open(b)
	p := promotion("production")
	p.Because = strings.Repeat("x", 4000)
	mustCreate(b, s, p)
	if err := raw(b, s, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
		INSERT INTO runs (app, environment, release, phase, plan, actor, created)
		SELECT app, environment, release, 'ended', plan, actor, created FROM runs, n`); err != nil {
		b.Fatal(err)
	}
	for range b.N {
		if runs, err := s.Unfinished(b.Context()); err != nil || len(runs) != 1 {
			b.Fatal(len(runs), err)
		}
	}
}
