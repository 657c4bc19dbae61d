// Package run is the durable executor: it carries plans out, writes each step down before and after it happens, and goes
// on from the journal after any interruption. What comes next is plan.Next's to decide; here it is only done.
package run

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/store"
)

// Action carries out steps of one kind. Both methods are idempotent: after a kill they are called again, and can't know
// how far the call before came. A panic is a failure.
type Action interface {
	// Do makes the step's effect. What it returns is kept in the journal as JSON, for later steps, Undo and people. The
	// context ends when the run is cancelled, and with the executor.
	Do(ctx context.Context, t *Task) (result any, err error)
	// Undo takes the effect back, whole or part, and is no error where there is none. Cancelling the run does not end
	// its context; a deadline of its own does, and so does the end of the executor. What failed is tried again, but for
	// what is Blocked: there only a person can help.
	Undo(ctx context.Context, t *Task) error
}

// Config is what an executor is made of.
type Config struct {
	Store    *store.Store
	Actions  map[string]Action // by plan.Step.Action
	Log      *slog.Logger
	UndoTime time.Duration // how long one attempt to take a step back may take, where the step needs no longer; 0 is 10 minutes
	// Pause waits before a step is tried again; nil is a timer. It returns early with ctx's error.
	Pause func(ctx context.Context, d time.Duration) error
	// Left is called when a run is carried out here no more: it has ended, whichever way, or halts until the next start. It
	// must not wait for anything; nil is nobody.
	Left func(run string)
	// Hook is called at each point of each step; nil in production. A test kills the process there.
	Hook func(p Point, step string)
}

// Point is a place in the life of a step at which the process may die.
type Point string

// The points. They are the same for doing and undoing; the beginning is recorded before the first one.
const (
	BeforeDo     Point = "before do"   // begun in the journal, no effect yet
	AfterDo      Point = "after do"    // the effect is there, the journal does not know
	DoRecorded   Point = "do recorded" // done or failed in the journal
	BeforeUndo   Point = "before undo"
	AfterUndo    Point = "after undo"
	UndoRecorded Point = "undo recorded"
)

// Executor carries out the runs of one store. Only one may exist per store: whoever makes it holds the lock of the
// state folder.
type Executor struct {
	Config
	ctx  context.Context // the executor's life
	stop context.CancelFunc
	work sync.WaitGroup

	mu     sync.Mutex // held from making a run one that is under way until it is launched
	active map[string]*active
	closed bool
}

// New makes an executor that lives until ctx ends or Close is called. Runs under way then stop where they are, unfinished
// in the journal, and go on with Resume in the next one.
func New(ctx context.Context, c Config) *Executor {
	if c.UndoTime == 0 {
		c.UndoTime = 10 * time.Minute
	}
	if c.Pause == nil {
		c.Pause = pause
	}
	if c.Left == nil {
		c.Left = func(string) {}
	}
	if c.Hook == nil {
		c.Hook = func(Point, string) {}
	}
	ctx, stop := context.WithCancel(ctx)
	return &Executor{Config: c, ctx: ctx, stop: stop, active: map[string]*active{}}
}

// Close stops all runs where they are and returns when nothing of them runs any more.
func (e *Executor) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.stop()
	e.work.Wait()
}

