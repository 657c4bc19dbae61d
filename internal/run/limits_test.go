package run

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"greenroom/internal/plan"
)

// A step says for itself how often taking it back may fail, and a person is told how often it was tried.
func TestAttemptsOfAStepsOwn(t *testing.T) {
	x := &scripted{do: failing("shift"), undo: func(context.Context, *Task) error { return errors.New("can't") }}
	e := executor(t, x)
	p := fourSteps()
	p.Steps[2].UndoAttempts = 2
	r := end(t, e, start(t, e, p))
	if want := "shift could not be taken back: tried 2 times: can't"; r.Outcome != plan.NeedsOperator || !strings.HasPrefix(r.Reason, want) {
		t.Errorf("%s: %s, want %s", r.Outcome, r.Reason, want)
	}
	if got, want := strings.Count(x.history(), "undo shift"), 2; got != want {
		t.Errorf("it was tried %d times, want %d", got, want)
	}
}

// A step that needs longer to be taken back than others has that time, and no other step has it.
func TestTimeOfAStepsOwn(t *testing.T) {
	x := &scripted{do: failing("shift"), undo: func(ctx context.Context, t *Task) error {
		until, ok := ctx.Deadline()
		if left := time.Until(until); !ok || (t.Step.Name == "shift") != (left > time.Minute) {
			return errors.New(t.Step.Name + " has " + left.String())
		}
		return nil
	}}
	e := executor(t, x)
	e.UndoTime = time.Minute
	p := fourSteps()
	p.Steps[1].UndoTime, p.Steps[2].UndoTime = time.Second, time.Hour
	if r := end(t, e, start(t, e, p)); r.Outcome != plan.RolledBack {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
}

// Whoever does something for as long as a run goes on is told when it ends, and also when it halts.
func TestWhoIsToldOfRunsThatAreLeft(t *testing.T) {
	for name, halts := range map[string]bool{"ended": false, "halted": true} {
		t.Run(name, func(t *testing.T) {
			x := &scripted{}
			e := executor(t, x)
			left := make(chan string, 1)
			e.Left = func(id string) { left <- id }
			x.do = func(ctx context.Context, t *Task) (any, error) {
				if halts && t.Step.Name == "shift" {
					return nil, e.Store.Close()
				}
				return nil, nil
			}
			id := start(t, e, fourSteps())
			select {
			case got := <-left:
				if got != id {
					t.Errorf("%s is left, want %s", got, id)
				}
			case <-time.After(time.Minute):
				t.Error("nobody was told")
			}
		})
	}
}
