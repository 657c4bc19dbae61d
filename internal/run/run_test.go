package run

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

func TestMain(m *testing.M) {
	child()
	goleak.VerifyTestMain(m)
}

// scripted is an action that does what its test says and remembers its calls.
type scripted struct {
	mu    sync.Mutex
	calls []string
	do    func(ctx context.Context, t *Task) (any, error)
	undo  func(ctx context.Context, t *Task) error
}

func (s *scripted) Do(ctx context.Context, t *Task) (any, error) {
	s.note("do " + t.Step.Name)
	if s.do == nil {
		return nil, nil
	}
	return s.do(ctx, t)
}

func (s *scripted) Undo(ctx context.Context, t *Task) error {
	s.note("undo " + t.Step.Name)
	if s.undo == nil {
		return nil
	}
	return s.undo(ctx, t)
}

func (s *scripted) note(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

func (s *scripted) history() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.calls, ", ")
}

// failing is a Do that fails in one step.
func failing(step string) func(context.Context, *Task) (any, error) {
	return func(_ context.Context, t *Task) (any, error) {
		if t.Step.Name == step {
			return nil, problem.New(problem.Fail, "no luck").WithHint("try harder")
		}
		return nil, nil
	}
}

// inBackup is a Do whose first step returns what f does.
func inBackup(f func() any) func(context.Context, *Task) (any, error) {
	return func(_ context.Context, t *Task) (any, error) {
		if t.Step.Name == "backup" {
			return f(), nil
		}
		return nil, nil
	}
}

func fourSteps() plan.Plan {
	return plan.Plan{Format: plan.Format, Kind: plan.Promotion, App: "shop", Environment: "production",
		Release: release.Of([]byte("x")), Steps: []plan.Step{
			{Name: "backup", Action: "x"},
			{Name: "migrate", Action: "x", Changes: true},
			{Name: "shift", Action: "x", Changes: true},
			{Name: "down", Action: "x", Always: true},
		}}
}

func rehearsal() plan.Plan {
	p := fourSteps()
	p.Kind, p.Environment = plan.Rehearsal, "stage"
	return p
}

func openStore(t testing.TB, file string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), file, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// executor makes one over a store of its own, without pauses.
func executor(t testing.TB, x *scripted) *Executor {
	t.Helper()
	return over(t, openStore(t, filepath.Join(t.TempDir(), "state.db")), x)
}

