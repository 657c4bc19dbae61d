package promotion

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/run"
)

// RestoreArgs are the arguments of ActionRestore: which copy the database is made of.
type RestoreArgs struct {
	ID       string `json:"id"`
	Snapshot bool   `json:"snapshot,omitempty"` // masked, and from another environment; else a backup of this one
	From     string `json:"from,omitempty"`     // a snapshot's environment
}

func (a RestoreArgs) String() string {
	if a.Snapshot {
		return "the snapshot " + a.ID + " of " + a.From
	}
	return "the backup " + a.ID
}

// restoreTime is what the maintenance page says at first: nobody rehearsed how long a restore takes.
const restoreTime = time.Minute

// restored plans a restore. Nobody writes from before the last backup until the page is gone, so that up to there nothing
// is lost but what the restore itself gives up. Where the copy is of the time of another release, that one is live
// afterwards, since it is the one that can live on it.
func (b *builder) restored() {
	pause := PauseArgs{Maintenance: true, Expected: restoreTime}
	if b.New != b.Old {
		b.wayBack()
	}
	with(b.step("maintenance", ActionPause, true, "show the maintenance page"), pause)
	b.drain()
	b.stopOld("stop-old", b.oldServices(anyOrder))
	b.backup()
	with(b.step("restore", ActionRestore, true, "make the data what %s holds", b.Copy), *b.Copy)
	if b.New == b.Old {
		with(b.step("start", ActionRestart, true, "start %s again", join(b.oldServices(anyOrder))), ServicesArgs{Services: b.oldServices(anyOrder)})
		b.candidate()
		with(b.step("open", ActionResume, true, "take the maintenance page away"), pause)
		b.verify()
		return
	}
	b.start("start", b.services(anyOrder))
	b.candidate()
	b.share(100)
	b.live()
	with(b.step("open", ActionResume, true, "take the maintenance page away"), pause)
	b.verify()
	b.watch()
	b.retire()
}

// restore makes the database what the copy holds. Interrupted, it is done again from the start.
func (p *Promotions) restore(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	var a RestoreArgs
	if err := t.Args(&a); err != nil {
		return nil, err
	}
	record, err := p.World.Store.Environment(ctx, sc.env.App, sc.env.Name) // it stays as it is until the step is done
	if err != nil {
		return nil, err
	}
	if err := p.restoreFrom(ctx, t, sc, a); err != nil {
		return nil, err
	}
	schema, err := sc.env.Fingerprint(ctx, sc.database())
	if err != nil {
		return nil, err
	}
	recordSchema(t, sc, schema, gate.SchemaProven)
	return wayBack{Schema: record.Schema, SchemaState: record.SchemaState}, nil
}

// copyIntact reads the copy that a restore is made of, before anybody is shown a maintenance page for one that is damaged.
func (p *Promotions) copyIntact(t *run.Task, sc *scene) error {
	for _, s := range t.Plan.Steps {
		var a RestoreArgs
		if s.Action != ActionRestore {
			continue
		}
		if err := json.Unmarshal(s.Args, &a); err != nil || a.Snapshot { // a snapshot is checked as it is loaded
			return err
		}
		backup, err := sc.env.BackupOf(a.ID)
		if err != nil {
			return err
		}
		return data.Intact(backup.Copy.File)
	}
	return nil
}

func (p *Promotions) restoreFrom(ctx context.Context, t *run.Task, sc *scene, a RestoreArgs) error {
	if !a.Snapshot {
		backup, err := sc.env.BackupOf(a.ID)
		if err != nil {
			return err
		}
		return sc.env.Restore(ctx, sc.database(), backup.Copy.File)
	}
	from, ok := p.World.Open(sc.Policy, a.From)
	if !ok {
		return problem.New(problem.NotFound, "%s has no environment %s any more", t.Plan.App, a.From)
	}
	snapshot, err := sc.env.Choose(ctx, sc.Policy, from, a.ID)
	if err != nil {
		return err
	}
	return sc.env.Populate(ctx, sc.database(), snapshot, say(t))
}

// unrestore makes the database what it was before: nobody has written since the backup of this run was taken.
func (p *Promotions) unrestore(ctx context.Context, t *run.Task, sc *scene) error {
	if !t.WasDone("backup") {
		return fmt.Errorf("the restore began without a backup")
	}
	t.Progress("restoring what was there before")
	if err := sc.env.Restore(ctx, sc.database(), sc.env.BackupFile(t.Run)); err != nil {
		return err
	}
	// What was recorded before holds again: a schema that was half-migrated is no proven one because a restore failed.
	var was wayBack
	if done, err := t.Result(t.Step.Name, &was); err != nil || !done {
		return err
	}
	recordSchema(t, sc, was.Schema, was.SchemaState)
	return nil
}

// restart starts the release that was stopped, on what the database holds now.
func (p *Promotions) restart(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	if _, err := p.route(ctx, t, sc); err != nil {
		return nil, err
	}
	return nil, p.startOld(ctx, t, sc)
}

func (p *Promotions) unrestart(ctx context.Context, t *run.Task, sc *scene) error {
	if err := p.routeBack(ctx, t, sc); err != nil {
		return err
	}
	_, err := p.stopOld(ctx, t, sc)
	return err
}

// nothingWasKept is why a person is needed when a restore is to be taken back after people were let in again.
func nothingWasKept(t *run.Task, sc *scene) error {
	return problem.New(problem.Blocked, "people have written since the page was taken away, and going back would lose that").
		WithHint("look at it; what was there before the restore is greenroom backup restore %s --environment %s", t.Run, sc.env.Name)
}

// marksBad says whether the run makes another release live because the one that was is not wanted any more.
func marksBad(p plan.Plan) bool {
	return p.Kind == plan.Rollback || p.Kind == plan.Restore && p.From != p.Release
}
