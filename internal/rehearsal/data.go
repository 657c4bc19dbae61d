package rehearsal

import (
	"context"
	"fmt"
	"time"

	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/human"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
	"greenroom/internal/run"
)

// Data is what a stage's data is: the result of the step that brought it there.
type Data struct {
	Snapshot string        `json:"snapshot"` // its id
	From     string        `json:"from"`
	Taken    time.Time     `json:"taken"`
	Age      time.Duration `json:"age"`          // when it came to the stage
	Found    bool          `json:"found"`        // it was there before, and not taken for this rehearsal
	By       string        `json:"by,omitempty"` // the key that vouches for one from another machine
	Says     string        `json:"says"`         // "a masked copy of production of 2026-11-26 09:30 UTC, 1.2 GB"
	Schema   string        `json:"schema"`       // fingerprint of the database that it was copied from
	Masked   string        `json:"masked"`       // and of what the stage has; another one where texts in the schema were masked
	Rows     int64         `json:"rows"`
	Changed  int64         `json:"changed"` // values that the mask changed
}

// data brings a masked copy of production's data to the stage, and puts a pristine one beside it. Unless the plan names a
// copy, a rehearsal takes one of its own: one that was interrupted goes on with the one that it took.
func (r *Rehearsals) data(ctx context.Context, t *run.Task, s *set) (any, error) {
	from := s.stage.Settings.Data
	if from == nil {
		return nil, problem.New(problem.Blocked, "the definition in force has no data for the stage any more").WithHint("greenroom rehearse %s", t.Plan.Release.Short())
	}
	source, ok := r.World.Open(s.Policy, from.From)
	if !ok {
		return nil, problem.New(problem.NotFound, "%s has no environment %s", t.Plan.App, from.From).WithHint("greenroom apply")
	}
	// It was proven when the stage was made; but the machine may have been started anew since, and the stage's network with it.
	if _, _, err := s.stage.Isolate(ctx); err != nil {
		return nil, err
	}
	snapshot, d, err := r.copied(ctx, t, s, source)
	if err != nil {
		return nil, err
	}
	if err := source.SweepSnapshots(ctx, from.Keep); err != nil { // now, because from here on it may be cancelled
		return nil, err
	}
	t.Progress("loading it")
	if err := s.stage.Populate(ctx, s.Old, snapshot, say(t)); err != nil {
		return nil, err
	}
	t.Progress("a pristine copy beside it")
	if err := s.stage.KeepPristine(ctx, s.Old); err != nil {
		return nil, err
	}
	return d, nil
}

// copied is the copy that the plan names, or a new one.
func (r *Rehearsals) copied(ctx context.Context, t *run.Task, s *set, source *environment.Environment) (environment.Snapshot, Data, error) {
	var named DataArgs
	if err := t.Args(&named); err != nil {
		return environment.Snapshot{}, Data{}, err
	}
	from := *s.stage.Settings.Data
	if named.ID == "" {
		t.Progress("a masked copy of %s", from.From)
		snapshot, err := source.TakeSnapshot(ctx, s.Old, from, t.Run, say(t))
		return snapshot, described(snapshot, from.From, r.World.Now()), err
	}
	t.Progress("the snapshot %s of %s", named.ID, from.From)
	snapshot, err := s.stage.Choose(ctx, s.Policy, source, named.ID)
	if err != nil {
		return snapshot, Data{}, err
	}
	d := described(snapshot, from.From, r.World.Now())
	d.Found = true
	if d.By, err = r.World.Vouched(ctx, s.Policy, snapshot); err != nil {
		return snapshot, d, err
	}
	d.Says += fmt.Sprintf(", %s old (snapshot %s)", age(d.Age), d.Snapshot)
	return snapshot, d, nil
}

// staleAfter is how old a copy may be before the report says that production is another by now.
const staleAfter = 7 * 24 * time.Hour

// note is what a reader should know of a copy that was there before; "" for one that was taken for the rehearsal.
func (d Data) note() string {
	if !d.Found {
		return ""
	}
	text := fmt.Sprintf("the stage's data is the snapshot %s of %s, which was %s old: what was written since is not in it", d.Snapshot, d.From, age(d.Age))
	if d.By != "" {
		text += fmt.Sprintf("; %s vouches for it", d.By)
	}
	if d.Age > staleAfter {
		text += fmt.Sprintf(". That is more than %s, and %s is another by now: take a new one", age(staleAfter), d.From)
	}
	return text
}

// used is the copy in a report.
func (d Data) used() *evidence.SnapshotUsed {
	return &evidence.SnapshotUsed{ID: d.Snapshot, Environment: d.From, Taken: d.Taken, Age: d.Age, Found: d.Found, By: d.By}
}