func over(t testing.TB, s *store.Store, x *scripted) *Executor {
	t.Helper()
	e := New(t.Context(), Config{Store: s, Actions: map[string]Action{"x": x}, Log: slog.New(slog.DiscardHandler),
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	t.Cleanup(e.Close)
	return e
}

func start(t testing.TB, e *Executor, p plan.Plan) string {
	t.Helper()
	r, err := e.Start(t.Context(), p, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// end waits for a run, but not for ever.
func end(t testing.TB, e *Executor, id string) store.Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := e.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRunsEnd(t *testing.T) {
	for _, c := range []struct {
		name    string
		script  *scripted
		outcome plan.Outcome
		reason  string
		hint    string
		calls   string
	}{
		{"all goes well", &scripted{}, plan.Succeeded, "", "", "do backup, do migrate, do shift, do down"},
		{"nothing to take back", &scripted{do: failing("backup")}, plan.Stopped, "backup: no luck", "try harder", "do backup, do down"},
		{"rolled back", &scripted{do: failing("shift")}, plan.RolledBack, "shift: no luck", "try harder",
			"do backup, do migrate, do shift, undo shift, undo migrate, do down"},
		{"a panic is a failure", &scripted{do: inBackup(func() any { panic("oh") })}, plan.Stopped,
			"backup: a bug in Greenroom: oh", "", "do backup, do down"},
		{"a result that is no JSON", &scripted{do: inBackup(func() any { return func() {} })}, plan.Stopped,
			"backup: json: unsupported type", "", "do backup, do down"},
		{"stuck", &scripted{do: failing("shift"), undo: func(_ context.Context, t *Task) error { return errors.New("can't") }}, plan.NeedsOperator,
			"shift could not be taken back: tried 5 times: can't (after: shift: no luck)", "greenroom rollback production",
			"do backup, do migrate, do shift" + strings.Repeat(", undo shift", plan.Attempts)},
		{"only a person can help", &scripted{do: failing("shift"), undo: func(context.Context, *Task) error {
			return problem.New(problem.Blocked, "it would lose data").WithHint("ask them")
		}}, plan.NeedsOperator, "shift could not be taken back: it would lose data (after: shift: no luck)", "ask them",
			"do backup, do migrate, do shift, undo shift"},
		{"what is done always fails", &scripted{do: failing("down")}, plan.NeedsOperator, "down could not be done: no luck", "try harder",
			"do backup, do migrate, do shift" + strings.Repeat(", do down", plan.Attempts)},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := executor(t, c.script)
			r := end(t, e, start(t, e, fourSteps()))
			if r.Outcome != c.outcome || !strings.HasPrefix(r.Reason, c.reason) || !strings.Contains(r.Hint, c.hint) {
				t.Errorf("got  %s: %s (%s)\nwant %s: %s (%s)", r.Outcome, r.Reason, r.Hint, c.outcome, c.reason, c.hint)
			}
			if got := c.script.history(); got != c.calls {
				t.Errorf("got  %s\nwant %s", got, c.calls)
			}
		})
	}
}

func TestWhatFailsAtFirstIsRepeated(t *testing.T) {
	tries := map[string]int{}
	stubborn := func(t *Task) error {
		tries[t.Step.Name]++
		if n := tries[t.Step.Name]; n != t.Attempt {
			return fmt.Errorf("attempt %d is called %d", n, t.Attempt)
		}
		if t.Attempt < 3 {
			return errors.New("not yet")
		}
		return nil
	}
	x := &scripted{undo: func(_ context.Context, t *Task) error { return stubborn(t) }}
	x.do = func(ctx context.Context, t *Task) (any, error) {
		if t.Step.Always {
			return nil, stubborn(t)
		}
		return failing("migrate")(ctx, t)
	}
	e := executor(t, x)
	var pauses []time.Duration
	e.Pause = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	if r := end(t, e, start(t, e, fourSteps())); r.Outcome != plan.RolledBack {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
	want := []time.Duration{time.Second, 2 * time.Second, time.Second, 2 * time.Second}
	if !slices.Equal(pauses, want) {
		t.Errorf("paused %v, want %v", pauses, want)
	}
}

func TestCancelTakesBack(t *testing.T) {
	began := make(chan struct{})
	x := &scripted{}
	x.do = func(ctx context.Context, t *Task) (any, error) {
		if t.Step.Name == "migrate" {
			close(began)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, ctx.Err() // what is done always has a context that lives
	}
	x.undo = func(ctx context.Context, t *Task) error { return ctx.Err() }
	e := executor(t, x)
	id := start(t, e, fourSteps())
	<-began
	if err := e.Cancel(t.Context(), id, "bob"); err != nil {
		t.Fatal(err)
	}
	r := end(t, e, id)
	if r.Outcome != plan.RolledBack || r.Reason != "cancelled by bob" {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
	if got, want := x.history(), "do backup, do migrate, undo migrate, do down"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	err := e.Cancel(t.Context(), id, "bob")
	if p := problem.From(err); p == nil || p.Code != problem.Invalid || !strings.Contains(p.Message, "r1 has ended already: rolled back") {
		t.Errorf("got %v", err)
	}
	if err := e.Cancel(t.Context(), "r9", "bob"); problem.From(err).Code != problem.NotFound {
		t.Errorf("got %v", err)
	}
	log, err := e.Store.History(t.Context(), store.HistoryQuery{})
	if err != nil || !slices.ContainsFunc(log, func(a store.Audit) bool { return a.Actor == "bob" && a.Action == "promotion cancelled" && a.Run == id }) {
		t.Errorf("%+v, %v", log, err)
	}
}

func TestRehearsalsWaitForOneAnother(t *testing.T) {
	var mu sync.Mutex
	under, most := 0, 0
	release := make(chan struct{})
	x := &scripted{do: func(_ context.Context, t *Task) (any, error) {
		mu.Lock()
		under++
		most = max(most, under)
		mu.Unlock()
		<-release
		mu.Lock()
		under--
		mu.Unlock()
		return nil, nil
	}}
	e := executor(t, x)
	var told atomic.Int32
	e.Left = func(string) { told.Add(1) }
	var ids []string
	for range 4 {
		ids = append(ids, start(t, e, rehearsal()))
	}
	if _, err := e.Start(t.Context(), fourSteps(), "ann"); err != nil {
		t.Errorf("a promotion waits for rehearsals: %v", err)
	}
	_, err := e.Start(t.Context(), fourSteps(), "ann")
	if p := problem.From(err); p == nil || p.Code != problem.Blocked || p.Hint != store.WatchCommand {
		t.Errorf("got %v", err)
	}
	if err := e.Cancel(t.Context(), ids[2], "bob"); err != nil {
		t.Fatal(err)
	}
	close(release)
	for i, id := range ids {
		want := plan.Succeeded
		if i == 2 {
			want = plan.Stopped
		}
		if r := end(t, e, id); r.Outcome != want {
			t.Errorf("%s: %s: %s", id, r.Outcome, r.Reason)
		}
	}
	end(t, e, "r5")
	if most > 2 { // a rehearsal and the promotion
		t.Errorf("%d at once", most)
	}
	if e.Close(); told.Load() != 5 { // also of the one that was cancelled while it waited
		t.Errorf("told of %d ends", told.Load())
	}
}

func TestShutdownIsNoFailure(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "state.db"))
	began := make(chan struct{})
	x := &scripted{do: func(ctx context.Context, t *Task) (any, error) {
		if t.Step.Name == "migrate" && t.Plan.Kind == plan.Promotion { // the other one ends
			close(began)
			<-ctx.Done()
			return nil, errors.New("ended by a signal")
		}
		return nil, nil
	}}
	e := over(t, s, x)
	id := start(t, e, fourSteps())
	waiting := start(t, e, rehearsal())
	<-began
	end(t, e, waiting)
	e.Close()
	r, err := s.Run(t.Context(), id)
	if err != nil || r.Phase != store.Running || r.Journal[len(r.Journal)-1].State != plan.Started {
		t.Fatalf("%+v, %v", r, err)
	}
	again := &scripted{}
	e = over(t, s, again)
	if err := e.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := end(t, e, id); r.Outcome != plan.Succeeded {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
	if got, want := again.history(), "do migrate, do shift, do down"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestARollbackGoesOnAsARollback(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "state.db"))
	began := make(chan struct{})
	x := &scripted{do: failing("shift"), undo: func(ctx context.Context, t *Task) error {
		if t.Step.Name == "migrate" {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	e := over(t, s, x)
	id := start(t, e, fourSteps())
	<-began
	e.Close()
	again := &scripted{}
	e = over(t, s, again)
	if err := e.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := end(t, e, id); r.Outcome != plan.RolledBack || r.Reason != "shift: no luck" {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
	if got, want := again.history(), "undo migrate, do down"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCancelledBetweenTwoExecutors(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "state.db"))
	p := fourSteps()
	if _, err := s.CreateRun(t.Context(), p, "ann"); err != nil {
		t.Fatal(err)
	}
	for _, state := range []plan.State{plan.Started, plan.Done} {
		if _, err := s.Append(t.Context(), "r1", plan.Entry{Step: "migrate", State: state}); err != nil {
			t.Fatal(err)
		}
	}
	x := &scripted{}
	e := over(t, s, x)
	if err := e.Cancel(t.Context(), "r1", "bob"); err != nil {
		t.Fatal(err)
	}
	if err := e.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := end(t, e, "r1"); r.Outcome != plan.RolledBack || x.history() != "undo migrate, do down" {
		t.Errorf("%s: %s", r.Outcome, x.history())
	}
}

func TestWhatIsNotUnderstoodStopsSafely(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *plan.Plan)
		reason string
	}{
		{"a newer plan", func(p *plan.Plan) { p.Format++ }, "the plan has format 2, this Greenroom knows 1"},
		{"an unknown action", func(p *plan.Plan) { p.Steps[2].Action = "teleport" }, `the step "shift" asks for the action "teleport"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &scripted{}
			e := executor(t, x)
			p := fourSteps()
			c.change(&p)
			if _, err := e.Start(t.Context(), p, "ann"); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("started: %v", err)
			}
			// Another Greenroom made it, and did some of it.
			if _, err := e.Store.CreateRun(t.Context(), p, "ann"); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Store.Append(t.Context(), "r1", plan.Entry{Step: "migrate", State: plan.Started}); err != nil {
				t.Fatal(err)
			}
			if err := e.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			r := end(t, e, "r1")
			if r.Outcome != plan.NeedsOperator || !strings.Contains(r.Reason, c.reason) || !strings.Contains(r.Hint, "Greenroom that made it") {
				t.Errorf("%s: %s (%s)", r.Outcome, r.Reason, r.Hint)
			}
			if x.history() != "" {
				t.Errorf("it did something: %s", x.history())
			}
		})
	}
}

func TestTask(t *testing.T) {
	type found struct{ Tables int }
	x := &scripted{}
	var e *Executor
	checks := func(t *Task) error {
		var args struct{ Table string }
		if err := t.Args(&args); err != nil {
			return err
		}
		var earlier found
		ok, err := t.Result("backup", &earlier)
		if err != nil || !ok || earlier.Tables != 7 || args.Table != "orders" {
			return fmt.Errorf("args %+v, result %+v, %v, %w", args, earlier, ok, err)
		}
		if later, err := t.Result("shift", &earlier); later || err != nil {
			return fmt.Errorf("a result from the future: %w", err)
		}
		return nil
	}
	x.do = func(_ context.Context, t *Task) (any, error) {
		switch t.Step.Name {
		case "backup":
			t.Progress("%d tables", 7)
			return found{Tables: 7}, nil
		case "migrate":
			t.OnRecord(store.Audit{Action: "live"}, func(ctx context.Context, tx *store.Tx) error {
				return tx.PutEnvironment(ctx, store.Environment{App: "shop", Name: "production", Live: t.Plan.Release})
			})
			return nil, checks(t)
		case "shift":
			return nil, errors.New("no luck")
		}
		return nil, nil
	}
	x.undo = func(_ context.Context, t *Task) error {
		if reason, cancelled := t.Turned(); reason != "shift: no luck" || cancelled {
			return fmt.Errorf("turned because of %q", reason)
		}
		if t.Step.Name != "migrate" {
			return nil
		}
		if !t.WasDone("migrate") || t.WasDone("shift") {
			return errors.New("what was done is forgotten")
		}
		t.OnRecord(store.Audit{Actor: "greenroom", Action: "bad"}, func(ctx context.Context, tx *store.Tx) error {
			return tx.MarkBad(ctx, "shop", t.Plan.Release, "no luck")
		})
		return checks(t)
	}
	e = executor(t, x)
	p := fourSteps()
	p.Steps[1].Args = json.RawMessage(`{"table": "orders"}`)
	id := start(t, e, p)
	var seen []string
	if err := e.Watch(t.Context(), id, 0, func(ev store.Event) error {
		seen = append(seen, strings.Trim(fmt.Sprintf("%s %s %s", ev.Step, ev.State, ev.Text), " "))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"promotion running", "backup started", "backup  7 tables", "backup done", "migrate started", "migrate done",
		"shift started", "shift failed no luck", "shift undoing", "shift undone", "migrate undoing", "migrate undone",
		"down started", "down done", "promotion rolled back"}
	if !slices.Equal(seen, want) {
		t.Errorf("got  %q\nwant %q", seen, want)
	}
	env, err := e.Store.Environment(t.Context(), "shop", "production")
	bad, err2 := e.Store.KnownBad(t.Context(), "shop", p.Release)
	if errors.Join(err, err2) != nil || env.Live != p.Release || bad == nil {
		t.Errorf("%+v, %+v, %v, %v", env, bad, err, err2)
	}
	log, err := e.Store.History(t.Context(), store.HistoryQuery{App: "shop", Environment: "production"})
	if err != nil || len(log) != 4 || log[1].Action != "bad" || log[1].Actor != "greenroom" || log[2].Actor != "ann" || log[2].Run != id {
		t.Errorf("%+v, %v", log, err)
	}
}

func TestARecordThatIsRefusedIsAFailure(t *testing.T) {
	x := &scripted{do: func(_ context.Context, t *Task) (any, error) {
		if t.Step.Name == "migrate" {
			t.OnRecord(store.Audit{Action: "live"}, func(context.Context, *store.Tx) error { return store.ErrChanged })
		}
		return nil, nil
	}}
	e := executor(t, x)
	r := end(t, e, start(t, e, fourSteps()))
	if r.Outcome != plan.RolledBack || !strings.Contains(r.Reason, store.ErrChanged.Error()) {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
}

// A store that can't be written for a while, here because another process holds it: the run waits, and goes on.
func TestARunWaitsForTheStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.db")
	e := over(t, openStore(t, file), &scripted{})
	other, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	var once sync.Once
	waited := make(chan struct{})
	e.Pause = func(context.Context, time.Duration) error {
		once.Do(func() { close(waited) })
		return nil
	}
	x := &scripted{do: func(ctx context.Context, t *Task) (any, error) {
		if t.Step.Name != "migrate" {
			return nil, nil
		}
		held, err := other.Conn(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := held.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return nil, err
		}
		e.work.Go(func() {
			<-waited
			_, err := held.ExecContext(context.Background(), "ROLLBACK")
			if err := errors.Join(err, held.Close()); err != nil {
				e.Log.Error(err.Error())
			}
		})
		return nil, nil
	}}
	e.Actions["x"] = x
	if r := end(t, e, start(t, e, fourSteps())); r.Outcome != plan.Succeeded || x.history() != "do backup, do migrate, do shift, do down" {
		t.Errorf("%s: %s: %s", r.Outcome, r.Reason, x.history())
	}
	select {
	case <-waited:
	default:
		t.Error("it did not wait")
	}
}

func TestTakingBackHasADeadlineOfItsOwn(t *testing.T) {
	x := &scripted{do: failing("shift"), undo: func(ctx context.Context, _ *Task) error { <-ctx.Done(); return ctx.Err() }}
	e := executor(t, x)
	e.UndoTime = time.Millisecond
	r := end(t, e, start(t, e, fourSteps()))
	if r.Outcome != plan.NeedsOperator || !strings.Contains(r.Reason, "it took longer than 1 ms") {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
}

func TestManyCancelsAndStartsAtOnce(t *testing.T) {
	e := executor(t, &scripted{do: func(ctx context.Context, t *Task) (any, error) { return nil, ctx.Err() }})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 5 {
				r, err := e.Start(t.Context(), rehearsal(), "ann")
				if err != nil {
					t.Error(err)
					return
				}
				if err := e.Cancel(t.Context(), r.ID, "bob"); err != nil && problem.From(err).Code != problem.Invalid {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	for i := range 20 {
		r := end(t, e, fmt.Sprint("r", i+1))
		if next := plan.Next(r.Plan, r.Journal); next.Kind != plan.Finish || next.Outcome != r.Outcome {
			t.Errorf("%s ended as %s, its journal says %s %s", r.ID, r.Outcome, next.Kind, next.Outcome)
		}
	}
}

func TestWatchingEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	x := &scripted{do: func(context.Context, *Task) (any, error) { <-release; return nil, nil }}
	e := executor(t, x)
	id := start(t, e, fourSteps())
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Watch(ctx, id, 0, func(store.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	enough := errors.New("enough")
	if err := e.Watch(t.Context(), id, 0, func(store.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	close(release)
	end(t, e, id)
}

func TestNothingBeginsAfterClose(t *testing.T) {
	x := &scripted{}
	e := executor(t, x)
	e.Close()
	id := start(t, e, fourSteps())
	if x.history() != "" {
		t.Errorf("%s: %s", id, x.history())
	}
}

// options are those of a store with the one key of these tests, which killed processes share.
func options() store.Options {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return store.Options{Signer: func() evidence.Signer { return evidence.NewSigner(private) }}
}
