package api

import (
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// RunRequest asks for a promotion, a rollback or a rehearsal.
type RunRequest struct {
	Kind        plan.Kind `json:"kind"`
	App         string    `json:"app"`
	Release     string    `json:"release,omitempty"`     // a release's name; "" in a rollback: the last one that the live schema can carry
	Environment string    `json:"environment,omitempty"` // not in a rehearsal
	Because     string    `json:"because,omitempty"`     // a reason, which a release known to be bad demands
	// Snapshot is the id of the snapshot that a rehearsal is held on, or latest; "" takes a new one, and where production is on
	// another machine the newest that was brought from there.
	Snapshot string `json:"snapshot,omitempty"`
	// Copy is what a restore makes the environment's data of.
	Copy *CopyRequest `json:"copy,omitempty"`
	// BreakGlass promotes past a no; Because is needed, and the right to. HalfMigrated is needed as well where the schema is
	// half-migrated or not known.
	BreakGlass   bool `json:"break_glass,omitempty"`
	HalfMigrated bool `json:"half_migrated,omitempty"`
}

// PlanView is what would be done, and whether it may.
type PlanView struct {
	Plan     plan.Plan     `json:"plan"`
	Decision gate.Decision `json:"decision"` // of the gate; allowed without demands where none is asked
}

// Explanation is a gate's decision about one release.
type Explanation struct {
	Release     ReleaseView   `json:"release"`
	Environment string        `json:"environment"`
	Live        bool          `json:"live,omitempty"`      // it is live there: the decision is about what it is today
	Elsewhere   bool          `json:"elsewhere,omitempty"` // another Greenroom runs it, and decides
	Decision    gate.Decision `json:"decision"`
}

// RunView is a run as people see it: its plan, its journal so far, and how it ended.
type RunView struct {
	ID        string       `json:"id"`
	Plan      plan.Plan    `json:"plan"`
	Journal   []plan.Entry `json:"journal,omitempty"`
	Outcome   plan.Outcome `json:"outcome,omitempty"` // "" while it is queued or under way
	Reason    string       `json:"reason,omitempty"`  // why it did not succeed, for a person
	Hint      string       `json:"hint,omitempty"`    // the next command
	Cancelled bool         `json:"cancelled,omitempty"`
	Queue     int          `json:"queue,omitempty"` // how many runs come before it; 0 once it runs
	By        string       `json:"by"`
	Created   time.Time    `json:"created"`
	Started   time.Time    `json:"started,omitzero"`
	Ended     time.Time    `json:"ended,omitzero"`
	// Migration is the forecast of the rehearsal and the fact, in a sentence; "" where nothing was foretold or migrated.
	Migration   string           `json:"migration,omitempty"`
	Measurement *Measurement     `json:"measurement,omitempty"` // of a promotion or rollback that moved traffic
	Verdict     evidence.Verdict `json:"verdict,omitempty"`     // of a rehearsal that finished
	Glass       *GlassView       `json:"glass,omitempty"`       // the gate's no that was overridden
}

// Measurement is what a promotion did to the people who used the app meanwhile, as the edge counted it.
type Measurement struct {
	Requests      int64         `json:"requests"`       // answered while the run went on
	Failed        int64         `json:"failed"`         // of them, answered with a server error or not at all
	LongestGap    time.Duration `json:"longest_gap"`    // between two good answers
	SlowestSecond time.Duration `json:"slowest_second"` // longest time to an answer in the worst second: the one with most failures, else the slowest
	Journeys      bool          `json:"journeys"`       // proven by a journey in the environment after the switch
	// Probed is what Greenroom saw by asking, of an app whose team deploys it: then no request was counted.
	Probed *evidence.Probed `json:"probed,omitempty"`
}

// RunSummary is a run in one line.
type RunSummary struct {
	ID          string         `json:"id"`
	Kind        plan.Kind      `json:"kind"`
	Environment string         `json:"environment,omitempty"`
	Release     release.Digest `json:"release"`
	Step        string         `json:"step,omitempty"` // what it does now, in words
	Queue       int            `json:"queue,omitempty"`
	By          string         `json:"by"`
	Since       time.Time      `json:"since"`
}
