// Package rehearsal puts a release through a full dress rehearsal on a stage: a disposable copy of staging with
// production's release on it, which the new one then takes the place of and gives it back to.
//
// A check that fails is a finding, not a failed step: the rehearsal goes on and reports it. A step fails only where the
// rehearsal itself could not go on, and then the report is inconclusive.
package rehearsal

import (
	"encoding/json"
	"fmt"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// Stage is the name of the disposable environment in which an app's rehearsals happen, one after the other.
const Stage = app.StageName

// The built-in checks.
const (
	CheckMigration = "migration"  // the new release's migration, on production's schema, while the old release runs
	CheckOldOnNew  = "old-on-new" // the old release's journeys on the new schema
	CheckRollback  = "rollback"   // records whether one can go back; passes
)

// Builtin are the names of the built-in checks of a rehearsal against a release.
func Builtin() []string { return []string{CheckMigration, CheckOldOnNew, CheckRollback} }

// The actions of a rehearsal's steps. None needs taking back: the last step takes the stage down, whatever happened.
const (
	ActionBaseline = "rehearsal.baseline" // read what production is
	ActionStage    = "rehearsal.stage"    // make the stage: folders, addresses, a database server
	ActionData     = "rehearsal.data"     // a masked copy of production's data, if the definition asks for one
	ActionOld      = "rehearsal.old"      // production's release, with that data or a database of its own
	ActionBefore   = "rehearsal.before"   // its journeys, before anything changes: they have to pass
	ActionMigrate  = "rehearsal.migrate"  // the new release's migration
	ActionOldOnNew = "rehearsal.old-on-new"
	ActionNew      = "rehearsal.new" // the new release, and all of the stage's traffic to it
	ActionCheck    = "rehearsal.check"
	ActionBack     = "rehearsal.back"  // the traffic back to the old release, and its journeys again
	ActionAgain    = "rehearsal.again" // the migration once more on a fresh copy, while nobody else writes
	ActionReport   = "rehearsal.report"
	ActionDown     = "rehearsal.down" // take the stage down
)

// Facts are what a rehearsal's plan is made from.
type Facts struct {
	App         string
	Policy      string
	New, Old    release.Digest // Old is what is live in production, empty for a first release
	NewContents app.Contents
	OldContents app.Contents
	Data        *app.Data // what the stage's data is a copy of; nil: the seed
	Where       string    // the environment that it happens in; "" is Stage
	Snapshot    *DataArgs // the copy that there is already; nil: one is taken
}

// The names of steps that others look for.
const (
	stepData  = "data"
	stepAgain = "again"
)

// DataArgs are the arguments of ActionData: which snapshot it is that is brought to the stage. Without them one is taken.
type DataArgs struct {
	ID    string    `json:"id"`
	Taken time.Time `json:"taken"`
}

// CheckArgs are the arguments of ActionCheck.
type CheckArgs struct {
	Check string `json:"check"`
}

// Make is the plan for these facts.
func Make(f Facts) plan.Plan {
	if f.NewContents.Deploy != nil {
		return f.deployed()
	}
	p := plan.Plan{Format: plan.Format, Kind: plan.Rehearsal, App: f.App, Environment: Stage, Release: f.New, From: f.Old, Policy: f.Policy}
	step := func(name, action, says string, args ...any) *plan.Step {
		p.Steps = append(p.Steps, plan.Step{Name: name, Action: action, Says: fmt.Sprintf(says, args...)})
		return &p.Steps[len(p.Steps)-1]
	}
	step("baseline", ActionBaseline, "read what production is")
	step("stage", ActionStage, "make a stage")
	if f.Old != "" && f.Data != nil && f.OldContents.Database != nil {
		f.data(step)
	}
	if f.Old != "" {
		step("old", ActionOld, "start production's release %s on it", f.Old.Short())
		step("before", ActionBefore, "its journeys, before anything changes")
	}
	if f.NewContents.Migrations != nil {
		step(CheckMigration, ActionMigrate, "migrate with %s", f.New.Short())
	}
	if f.Old != "" {
		step(CheckOldOnNew, ActionOldOnNew, "the old release's journeys on the new schema")
	}
	step("new", ActionNew, "start %s and send the stage's traffic to it", f.New.Short())
	f.checks(step)
	if f.Old != "" {
		step(CheckRollback, ActionBack, "back to %s, and its journeys again", f.Old.Short())
	}
	if f.Old != "" && f.NewContents.Migrations != nil && f.NewContents.Database != nil {
		step(stepAgain, ActionAgain, "migrate once more on a fresh copy, and compare the data")
	}
	step("report", ActionReport, "write the report").Always = true
	step("down", ActionDown, "take the stage down").Always = true
	return p
}

// checks plans the team's own.
func (f Facts) checks(step func(name, action, says string, args ...any) *plan.Step) {
	for _, c := range f.NewContents.Checks {
		if c.AtBuild {
			continue
		}
		s := step("check-"+c.Name, ActionCheck, "%s: %s", c.Name, c.Run)
		s.Args = argsOf(CheckArgs{Check: c.Name})
	}
}

// data plans how the stage gets its data.
func (f Facts) data(step func(name, action, says string, args ...any) *plan.Step) {
	if f.Snapshot == nil {
		step(stepData, ActionData, "a masked copy of %s's data", f.Data.From)
		return
	}
	s := step(stepData, ActionData, "the snapshot %s of %s, of %s", f.Snapshot.ID, f.Data.From, moment(f.Snapshot.Taken))
	s.Args = argsOf(f.Snapshot)
}

func argsOf(a any) json.RawMessage {
	raw, err := json.Marshal(a)
	if err != nil { // texts and times
		panic(fmt.Sprintf("rehearsal: arguments: %v", err))
	}
	return raw
}

// moment is how people are told of one.
func moment(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// Journeys are the checks that do what a user does.
func Journeys(c app.Contents) []app.Check {
	var out []app.Check
	for _, ch := range c.Checks {
		if ch.Journey {
			out = append(out, ch)
		}
	}
	return out
}