// age is how old something is, as exactly as one wants to know.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < 48*time.Hour:
		return human.Duration(d.Round(time.Minute))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// sweep removes what is too much of the copies that rehearsals took, and what one that was killed left of its own.
func (r *Rehearsals) sweep(ctx context.Context, s *set) error {
	from := s.stage.Settings.Data
	if from == nil {
		return nil
	}
	source, ok := r.World.Open(s.Policy, from.From)
	if !ok {
		return nil
	}
	return source.SweepSnapshots(ctx, from.Keep)
}

func described(s environment.Snapshot, from string, now time.Time) Data {
	d := Data{Snapshot: s.ID, From: from, Schema: s.Data.Schema, Masked: s.Data.Masked, Taken: s.Data.Taken}
	d.Age = max(0, now.Sub(d.Taken)) // a clock may have been set back
	for _, table := range s.Data.Tables {
		d.Rows += table.Rows
		for _, n := range table.Changed {
			d.Changed += n
		}
	}
	d.Says = fmt.Sprintf("a masked copy of %s of %s, %s in %d tables", from, moment(d.Taken), migration.Bytes(s.Data.Source), len(s.Data.Tables))
	return d
}

// startOld puts production's release on the stage.
func (r *Rehearsals) startOld(ctx context.Context, t *run.Task, s *set) (any, error) {
	if t.Attempt > 1 { // a seed that was sown twice is another one
		return nil, r.again(ctx, t, s)
	}
	return nil, r.occupy(ctx, t, s)
}

// occupy gives a stage to production's release: its data, its services. Where it has no copy of production's data, that is
// what the release's own migrations and seed make.
func (r *Rehearsals) occupy(ctx context.Context, t *run.Task, s *set) error {
	if err := s.stage.Route(ctx, environment.All(s.Old)); err != nil {
		return err
	}
	copied, err := t.Result(stepData, &Data{})
	if err != nil {
		return err
	}
	if !copied {
		if err := r.sow(ctx, t, s); err != nil {
			return err
		}
	}
	if err := s.stage.Start(ctx, s.Old, processes(s.Old), say(t)); err != nil {
		return err
	}
	_, _, err = s.stage.Prove(ctx, s.Old)
	return err
}

// asOld is what a migration that is not the new release's counts as the run's of: a replica that migrates as it starts keeps
// the name for its sessions, and would be taken for a part of the new release's migration, and ended with it.
func asOld(t *run.Task) string { return t.Run + "-old" }

// sow makes the database by production's release itself, and puts a pristine copy beside it.
func (r *Rehearsals) sow(ctx context.Context, t *run.Task, s *set) error {
	t.Progress("its database")
	m, err := s.stage.Migrate(ctx, s.Old, asOld(t), environment.Migrating{})
	if err != nil {
		return err
	}
	if m.Failed != "" {
		return problem.New(problem.Inconclusive, "production's release can't build its own database: %s\n%s", m.Failed, m.Output)
	}
	if err := s.stage.Seed(ctx, s.Old, t.Run); err != nil {
		return err
	}
	if err := r.catchUp(ctx, t, s); err != nil {
		return err
	}
	if s.Old.Contents.Database == nil {
		return nil
	}
	return s.stage.KeepPristine(ctx, s.Old)
}

// again makes the stage what it was before a step that a kill interrupted: what the new release's migration did until
// then would be taken for production's schema.
func (r *Rehearsals) again(ctx context.Context, t *run.Task, s *set) error {
	if !s.HasOld {
		_, err := r.raise(ctx, t, s)
		return err
	}
	copied, err := t.Result(stepData, &Data{})
	if err != nil {
		return err
	}
	if !copied {
		if _, err := r.raise(ctx, t, s); err != nil {
			return err
		}
		return r.occupy(ctx, t, s)
	}
	if err := r.reset(ctx, t, s); err != nil {
		return err
	}
	return r.occupy(ctx, t, s)
}

// reset ends everything that uses the stage's database and makes it the pristine copy again.
func (r *Rehearsals) reset(ctx context.Context, t *run.Task, s *set) error {
	for _, release := range s.both() {
		if err := s.stage.Stop(ctx, release, processes(release)); err != nil {
			return err
		}
	}
	how, ok, err := s.stage.Reset(ctx, s.Old)
	if err != nil {
		return err
	}
	if !ok {
		return problem.New(problem.Inconclusive, "there is no pristine copy of the stage's data to go back to")
	}
	t.Progress("a fresh copy of the data: %s", how)
	return nil
}