// Start records the plan as a run and begins it; a rehearsal may have to wait for others first. It returns at once.
func (e *Executor) Start(ctx context.Context, p plan.Plan, actor string) (store.Run, error) {
	if err := e.carriesOut(p); err != nil {
		return store.Run{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.Store.CreateRun(ctx, p, actor)
	if err != nil {
		return store.Run{}, err
	}
	if r.Phase == store.Running {
		e.launch(r)
	}
	return r, nil
}

// Resume goes on with all runs that have not ended. It is called once, when the executor's process starts.
func (e *Executor) Resume(ctx context.Context) error {
	unfinished, err := e.Store.Unfinished(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	for _, r := range unfinished {
		if r.Phase == store.Running {
			e.Log.Info("run goes on", "run", r.ID, "kind", r.Plan.Kind, "environment", r.Plan.Environment)
			err = errors.Join(err, e.load(ctx, r.ID))
		}
	}
	e.mu.Unlock()
	return errors.Join(err, e.begin(ctx))
}

// begin lets those that waited begin.
func (e *Executor) begin(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	begun, err := e.Store.Begin(ctx)
	for _, r := range begun {
		err = errors.Join(err, e.load(ctx, r.ID))
	}
	return err
}

// load launches a run from where its journal stands. e.mu is held.
func (e *Executor) load(ctx context.Context, id string) error {
	r, err := e.Store.Run(ctx, id)
	if err == nil {
		e.launch(r)
	}
	return err
}

// Cancel asks a run to stop and take back what it did. It returns at once; one that has ended already is a problem.
func (e *Executor) Cancel(ctx context.Context, id, by string) error {
	e.mu.Lock()
	a := e.active[id]
	if a == nil {
		defer e.mu.Unlock() // held to the end, so that nobody launches it meanwhile
		return e.cancelInactive(ctx, id, by)
	}
	e.mu.Unlock()
	return a.cancel(ctx, by)
}

// cancelInactive cancels a run that waits, or that the executor before this one left.
func (e *Executor) cancelInactive(ctx context.Context, id, by string) error {
	r, err := e.Store.Run(ctx, id)
	if err != nil {
		return err
	}
	if r.Phase == store.Ended {
		return ended(r)
	}
	entry, err := e.Store.Append(ctx, id, cancelled(by), cancelAudit(r, by))
	if err != nil || r.Phase == store.Running {
		return err // where it is under way, the next executor reads the journal
	}
	if err := e.Store.FinishRun(ctx, id, plan.Next(r.Plan, append(r.Journal, entry))); err != nil {
		return err
	}
	e.Left(id)
	return nil
}

// Wait returns when the run has ended.
func (e *Executor) Wait(ctx context.Context, id string) (store.Run, error) {
	if err := e.Watch(ctx, id, 0, func(store.Event) error { return nil }); err != nil {
		return store.Run{}, err
	}
	return e.Store.Run(ctx, id)
}

// Watch calls each for every event of the run after the one of that number, and returns when the run has ended, with
// each's first error, or when ctx ends.
func (e *Executor) Watch(ctx context.Context, id string, after int64, each func(store.Event) error) error {
	signal, cancel := e.Store.Subscribe(id)
	defer cancel()
	for {
		// The phase is read before the events: what comes between the two is told in the next round.
		r, err := e.Store.Run(ctx, id)
		if err != nil {
			return err
		}
		events, err := e.Store.Events(ctx, id, after)
		if err != nil {
			return err
		}
		for _, ev := range events {
			if err := each(ev); err != nil {
				return err
			}
			after = ev.Seq
		}
		if len(events) > 0 {
			continue
		}
		if r.Phase == store.Ended {
			return nil
		}
		select {
		case <-signal:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// carriesOut says whether the executor knows all that the plan asks for.
func (e *Executor) carriesOut(p plan.Plan) error {
	if err := p.Validate(); err != nil {
		return err
	}
	for _, s := range p.Steps {
		if e.Actions[s.Action] == nil {
			return problem.New(problem.Unavailable, "the step %q asks for the action %q, which this Greenroom does not know", s.Name, s.Action).
				WithHint("finish the run with the Greenroom that made its plan, or a newer one")
		}
	}
	return nil
}

func ended(r store.Run) error {
	return problem.New(problem.Invalid, "the run %s has ended already: %s", r.ID, r.Outcome)
}

func cancelled(by string) plan.Entry {
	return plan.Entry{State: plan.Cancelled, Error: "cancelled by " + by}
}

func cancelAudit(r store.Run, by string) store.Commit {
	return store.Commit{
		By: store.Audit{Actor: by, Action: string(r.Plan.Kind) + " cancelled", App: r.Plan.App,
			Environment: r.Plan.Environment, Subject: string(r.Plan.Release), Run: r.ID},
		Do: func(*store.Tx) error { return nil },
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
