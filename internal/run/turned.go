package run

import (
	"slices"

	"greenroom/internal/plan"
)

// Turned says why the run is being taken back, and whether because a person cancelled it. Only Undo, and an Always step,
// have use for it; while the run goes forward the reason is "".
func (t *Task) Turned() (reason string, cancelled bool) { return plan.Turned(t.Plan, t.journal) }

// WasDone says whether the step of that name was done in this run, whatever happened to it later.
func (t *Task) WasDone(step string) bool {
	for _, e := range t.journal {
		if e.Step == step && e.State == plan.Done {
			return true
		}
	}
	return false
}

// WasBegun says whether the step of that name was begun in this run, whatever became of it.
func (t *Task) WasBegun(step string) bool {
	return slices.ContainsFunc(t.journal, func(e plan.Entry) bool { return e.Step == step })
}
