package run

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"greenroom/internal/human"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/store"
)

// active is a run that this executor carries out.
type active struct {
	*Executor
	run  store.Run
	step context.Context // of steps that can be cancelled
	turn context.CancelFunc

	mu      sync.Mutex // held from deciding on a move until its beginning is recorded, so that no cancel comes between
	journal []plan.Entry
	over    bool
}

// launch begins to carry a run out, unless the executor is closing. e.mu is held.
func (e *Executor) launch(r store.Run) {
	if e.closed || e.active[r.ID] != nil {
		return
	}
	a := &active{Executor: e, run: r, journal: r.Journal}
	a.step, a.turn = context.WithCancel(e.ctx)
	e.active[r.ID] = a
	e.work.Go(a.drive)
}

// drive carries the run out until it has ended, or the executor does.
func (a *active) drive() {
	defer a.turn()
	finished := a.moves()
	a.Executor.mu.Lock()
	delete(a.active, a.run.ID)
	a.Executor.mu.Unlock()
	a.Left(a.run.ID)
	if !finished {
		return
	}
	if err := a.persist(a.begin); err != nil {
		a.Log.Error("the next run could not begin", "error", err)
	}
}

// moves makes one move after the other and says whether the run has ended.
func (a *active) moves() bool {
	for a.ctx.Err() == nil {
		move, err := a.next()
		if err == nil {
			switch move.Kind {
			case plan.Do:
				err = a.do(move)
			case plan.Undo:
				err = a.undo(move)
			case plan.Finish:
				return true
			}
		}
		if err != nil {
			if a.ctx.Err() == nil {
				a.Log.Error("run halts until the next start", "run", a.run.ID, "error", err)
			}
			return false
		}
	}
	return false
}

// next decides on the next move and records that it begins.
func (a *active) next() (plan.Move, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	move := plan.Next(a.run.Plan, a.journal)
	if err := a.carriesOut(a.run.Plan); err != nil {
		p := problem.From(err)
		move = plan.Move{Kind: plan.Finish, Outcome: plan.NeedsOperator, Reason: p.Message, Hint: p.Hint}
	}
	switch move.Kind {
	case plan.Do:
		return move, a.record(plan.Entry{Step: move.Step.Name, State: plan.Started})
	case plan.Undo:
		return move, a.record(plan.Entry{Step: move.Step.Name, State: plan.Undoing})
	}
	err := a.persist(func(ctx context.Context) error { return a.Store.FinishRun(ctx, a.run.ID, move) })
	a.over = err == nil
	return move, err
}

// do carries a step out and records how it went. It returns an error only when that could not be recorded, or when the
// executor ends first: then the step counts as interrupted.
func (a *active) do(move plan.Move) error {
	ctx := a.step
	if move.Step.Always {
		ctx = a.ctx
		if err := a.wait(move); err != nil {
			return err
		}
	}
	t := a.task(move)
	a.Hook(BeforeDo, t.Step.Name)
	result, err := call(a, t, func(action Action) (any, error) { return action.Do(ctx, t) })
	a.Hook(AfterDo, t.Step.Name)
	if err != nil && a.ctx.Err() != nil {
		return a.ctx.Err()
	}
	defer a.Hook(DoRecorded, t.Step.Name)
	entry := plan.Entry{Step: t.Step.Name, State: plan.Done}
	if err == nil && result != nil {
		entry.Result, err = json.Marshal(result)
	}
	if err == nil {
		if err = a.lockedRecord(entry, t.commits...); err == nil || a.ctx.Err() != nil {
			return err
		}
	}
	return a.failed(move, err)
}

// failed records that a step did not work. An Always step is tried again first.
func (a *active) failed(move plan.Move, err error) error {
	state := plan.Failed
	if move.Step.Always {
		if move.Attempt < plan.Attempts {
			a.again(move, plan.Attempts, err)
			return nil
		}
		state = plan.Stuck
	}
	p := problem.From(err)
	return a.lockedRecord(plan.Entry{Step: move.Step.Name, State: state, Error: p.Message, Hint: p.Hint})
}

