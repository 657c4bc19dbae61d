package daemon

import (
	"context"
	"slices"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/environment"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// Copies is api.Backend's.
func (d *Daemon) Copies(ctx context.Context, name, at string, kind api.CopyKind) ([]api.CopyView, error) {
	if err := knownKind(kind); err != nil {
		return nil, err
	}
	known, err := d.world.Store.App(ctx, name)
	if err != nil {
		return nil, err
	}
	if at != "" {
		if _, _, err := d.policyAnd(ctx, name, at); err != nil {
			return nil, err
		}
	}
	var all []api.CopyView
	for _, e := range known.Policy.Environments {
		if at != "" && e.Name != at {
			continue
		}
		env, _ := d.world.Open(known.Policy, e.Name)
		views, err := d.copiesOf(ctx, known.Policy, env, kind)
		if err != nil {
			return nil, err
		}
		all = append(all, views...)
	}
	slices.SortStableFunc(all, func(a, b api.CopyView) int { return b.Taken.Compare(a.Taken) })
	return all, nil
}

func knownKind(kind api.CopyKind) error {
	if kind != api.CopySnapshot && kind != api.CopyBackup {
		return problem.New(problem.Invalid, "there is no kind of copy called %q: they are %s and %s", kind, api.CopySnapshot, api.CopyBackup)
	}
	return nil
}

func (d *Daemon) copiesOf(ctx context.Context, p app.Policy, env *environment.Environment, kind api.CopyKind) (views []api.CopyView, err error) {
	if kind == api.CopyBackup {
		backups, err := env.Backups()
		for _, b := range backups {
			views = append(views, backupView(b))
		}
		return views, err
	}
	snapshots, err := env.Snapshots()
	for _, s := range snapshots {
		views = append(views, d.snapshotView(ctx, p, s))
	}
	return views, err
}

func backupView(b environment.Backup) api.CopyView {
	return api.CopyView{
		Kind: api.CopyBackup, ID: b.ID, Environment: b.Environment, Taken: b.Taken, Size: b.Copy.Size, Path: b.Copy.File, Schema: b.Schema,
		SHA256: b.Copy.SHA256, Release: b.Release, Verified: b.Verified, Undeclared: b.Release == "", Damaged: b.Damaged,
	}
}

func (d *Daemon) snapshotView(ctx context.Context, p app.Policy, s environment.Snapshot) api.CopyView {
	v := api.CopyView{
		Kind: api.CopySnapshot, ID: s.ID, Environment: s.Environment, Taken: s.Data.Taken, Size: s.Data.Size, Path: s.Dir, Schema: s.Data.Schema,
		Damaged: s.Damaged, Rules: s.Data.Rules, Pseudonyms: s.Data.Pseudonyms,
	}
	if s.Origin != nil {
		v.Brought = s.Origin.Brought
	}
	if s.Newer {
		v.Damaged, v.Refused = "", s.Damaged
	}
	if s.Damaged == "" {
		by, err := d.world.Vouched(ctx, p, s)
		if v.By = by; err == nil {
			err = d.world.Usable(ctx, p, s)
		}
		if err != nil {
			v.Refused = problem.From(err).Message
		}
	}
	if s.Verified != nil {
		v.Verified, v.ReadBack = s.Verified.At, s.Verified.ReadBack
	}
	for _, t := range s.Data.Tables {
		v.Tables = append(v.Tables, api.CopyTable{Name: t.Name, Rows: t.Rows, Changed: t.Changed, Empty: t.None})
	}
	return v
}

// copied is what a copy is taken of, or was.
type copied struct {
	api.CopyRequest
	policy app.Policy
	env    *environment.Environment
	live   release.Release
}

// named finds what a request speaks about, wherever it lives.
func (d *Daemon) named(ctx context.Context, r api.CopyRequest) (copied, error) {
	c := copied{CopyRequest: r}
	if err := knownKind(r.Kind); err != nil {
		return c, err
	}
	known, err := d.world.Store.App(ctx, r.App)
	if err != nil {
		return c, err
	}
	c.policy = known.Policy
	if _, _, err := d.policyAnd(ctx, r.App, r.Environment); err != nil {
		return c, err
	}
	c.env, _ = d.world.Open(c.policy, r.Environment)
	return c, nil
}

// copied is named, and the release that says where the environment's database is. The environment has to be here.
func (d *Daemon) copied(ctx context.Context, r api.CopyRequest) (copied, error) {
	c, err := d.named(ctx, r)
	if err != nil {
		return c, err
	}
	if d.world.Elsewhere(c.policy, r.Environment) {
		return c, problem.New(problem.Invalid, "%s lives elsewhere, and its data with it", r.Environment).
			WithHint("there: greenroom snapshot create %s, then greenroom snapshot export latest FILE; here: greenroom snapshot import FILE", r.Environment)
	}
	live, err := d.live(ctx, c.env)
	if err != nil {
		return c, err
	}
	return c, c.with(live)
}

// with says which release knows the database.
func (c *copied) with(live *release.Release) error {
	if live == nil || live.Contents.Database == nil {
		return problem.New(problem.Invalid, "%s has no database yet: nothing is live there", c.Environment).WithHint("greenroom status")
	}
	c.live = *live
	return nil
}

// tried is copied for a copy that is to be tried, which may be a snapshot of an environment elsewhere.
func (d *Daemon) tried(ctx context.Context, r api.CopyRequest) (copied, error) {
	c, err := d.named(ctx, r)
	if err != nil || r.Kind != api.CopySnapshot || !d.world.Elsewhere(c.policy, r.Environment) {
		if err == nil {
			c, err = d.copied(ctx, r)
		}
		return c, err
	}
	s, err := d.world.Standing(ctx, c.policy, r.Environment)
	if err != nil || s == nil || s.Release == "" {
		return c, errOr(err, c.with(nil))
	}
	live, err := d.world.Release(ctx, s.Release)
	if err != nil {
		return c, err
	}
	return c, c.with(&live)
}

// running says that the environment's database can be asked.
func (d *Daemon) running(ctx context.Context, c copied) error {
	record, err := d.world.Store.Environment(ctx, c.App, c.Environment)
	if err == nil && record.Want != store.Up {
		err = problem.New(problem.Blocked, "%s is stopped", c.Environment).WithHint("greenroom up %s", c.Environment)
	}
	return err
}

// masked is how data may leave the environment that it is asked of: as the first environment says that has a copy of it.
func (c copied) masked() (app.Data, error) {
	for _, e := range c.policy.Environments {
		if e.Data != nil && e.Data.From == c.Environment {
			return *e.Data, nil
		}
	}
	if production, ok := c.policy.Production(); !ok || c.Environment != production.Name {
		return app.Data{}, problem.New(problem.Invalid, "only production's data is copied with a mask, not that of %s", c.Environment).
			WithHint("greenroom backup create %s", c.Environment)
	}
	return app.Data{}, problem.New(problem.Invalid, "nothing says how the data of %s is masked: no environment in force has `data: {from: %s, mask: mask.yaml}`",
		c.Environment, c.Environment).WithHint("greenroom mask init, then write `data:` into greenroom.yaml, then greenroom apply")
}

// TakeCopy is api.Backend's.
func (d *Daemon) TakeCopy(ctx context.Context, r api.CopyRequest) (api.Stream[api.Event], error) {
	c, err := d.copied(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := d.running(ctx, c); err != nil {
		return nil, err
	}
	id := d.world.Now().UTC().Format("20060102-150405.000")
	if r.Kind == api.CopyBackup {
		return d.telling(ctx, "b"+id, "back "+r.Environment+" up", func(say func(string)) error {
			if _, err := c.env.Backup(ctx, c.live, "b"+id); err != nil {
				return err
			}
			return d.noteCopy(ctx, c, "backup taken", "b"+id, "")
		}), nil
	}
	data, err := c.masked()
	if err != nil {
		return nil, err
	}
	return d.telling(ctx, id, "copy "+r.Environment+", masked", func(say func(string)) error {
		if _, err := c.env.TakeSnapshot(ctx, c.live, data, id, say); err != nil {
			return err
		}
		if err := d.noteCopy(ctx, c, "snapshot taken", id, ""); err != nil {
			return err
		}
		return c.env.SweepSnapshots(ctx, data.Keep)
	}), nil
}

// noteCopy writes into the log what became of a copy.
func (d *Daemon) noteCopy(ctx context.Context, c copied, action, id, because string) error {
	by := store.Audit{Actor: api.Actor(ctx), Action: action, App: c.App, Environment: c.Environment, Subject: id, Because: because}
	return d.world.Store.Change(ctx, by, func(*store.Tx) error { return nil })
}

// telling does something and tells the progress of it as one step. It ends with the context of the one who listens.
func (d *Daemon) telling(ctx context.Context, step, says string, do func(say func(string)) error) api.Stream[api.Event] {
	return func(yield func(api.Event, error) bool) {
		events := make(chan api.Event, 16)
		failed := make(chan error, 1)
		tell := func(e api.Event) {
			e.Step, e.At = step, d.world.Now()
			select {
			case events <- e:
			case <-ctx.Done():
			}
		}
		go func() {
			defer close(events)
			tell(api.Event{State: plan.Started, Text: says})
			err := do(func(text string) { tell(api.Event{Text: text}) })
			if err != nil {
				tell(api.Event{State: plan.Failed, Text: problem.From(err).Message})
			} else {
				tell(api.Event{State: plan.Done})
			}
			failed <- err
		}()
		listening := true
		for e := range events {
			listening = listening && yield(e, nil)
		}
		if err := <-failed; err != nil && listening {
			yield(api.Event{}, err)
		}
	}
}

// VerifyCopy is api.Backend's.
func (d *Daemon) VerifyCopy(ctx context.Context, r api.CopyRequest) (api.Stream[api.Event], error) {
	c, err := d.tried(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.Kind == api.CopyBackup {
		if err := d.running(ctx, c); err != nil {
			return nil, err
		}
		if _, err := c.env.BackupOf(r.ID); err != nil {
			return nil, err
		}
		return d.telling(ctx, r.ID, "restore it beside the database", func(func(string)) error {
			_, err := c.env.VerifyBackup(ctx, c.live, r.ID)
			return err
		}), nil
	}
	s, err := c.env.Snapshot(r.ID)
	if err != nil {
		return nil, err
	}
	if _, err := d.world.Vouched(ctx, c.policy, s); err != nil {
		return nil, err
	}
	return d.telling(ctx, r.ID, "load it into a server of its own", func(say func(string)) error {
		return d.try(ctx, c, s, say)
	}), nil
}

// secluded is what makes a stage one that holds production's data, also where staging is none and another environment has
// the copies.
func (c copied) secluded() (*app.Data, error) {
	if like := c.policy.Staging(); like.Data != nil {
		return like.Data, nil
	}
	data, err := c.masked()
	return &data, err
}

// try loads a snapshot on a stage that is made for that, and takes the stage down again.
func (d *Daemon) try(ctx context.Context, c copied, s environment.Snapshot, say func(string)) (err error) {
	unlock := d.locks.Lock(c.App, app.TrialName)
	defer unlock()
	stage := d.world.Stage(c.policy, app.TrialName).For(c.live)
	if stage.Settings.Data, err = c.secluded(); err != nil {
		return err
	}
	if err := stage.Remove(ctx); err != nil { // what an interrupted one left
		return err
	}
	defer func() {
		if downErr := stage.Remove(context.WithoutCancel(ctx)); err == nil {
			err = downErr
		}
	}()
	if _, _, err := stage.Isolate(ctx); err != nil {
		return err
	}
	return stage.Try(ctx, c.live, s, say)
}

// RemoveCopy is api.Backend's.
func (d *Daemon) RemoveCopy(ctx context.Context, r api.CopyRequest) error {
	c, err := d.named(ctx, r)
	if err != nil {
		return err
	}
	if err := d.unneeded(ctx, r); err != nil {
		return err
	}
	if r.Kind == api.CopyBackup {
		return d.removeBackup(ctx, c)
	}
	if err := c.env.RemoveSnapshot(r.ID); err != nil {
		return err
	}
	return d.noteCopy(ctx, c, "snapshot removed", r.ID, "")
}

func (d *Daemon) removeBackup(ctx context.Context, c copied) error {
	record, err := d.world.Store.Environment(ctx, c.App, c.Environment)
	if err != nil {
		return err
	}
	if record.SchemaState == gate.SchemaHalfMigrated {
		return problem.New(problem.Blocked, "the schema of %s is half-migrated, and a backup may be the way back", c.Environment).
			WithHint("greenroom db status %s", c.Environment)
	}
	if err := c.env.RemoveBackup(c.ID); err != nil {
		return err
	}
	return d.noteCopy(ctx, c, "backup removed", c.ID, "")
}

// unneeded says that no run under way may need a copy yet: its own, or one that it restores or rehearses on.
func (d *Daemon) unneeded(ctx context.Context, r api.CopyRequest) error {
	open, err := d.world.Store.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, o := range open {
		if o.Plan.App == r.App && (o.ID == r.ID || slices.ContainsFunc(o.Plan.Steps, func(s plan.Step) bool { return needs(s, r.ID) })) {
			return problem.New(problem.Blocked, "the %s %s may need it yet", o.Plan.Kind, o.ID).WithHint("greenroom status")
		}
	}
	return nil
}
