// Package plan is what a promotion or a rehearsal will do, as data: the dry run, the journal and the page show this one
// value. Next decides, from the plan and the journal alone, what comes now.
package plan

import (
	"encoding/json"
	"time"

	"greenroom/internal/release"
)

// Format is the version of plans that this Greenroom writes. A newer one finishes or safely stops an older plan.
const Format = 1

// Kind says what a plan is for.
type Kind string

// The kinds of plan.
const (
	Promotion Kind = "promotion"
	Rollback  Kind = "rollback"
	Rehearsal Kind = "rehearsal"
	Restore   Kind = "restore" // make an environment's data what a backup or a snapshot holds
)

// Plan is a list of steps in the order in which they are done.
type Plan struct {
	Format      int            `json:"format"`
	Kind        Kind           `json:"kind"`
	App         string         `json:"app"`
	Environment string         `json:"environment"` // or the stage, in a rehearsal
	Release     release.Digest `json:"release"`
	From        release.Digest `json:"from,omitempty"` // what was live when the plan was made
	Policy      string         `json:"policy"`         // digest of the policy in force when the plan was made
	Because     string         `json:"because,omitempty"`
	Glass       *Glass         `json:"glass,omitempty"` // a promotion past the gate's no
	Steps       []Step         `json:"steps"`
}

// Glass is a person's word to go past a gate's no; the plan's Because says why.
type Glass struct {
	HalfMigrated bool `json:"half_migrated,omitempty"` // also on a schema that is half-migrated or unknown
}

// Step is one idempotent action. Doing it again after a kill must be the same as doing it once.
type Step struct {
	Name   string          `json:"name"`   // unique in the plan
	Action string          `json:"action"` // which action carries it out
	Says   string          `json:"says"`   // what a person reads while it runs: "start 10 replicas of web beside the old"
	Args   json.RawMessage `json:"args,omitempty"`
	// Changes says that the step has an effect that is taken back when the run turns round.
	Changes bool `json:"changes,omitempty"`
	// UndoTime is how long one attempt to take it back may take, where that is longer than for any other step.
	UndoTime time.Duration `json:"undo_time,omitempty"`
	// UndoAttempts is how often taking it back may fail; 0 is Attempts.
	UndoAttempts int `json:"undo_attempts,omitempty"`
	// Always steps run forward even when the run turned round (taking down a stage), once all else was taken back. They
	// are never taken back themselves.
	Always bool `json:"always,omitempty"`
}

// State is where a step stands in the journal.
type State string

// The states of a step. A step without an entry has not been touched.
const (
	Started State = "started" // its effect may or may not have happened
	Done    State = "done"
	Failed  State = "failed"  // it did not work; its effect may have partly happened, and is undone as well
	Undoing State = "undoing" // taking back has begun
	Undone  State = "undone"
	Stuck   State = "stuck" // it could not be taken back, or an Always step could not be done: a person is needed
	// Cancelled belongs to the whole run: its entry has no step. A person asked to stop; the run turns round.
	Cancelled State = "cancelled"
)

// Entry is one line of the journal. The journal only grows; the last entry of a step counts.
type Entry struct {
	Seq    int64           `json:"seq"`
	Step   string          `json:"step"`
	State  State           `json:"state"`
	Error  string          `json:"error,omitempty"`
	Hint   string          `json:"hint,omitempty"`
	Result json.RawMessage `json:"result,omitempty"` // what the action wants to remember, and a person sees
	At     time.Time       `json:"at"`
}

// Outcome is how a run ended.
type Outcome string

// The outcomes. A run that is under way or queued has none.
const (
	Succeeded     Outcome = "succeeded"
	RolledBack    Outcome = "rolled back"
	Stopped       Outcome = "failed" // it failed before it changed anything, or has nothing to take back
	NeedsOperator Outcome = "needs operator"
)
