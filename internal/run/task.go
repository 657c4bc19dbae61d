package run

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"greenroom/internal/plan"
	"greenroom/internal/store"
)

// Task is one step to do or to take back, and all that is known of its run.
type Task struct {
	Run     string
	Actor   string // who started the run
	Plan    plan.Plan
	Step    plan.Step
	Attempt int // 1 for the first; more after a kill, or when an attempt failed and is repeated

	journal  []plan.Entry
	commits  []store.Commit
	progress func(text string)
}

// Args reads the step's arguments into v, which stays as it is where there are none.
func (t *Task) Args(v any) error {
	if len(t.Step.Args) == 0 {
		return nil
	}
	if err := json.Unmarshal(t.Step.Args, v); err != nil {
		return fmt.Errorf("arguments of step %s: %w", t.Step.Name, err)
	}
	return nil
}

// Result reads what a step of this run returned into v: an earlier one's, or in Undo this one's own. It is false for a
// step that was not done.
func (t *Task) Result(step string, v any) (bool, error) {
	for i := len(t.journal) - 1; i >= 0; i-- {
		e := t.journal[i]
		if e.Step != step || e.State != plan.Done {
			continue
		}
		if len(e.Result) == 0 {
			return true, nil
		}
		if err := json.Unmarshal(e.Result, v); err != nil {
			return false, fmt.Errorf("result of step %s: %w", step, err)
		}
		return true, nil
	}
	return false, nil
}

// Progress tells people what goes on. It is kept, so it is for the few lines that a person wants to read.
func (t *Task) Progress(format string, args ...any) { t.progress(fmt.Sprintf(format, args...)) }

// OnRecord changes the store in the same transaction that records the step as done (or taken back): both happen, or
// neither. Actor, app, environment and run of the audit entry are filled in where they are empty. do may be called more
// than once, and touches nothing but the transaction.
func (t *Task) OnRecord(by store.Audit, do func(ctx context.Context, tx *store.Tx) error) {
	if by.Actor == "" {
		by.Actor = t.Actor
	}
	if by.App == "" {
		by.App = t.Plan.App
	}
	if by.Environment == "" {
		by.Environment = t.Plan.Environment
	}
	by.Run = t.Run
	t.commits = append(t.commits, store.Commit{By: by, Do: func(tx *store.Tx) error {
		return do(context.Background(), tx)
	}})
}

// Outcome is how the run ends once this step is done; "" when more is to be done after it.
func (t *Task) Outcome() plan.Outcome {
	m := plan.Next(t.Plan, append(slices.Clone(t.journal), plan.Entry{Step: t.Step.Name, State: plan.Done}))
	return m.Outcome
}
