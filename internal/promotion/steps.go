package promotion

import (
	"context"
	"fmt"

	"greenroom/internal/edge"
	"greenroom/internal/environment"
	"greenroom/internal/gate"
	"greenroom/internal/human"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/run"
	"greenroom/internal/store"
)

// route puts the traffic in force as it is once the step is done.
func (p *Promotions) route(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	at, err := after(t.Plan, t.Step.Name)
	if err != nil {
		return nil, err
	}
	return nil, sc.env.Route(ctx, at.traffic(sc, p.World.Now()))
}

// routeBack puts the traffic in force as it was before the step.
func (p *Promotions) routeBack(ctx context.Context, t *run.Task, sc *scene) error {
	at, err := before(t.Plan, t.Step.Name)
	if err != nil {
		return err
	}
	return sc.env.Route(ctx, at.traffic(sc, p.World.Now()))
}

// closeAgain takes back that held requests were let through. Once a maintenance page is gone people write with the new
// release, on a schema that the old one can't live on: from there a person decides.
func (p *Promotions) closeAgain(ctx context.Context, t *run.Task, sc *scene) error {
	var a PauseArgs
	if err := t.Args(&a); err != nil {
		return err
	}
	if t.Plan.Kind == plan.Restore {
		return nothingWasKept(t, sc)
	}
	if a.Maintenance {
		return problem.New(problem.Blocked, "the old release can't run on the new schema, and going back to the backup would lose what was written since the page was taken away").
			WithHint("go forward with a repaired release, or restore %s by hand and accept the loss", sc.env.BackupFile(t.Run))
	}
	return p.routeBack(ctx, t, sc)
}

func (p *Promotions) stopOld(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	var a ServicesArgs
	if err := t.Args(&a); err != nil {
		return nil, err
	}
	return nil, sc.env.Stop(ctx, sc.Old, a.Services)
}

func (p *Promotions) startOld(ctx context.Context, t *run.Task, sc *scene) error {
	var a ServicesArgs
	if err := t.Args(&a); err != nil {
		return err
	}
	return sc.env.Start(ctx, sc.Old, a.Services, say(t))
}

// readState is that of a schema which was just read from a release's database.
func readState(r release.Release) gate.SchemaState {
	if r.Contents.Database == nil {
		return gate.SchemaNone
	}
	return gate.SchemaProven
}

// recordSchema records the schema together with the step.
func recordSchema(t *run.Task, sc *scene, schema string, state gate.SchemaState) {
	t.OnRecord(store.Audit{Action: "schema recorded", Subject: schema}, func(ctx context.Context, tx *store.Tx) error {
		return putSchema(ctx, tx, sc, schema, state)
	})
}

// recordHalfMigrated records it at once, because the step is about to fail. The fingerprint stays the one that was proven
// last: once the database has that schema again, whoever repaired it, it is proven again.
func (p *Promotions) recordHalfMigrated(ctx context.Context, t *run.Task, sc *scene) error {
	var back wayBack
	if _, err := t.Result("way-back", &back); err != nil {
		return err
	}
	by := store.Audit{Actor: t.Actor, Action: "schema is half-migrated", App: sc.env.App, Environment: sc.env.Name, Run: t.Run}
	return p.World.Store.Change(ctx, by, func(tx *store.Tx) error {
		return putSchema(ctx, tx, sc, back.Schema, gate.SchemaHalfMigrated)
	})
}

func putSchema(ctx context.Context, tx *store.Tx, sc *scene, schema string, state gate.SchemaState) error {
	record, err := tx.Environment(ctx, sc.env.App, sc.env.Name)
	if err != nil {
		return err
	}
	record.Schema, record.SchemaState = schema, state
	return changed(tx.PutEnvironment(ctx, record))
}

// seed fills the database of an environment that had no release. After a kill it may run twice, as the definition says.
func (p *Promotions) seed(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	return nil, sc.env.Seed(ctx, sc.New, t.Run)
}

func (p *Promotions) start(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	if _, err := p.route(ctx, t, sc); err != nil {
		return nil, err
	}
	var a ServicesArgs
	if err := t.Args(&a); err != nil {
		return nil, err
	}
	return nil, sc.env.Start(ctx, sc.New, a.Services, say(t))
}

// stay has what did not change run for the new release as well. It runs already, unless it died since the plan was made.
func (p *Promotions) stay(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	var a ServicesArgs
	if err := t.Args(&a); err != nil {
		return nil, err
	}
	changed, gone, err := sc.env.Strayed(ctx, sc.New, a.Services)
	if err != nil {
		return nil, err
	}
	if len(changed) > 0 { // it is too late to exchange it: others use it
		t.Progress("%s", stayed(changed))
	}
	if len(gone) > 0 {
		t.Progress("%s did not run any more, and starts anew", join(gone))
	}
	return nil, sc.env.Start(ctx, sc.New, a.Services, func(string) {})
}

// stayed says of services that something which they are given has changed since it was planned that they stay.
func stayed(services []string) string {
	if len(services) == 1 {
		return services[0] + " goes on with what was true when this was planned: what it is given, such as a secret, has changed since, and the next promotion exchanges it"
	}
	return join(services) + " go on with what was true when this was planned: what they are given, such as a secret, has changed since, and the next promotion exchanges them"
}

// stopNew lets the new release finish what it has and stops it.
func (p *Promotions) stopNew(ctx context.Context, t *run.Task, sc *scene) error {
	var a ServicesArgs
	if err := t.Args(&a); err != nil {
		return err
	}
	if _, err := p.World.Edge.Drain(ctx, sc.env.RouteName(), string(sc.New.Digest()), sc.env.Settings.Rollout.Drain); err != nil && problem.From(err).Code != problem.NotFound {
		return err
	}
	if err := sc.env.Stop(ctx, sc.New, a.Services); err != nil {
		return err
	}
	return p.unshare(ctx, t, sc) // not what was in force before: a worker's start comes after the first shares
}