// undo takes a step back and records how it went.
func (a *active) undo(move plan.Move) error {
	if err := a.wait(move); err != nil {
		return err
	}
	// Not the steps' context: that one is cancelled already when the run was.
	limit := max(a.UndoTime, move.Step.UndoTime)
	ctx, cancel := context.WithTimeout(a.ctx, limit)
	defer cancel()
	t := a.task(move)
	a.Hook(BeforeUndo, t.Step.Name)
	_, err := call(a, t, func(action Action) (any, error) { return nil, action.Undo(ctx, t) })
	a.Hook(AfterUndo, t.Step.Name)
	if err != nil && a.ctx.Err() != nil {
		return a.ctx.Err()
	}
	defer a.Hook(UndoRecorded, t.Step.Name)
	if err != nil && ctx.Err() != nil {
		err = problem.New(problem.Fail, "it took longer than %s: %w", human.Duration(limit), err)
	}
	if err == nil {
		if err = a.lockedRecord(plan.Entry{Step: t.Step.Name, State: plan.Undone}, t.commits...); err == nil || a.ctx.Err() != nil {
			return err
		}
	}
	p := problem.From(err)
	most := cmp.Or(move.Step.UndoAttempts, plan.Attempts)
	if move.Attempt < most && p.Code != problem.Blocked {
		a.again(move, most, err)
		return nil
	}
	said := p.Message
	if move.Attempt > 1 {
		said = fmt.Sprintf("tried %d times: %s", move.Attempt, said)
	}
	return a.lockedRecord(plan.Entry{Step: t.Step.Name, State: plan.Stuck, Error: said, Hint: p.Hint})
}

// again tells that an attempt failed and is repeated.
func (a *active) again(move plan.Move, most int, err error) {
	a.Log.Warn("step is tried again", "run", a.run.ID, "step", move.Step.Name, "attempt", move.Attempt, "error", err)
	a.tell(move.Step.Name, fmt.Sprintf("attempt %d of %d failed: %v", move.Attempt, most, err))
}

// wait holds a repeated attempt back: 1, 2, 4, 8 seconds.
func (a *active) wait(move plan.Move) error {
	if move.Attempt == 1 {
		return nil
	}
	return a.Pause(a.ctx, time.Second<<(move.Attempt-2))
}

func (a *active) task(move plan.Move) *Task {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &Task{Run: a.run.ID, Actor: a.run.Actor, Plan: a.run.Plan, Step: move.Step, Attempt: move.Attempt,
		journal:  a.journal[:len(a.journal):len(a.journal)],
		progress: func(text string) { a.tell(move.Step.Name, text) }}
}

// tell records progress. Losing a word of it harms nothing, so it never stops a step.
func (a *active) tell(step, text string) {
	if err := a.Store.Progress(context.WithoutCancel(a.ctx), a.run.ID, step, text); err != nil {
		a.Log.Warn("progress could not be recorded", "run", a.run.ID, "step", step, "error", err)
	}
}

// call runs an action; a panic is a failure like any other.
func call(a *active, t *Task, f func(Action) (any, error)) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			a.Log.Error("action panicked", "run", t.Run, "step", t.Step.Name, "panic", r, "stack", string(debug.Stack()))
			err = problem.New(problem.Internal, "a bug in Greenroom: %v", r)
		}
	}()
	return f(a.Actions[t.Step.Action])
}

// cancel records that a person asked to stop, and ends the step under way where it can be ended.
func (a *active) cancel(ctx context.Context, by string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		r, err := a.Store.Run(ctx, a.run.ID)
		if err != nil {
			return err
		}
		return ended(r)
	}
	entry, err := a.Store.Append(ctx, a.run.ID, cancelled(by), cancelAudit(a.run, by))
	if err != nil {
		return err
	}
	a.journal = append(a.journal, entry)
	a.turn()
	return nil
}

func (a *active) lockedRecord(e plan.Entry, commits ...store.Commit) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.record(e, commits...)
}

// record writes an entry into the journal.
func (a *active) record(e plan.Entry, commits ...store.Commit) error {
	return a.persist(func(ctx context.Context) error {
		entry, err := a.Store.Append(ctx, a.run.ID, e, commits...)
		if err == nil {
			a.journal = append(a.journal, entry)
		}
		return err
	})
}

// persist repeats a write that fails because the disk is full or the file can't be reached: the run waits, what it did
// stays, and it goes on by itself when there is room again. Only the end of the executor ends the waiting. A write under
// way is never cancelled.
func (a *active) persist(write func(ctx context.Context) error) error {
	for d := 250 * time.Millisecond; ; d = min(2*d, 10*time.Second) {
		err := write(context.WithoutCancel(a.ctx))
		if !store.Passing(err) {
			return err
		}
		a.Log.Error("run waits for the store", "run", a.run.ID, "error", err)
		if a.Pause(a.ctx, d) != nil {
			return err
		}
	}
}