func (p *Promotions) candidate(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	_, err := p.journeys(ctx, t, sc, sc.New, sc.env.CandidateURL)
	return nil, err
}

// share gives the new release its part of the traffic and, unless it is the whole, watches it.
func (p *Promotions) share(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	if _, err := p.route(ctx, t, sc); err != nil {
		return nil, err
	}
	var a ShareArgs
	if err := t.Args(&a); err != nil || a.Watch == 0 {
		return nil, err
	}
	return p.observe(ctx, t, sc, a.Watch)
}

// unshare sends everything to the old release at once, whatever share came before: nobody is left with one that is
// known to be bad.
func (p *Promotions) unshare(ctx context.Context, t *run.Task, sc *scene) error {
	at, err := before(t.Plan, t.Step.Name)
	if err != nil {
		return err
	}
	at.percent = 0
	return sc.env.Route(ctx, at.traffic(sc, p.World.Now()))
}

// live records what is live, in the transaction that records the step, and the schema that it lives on: an app may have
// made tables as it started, whether it declares migrations or not.
func (p *Promotions) live(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	schema, err := sc.env.Fingerprint(ctx, sc.New)
	if err != nil {
		return nil, err
	}
	t.OnRecord(store.Audit{Action: "live", Subject: string(sc.New.Digest()), Because: t.Plan.Because}, func(ctx context.Context, tx *store.Tx) error {
		record, err := tx.Environment(ctx, sc.env.App, sc.env.Name)
		if err != nil || record.Live == sc.New.Digest() {
			return err
		}
		if record.Live != t.Plan.From {
			return changed(fmt.Errorf("%s is live, not %s: %w", record.Live.Short(), t.Plan.From.Short(), store.ErrChanged))
		}
		record.Previous = previous(record, t.Plan)
		record.Live, record.Since, record.Want = sc.New.Digest(), tx.Now(), store.Up
		record.Schema, record.SchemaState = schema, readState(sc.New)
		return changed(tx.PutEnvironment(ctx, record))
	})
	if marksBad(t.Plan) {
		because := orUnsaid(t.Plan.Because)
		t.OnRecord(store.Audit{Action: ActionBad, Subject: string(t.Plan.From), Because: because}, func(ctx context.Context, tx *store.Tx) error {
			return tx.MarkBad(ctx, sc.env.App, t.Plan.From, because)
		})
	}
	return nil, nil
}

func orUnsaid(because string) string {
	if because == "" {
		return "no reason was given"
	}
	return because
}

// unlive records the old release as live again, since the time from which it was.
func (p *Promotions) unlive(_ context.Context, t *run.Task, sc *scene) error {
	var back wayBack
	if _, err := t.Result("way-back", &back); err != nil {
		return err
	}
	t.OnRecord(store.Audit{Actor: "greenroom", Action: "live again", Subject: string(t.Plan.From)}, func(ctx context.Context, tx *store.Tx) error {
		record, err := tx.Environment(ctx, sc.env.App, sc.env.Name)
		if err != nil || record.Live != sc.New.Digest() {
			return err
		}
		record.Live, record.Since, record.Previous = t.Plan.From, back.Since, back.Previous
		return changed(tx.PutEnvironment(ctx, record))
	})
	if t.Plan.Kind == plan.Restore { // nobody said that it is bad, but for this restore
		t.OnRecord(store.Audit{Actor: "greenroom", Action: ActionGood, Subject: string(t.Plan.From), Because: "the restore that left it was taken back"},
			func(ctx context.Context, tx *store.Tx) error { return tx.ClearBad(ctx, sc.env.App, t.Plan.From) })
	}
	return nil
}

func (p *Promotions) verify(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	_, err := p.journeys(ctx, t, sc, sc.New, sc.env.URL)
	return nil, err
}

func (p *Promotions) drain(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	d, err := p.World.Edge.Drain(ctx, sc.env.RouteName(), string(sc.Old.Digest()), sc.env.Settings.Rollout.Drain)
	if err != nil && problem.From(err).Code == problem.NotFound {
		return edge.Drained{}, nil // it never had a request
	}
	if err == nil && d.Left > 0 {
		t.Progress("%d requests did not end within %s", d.Left, human.Duration(sc.env.Settings.Rollout.Drain))
	}
	return d, err
}

// retire stops the old release, but for what the new one has of it, and gives its addresses back.
func (p *Promotions) retire(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	if err := sc.env.Stop(ctx, sc.Old, without(selected(sc.Old.Contents, anyOrder), environment.Shared(sc.Old, sc.New))); err != nil {
		return nil, err
	}
	if _, err := p.route(ctx, t, sc); err != nil {
		return nil, err
	}
	return nil, sc.env.Forget(ctx, sc.Old, sc.New)
}

// unretire starts what was kept warm of the old release again, beside the new one, which still answers everything. What
// an earlier step stopped, because it must not run twice, is that step's to start again.
func (p *Promotions) unretire(ctx context.Context, t *run.Task, sc *scene) error {
	if err := p.routeBack(ctx, t, sc); err != nil {
		return err
	}
	at, err := before(t.Plan, t.Step.Name)
	if err != nil {
		return err
	}
	return sc.env.Start(ctx, sc.Old, at.warm(sc.Old.Contents), say(t))
}

func say(t *run.Task) func(string) { return func(s string) { t.Progress("%s", s) } }
