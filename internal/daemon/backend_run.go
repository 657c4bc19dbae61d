package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/promotion"
	"greenroom/internal/rehearsal"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// Plan is api.Backend's: exactly what Start would do, and nothing is written.
func (d *Daemon) Plan(ctx context.Context, r api.RunRequest) (api.PlanView, error) {
	p, decision, err := d.plan(ctx, r)
	return api.PlanView{Plan: p, Decision: decision}, err
}

// Start is api.Backend's. A run is created under its environment's lock, so that the reconciliation never takes it for
// free.
func (d *Daemon) Start(ctx context.Context, r api.RunRequest) (api.RunView, error) {
	at, err := d.where(ctx, r)
	if err != nil {
		return api.RunView{}, err
	}
	unlock := d.locks.Lock(r.App, at)
	defer unlock()
	defer d.holdReleases()() // of which the plan's are named when the run is recorded
	p, decision, err := d.plan(ctx, r)
	if err != nil {
		return api.RunView{}, err
	}
	if _, err := promotion.Pass(decision, p); err != nil {
		return api.RunView{}, err
	}
	started, err := d.runs.Start(ctx, p, api.Actor(ctx))
	if err != nil {
		return api.RunView{}, err
	}
	return d.Run(ctx, started.ID)
}

// where is the environment that a run will own.
func (d *Daemon) where(ctx context.Context, r api.RunRequest) (string, error) {
	if r.Kind != plan.Rehearsal {
		return r.Environment, nil
	}
	a, err := d.world.Store.App(ctx, r.App)
	return rehearsal.Where(a.Policy), err
}

func (d *Daemon) plan(ctx context.Context, r api.RunRequest) (plan.Plan, gate.Decision, error) {
	a, err := d.world.Store.App(ctx, r.App)
	if err != nil {
		return plan.Plan{}, gate.Decision{}, err
	}
	if r.Snapshot != "" && r.Kind != plan.Rehearsal {
		return plan.Plan{}, gate.Decision{}, problem.New(problem.Invalid, "only a rehearsal is held on a snapshot")
	}
	switch r.Kind {
	case plan.Rehearsal:
		p, err := d.planRehearsal(ctx, a, r)
		return p, gate.Decision{Allowed: true}, err
	case plan.Promotion:
		return d.planPromotion(ctx, a, r)
	case plan.Rollback:
		return d.planRollback(ctx, a, r)
	case plan.Restore:
		return d.planRestore(ctx, a, r)
	default:
		return plan.Plan{}, gate.Decision{}, problem.New(problem.Invalid, "there is no kind of run called %q", r.Kind)
	}
}

func (d *Daemon) planRehearsal(ctx context.Context, a store.App, r api.RunRequest) (plan.Plan, error) {
	b, err := d.world.Store.Resolve(ctx, a.Name, orLatest(r.Release))
	if err != nil {
		return plan.Plan{}, err
	}
	if err := d.world.NeedFiles(ctx, b); err != nil {
		return plan.Plan{}, err
	}
	f := rehearsal.Facts{App: a.Name, Policy: a.Policy.Conditions(), New: b.Release, Where: rehearsal.Where(a.Policy), Data: a.Policy.Staging().Data}
	if f.NewContents, err = d.contents(ctx, b.Release); err != nil {
		return plan.Plan{}, err
	}
	if err := withinWalls(a.Policy, f.New, f.NewContents); err != nil { // a stage is on this machine as well
		return plan.Plan{}, err
	}
	if f.Where != rehearsal.Stage && d.world.Elsewhere(a.Policy, f.Where) {
		return plan.Plan{}, problem.New(problem.Invalid, "%s is rehearsed in %s itself, which lives elsewhere: its own Greenroom rehearses there", f.New.Short(), f.Where).
			WithHint("there: greenroom rehearse %s", f.New.Short())
	}
	baseline, err := d.world.Production(ctx, a.Policy)
	if err != nil {
		return plan.Plan{}, err
	}
	if f.Old = release.Digest(baseline[release.PartRelease]); f.Old == f.New {
		return plan.Plan{}, problem.New(problem.Invalid, "%s is live in production already: there is nothing to rehearse", f.New.Short()).
			WithHint("greenroom build, once something has changed")
	}
	if f.Old != "" {
		if f.OldContents, err = d.contents(ctx, f.Old); err != nil {
			return plan.Plan{}, err
		}
	}
	production, _ := a.Policy.Production()
	if err := f.Possible(production.Name); err != nil {
		return plan.Plan{}, err
	}
	f.Snapshot, err = d.chosen(ctx, a.Policy, f, r.Snapshot, baseline)
	return rehearsal.Make(f), err
}

// withinWalls is a problem where the policy in force does not accept what a release takes of the walls around its containers. One
// that is live is kept up all the same: it was accepted when it came.
func withinWalls(p app.Policy, id release.Digest, c app.Contents) error {
	refused := p.Unaccepted(c)
	if len(refused) == 0 {
		return nil
	}
	return problem.New(problem.Blocked, "%s has containers that the policy in force does not accept: %s", id.Short(), app.DangerText(refused)).
		WithHint("greenroom apply, once production accepts it in greenroom.yaml")
}

// chosen is the snapshot that a rehearsal is to be held on: the one that is asked for, and where production is on another
// machine the newest that was brought from there. Nil: the rehearsal takes one itself, or has none.
func (d *Daemon) chosen(ctx context.Context, p app.Policy, f rehearsal.Facts, asked string, production release.Baseline) (*rehearsal.DataArgs, error) {
	if f.Old == "" || f.Data == nil || f.OldContents.Database == nil {
		if asked == "" {
			return nil, nil
		}
		return nil, problem.New(problem.Invalid, "this rehearsal is on no copy of data: production is empty, has no database, or the definition in force has no `data` for the stage").
			WithHint("greenroom rehearse %s, without --snapshot; a stage gets `data:` by greenroom.yaml and greenroom apply", f.New.Short())
	}
	if asked == "" && d.world.Elsewhere(p, f.Data.From) {
		asked = environment.Latest
	}
	if asked == "" {
		return nil, nil
	}
	from, ok := d.world.Open(p, f.Data.From)
	if !ok {
		return nil, problem.New(problem.NotFound, "%s has no environment %s", p.App, f.Data.From).WithHint("greenroom apply")
	}
	s, err := d.world.Stage(p, rehearsal.Stage).Choose(ctx, p, from, asked)
	if err != nil {
		return nil, err
	}
	if schema := production[release.PartSchema]; schema != "" && schema != s.Data.Schema {
		return nil, problem.New(problem.Blocked, "the snapshot %s has another schema than %s has now: %s was migrated since it was taken, or changed by hand", s.ID, from.Name, from.Name).
			WithHint("greenroom snapshot create %s; where that is another machine, export it there and import it here", from.Name)
	}
	return &rehearsal.DataArgs{ID: s.ID, Taken: s.Data.Taken.UTC()}, nil
}

func (d *Daemon) planPromotion(ctx context.Context, a store.App, r api.RunRequest) (plan.Plan, gate.Decision, error) {
	b, err := d.world.Store.Resolve(ctx, a.Name, orLatest(r.Release))
	if err != nil {
		return plan.Plan{}, gate.Decision{}, err
	}
	if err := d.world.NeedFiles(ctx, b); err != nil {
		return plan.Plan{}, gate.Decision{}, err
	}
	f, err := d.facts(ctx, a, r, b.Release)
	if err != nil {
		return plan.Plan{}, gate.Decision{}, err
	}
	if f.Old == f.New {
		if err := d.world.Store.Busy(ctx, a.Name, r.Environment); err != nil {
			return plan.Plan{}, gate.Decision{}, err // it is live, and may be taken back yet
		}
		return plan.Plan{}, gate.Decision{}, problem.New(problem.Invalid, "%s is live in %s already", f.New.Short(), r.Environment).
			WithHint("greenroom status")
	}
	decision, err := d.world.Decide(ctx, a.Policy, f.New, r.Environment, r.Because)
	if err == nil && r.BreakGlass && decision.Allowed {
		err = problem.New(problem.Invalid, "there is no glass to break: %s takes %s", r.Environment, f.New.Short()).
			WithHint("greenroom promote %s %s", f.New.Short(), r.Environment)
	}
	return promotion.Make(f), decision, err
}

// facts are what a promotion's or a rollback's plan is made from.
func (d *Daemon) facts(ctx context.Context, a store.App, r api.RunRequest, to release.Digest) (promotion.Facts, error) {
	_, env, err := d.policyAnd(ctx, a.Name, r.Environment)
	if err != nil {
		return promotion.Facts{}, err
	}
	record, err := d.world.Store.Environment(ctx, a.Name, r.Environment)
	if err != nil {
		return promotion.Facts{}, err
	}
	f := promotion.Facts{
		Kind: r.Kind, App: a.Name, Environment: env, Policy: a.Digest, New: to, Old: record.Live, Because: r.Because,
	}
	if r.BreakGlass {
		f.Glass = &plan.Glass{HalfMigrated: r.HalfMigrated}
	}
	if d.world.Elsewhere(a.Policy, r.Environment) {
		return f, problem.New(problem.Invalid, "%s lives elsewhere: its own Greenroom promotes there", r.Environment).
			WithHint("greenroom release export %s FILE, and there: greenroom release import FILE", to.Short())
	}
	if production, ok := a.Policy.Production(); ok {
		f.Production = production.Name == r.Environment
	}
	if f.NewContents, err = d.contents(ctx, to); err != nil {
		return f, err
	}
	if f.Old == "" {
		return f, f.Possible()
	}
	if record.Want != store.Up {
		return f, problem.New(problem.Blocked, "%s is stopped", r.Environment).WithHint("greenroom up %s", r.Environment)
	}
	if f.OldContents, err = d.contents(ctx, f.Old); err != nil {
		return f, err
	}
	if f.Stays, err = d.stays(ctx, a, f); err != nil {
		return f, err
	}
	if env.Rollout.Downtime && r.Kind == plan.Promotion {
		f.Downtime, err = d.downtime(ctx, a, f)
	}
	if err == nil {
		err = f.Possible()
	}
	return f, err
}

// stays are the services that the promotion leaves as they are. A restore starts all of it anew on other data.
func (d *Daemon) stays(ctx context.Context, a store.App, f promotion.Facts) ([]string, error) {
	if f.Kind == plan.Restore {
		return nil, nil
	}
	env, ok := d.world.Open(a.Policy, f.Environment.Name)
	if !ok {
		return nil, nil
	}
	next, err := d.world.Release(ctx, f.New)
	if err != nil {
		return nil, err
	}
	live, err := d.world.Release(ctx, f.Old)
	if err != nil {
		return nil, err
	}
	return env.Stays(ctx, next, live)
}

// downtime is how long it will take where the rehearsal found that the old release can't live on the new schema; nil
// where it can.
func (d *Daemon) downtime(ctx context.Context, a store.App, f promotion.Facts) (*time.Duration, error) {
	report, err := d.world.Store.LatestReport(ctx, a.Name, f.New)
	if err != nil {
		if problem.From(err).Code == problem.NotFound {
			return nil, nil
		}
		return nil, err
	}
	var long time.Duration
	needed := false
	for _, r := range report.Results {
		switch r.Check {
		case gate.OldOnNew:
			needed = r.Verdict == evidence.Fail
		case gate.Migration, "start":
			long += r.Duration
		}
	}
	if !needed {
		return nil, nil
	}
	return &long, nil
}

func (d *Daemon) contents(ctx context.Context, id release.Digest) (app.Contents, error) {
	r, err := d.world.Release(ctx, id)
	return r.Contents, err
}

func orLatest(name string) string {
	if name == "" {
		return store.Latest
	}
	return name
}

// planRollback finds the last release that the live schema can carry.
func (d *Daemon) planRollback(ctx context.Context, a store.App, r api.RunRequest) (plan.Plan, gate.Decision, error) {
	yes := gate.Decision{Allowed: true}
	if _, _, err := d.policyAnd(ctx, a.Name, r.Environment); err != nil {
		return plan.Plan{}, yes, err
	}
	record, err := d.world.Store.Environment(ctx, a.Name, r.Environment)
	if err != nil {
		return plan.Plan{}, yes, err
	}
	candidates := record.Previous
	if r.Release != "" {
		b, err := d.world.Store.Resolve(ctx, a.Name, r.Release)
		if err != nil {
			return plan.Plan{}, yes, err
		}
		if !slices.Contains(record.Previous, b.Release) {
			return plan.Plan{}, yes, d.neverBefore(ctx, a, record, b.Release)
		}
		candidates = []release.Digest{b.Release}
	}
	to, err := d.carried(ctx, a, record, candidates)
	if err != nil {
		return plan.Plan{}, yes, err
	}
	f, err := d.facts(ctx, a, r, to)
	return promotion.Make(f), yes, err
}

// neverBefore says why there is no way back to a release that is not among those that were live before.
func (d *Daemon) neverBefore(ctx context.Context, a store.App, record store.Environment, c release.Digest) error {
	if c == record.Live {
		return problem.New(problem.Invalid, "%s is live in %s already", c.Short(), record.Name).WithHint("greenroom status")
	}
	bad, err := d.world.Store.KnownBad(ctx, a.Name, c)
	if err != nil {
		return err
	}
	if bad != nil { // a reason takes that back, and only a promotion has one
		return problem.New(problem.Blocked, "%s is known to be bad, and no release that one goes back to: %s", c.Short(), bad.Reason).
			WithHint("greenroom promote %s %s --because WHY-IT-IS-GOOD-NOW", c.Short(), record.Name)
	}
	return problem.New(problem.Blocked, "%s was not live in %s before: there is no way back to it", c.Short(), record.Name).
		WithHint("greenroom promote %s %s", c.Short(), record.Name)
}

// carried is the first of the candidates that the live schema can carry, and that is not known to be bad.
func (d *Daemon) carried(ctx context.Context, a store.App, record store.Environment, candidates []release.Digest) (release.Digest, error) {
	if record.Live == "" || len(candidates) == 0 {
		return "", problem.New(problem.Blocked, "there is no release to go back to in %s", record.Name).WithHint("greenroom history")
	}
	var reasons []string
	for _, c := range candidates {
		why, err := d.cannotCarry(ctx, a, record, c)
		if err != nil {
			return "", err
		}
		if why == "" {
			return c, nil
		}
		reasons = append(reasons, c.Short()+": "+why)
	}
	options, err := d.options(ctx, a, record)
	if err != nil {
		return "", err
	}
	return "", problem.New(problem.Blocked, "%s can't go back: %s", record.Name, reasons[0]).WithHint("%s", options)
}

// cannotCarry says why the live schema is not known to carry a release, or nothing.
func (d *Daemon) cannotCarry(ctx context.Context, a store.App, record store.Environment, c release.Digest) (string, error) {
	bad, err := d.world.Store.KnownBad(ctx, a.Name, c)
	if err != nil {
		return "", err
	}
	if bad != nil {
		return "it is known to be bad: " + bad.Reason, nil
	}
	r, err := d.world.Release(ctx, c)
	if err != nil {
		return "", err
	}
	if c == record.Live {
		return "it is live", nil
	}
	if refused := a.Policy.Unaccepted(r.Contents); len(refused) > 0 {
		return "the policy in force does not accept what its containers have: " + app.DangerText(refused), nil
	}
	live, err := d.contents(ctx, record.Live)
	if err != nil {
		return "", err
	}
	if r.Contents.Database == nil && live.Database == nil {
		return "", nil
	}
	if record.SchemaState != gate.SchemaProven {
		return "the schema is " + string(record.SchemaState), nil
	}
	same, err := d.schemaSince(ctx, record, c)
	if err != nil || same {
		return "", err
	}
	statements, err := d.world.Statements(ctx, a.Policy, record.Live)
	if err != nil {
		return "", err
	}
	works, unknown := gate.WayBack(statements, a.Policy.Conditions(), c)
	if works {
		return "", nil
	}
	return "the schema changed since it was live, and " + unknown, nil
}

// schemaSince says whether the schema is the one that the environment had when the release was live in it.
func (d *Daemon) schemaSince(ctx context.Context, record store.Environment, c release.Digest) (bool, error) {
	raw, found, err := d.world.Store.Leaving(ctx, record.App, record.Name, c, "way-back")
	if err != nil || !found {
		return false, err
	}
	var back struct {
		Schema string `json:"schema"`
	}
	return json.Unmarshal(raw, &back) == nil && back.Schema == record.Schema, nil
}

// Run is api.Backend's.
func (d *Daemon) Run(ctx context.Context, id string) (api.RunView, error) {
	r, err := d.world.Store.Run(ctx, id)
	if err != nil {
		return api.RunView{}, err
	}
	v := api.RunView{
		ID: r.ID, Plan: r.Plan, Journal: r.Journal, Outcome: r.Outcome, Reason: r.Reason, Hint: r.Hint, By: r.Actor,
		Created: r.Created, Started: r.Started, Ended: r.Ended,
	}
	for _, e := range r.Journal {
		v.Cancelled = v.Cancelled || e.State == plan.Cancelled
	}
	v.Measurement, v.Migration = measurement(r), migrationOf(r)
	if v.Glass, err = d.glassOf(ctx, r); err != nil {
		return v, err
	}
	if v.Queue, err = d.queue(ctx, r); err != nil {
		return v, err
	}
	if r.Plan.Kind == plan.Rehearsal && r.Phase == store.Ended {
		report, err := d.world.Store.Report(ctx, id)
		if err == nil {
			v.Verdict = report.Verdict
		} else if problem.From(err).Code != problem.NotFound {
			return v, err
		}
	}
	return v, nil
}

// glassOf tells of a no that the run overrode; nil where it did not.
func (d *Daemon) glassOf(ctx context.Context, r store.Run) (*api.GlassView, error) {
	if r.Plan.Glass == nil {
		return nil, nil
	}
	g, err := d.world.Store.Glass(ctx, r.ID)
	if problem.From(err) != nil && problem.From(err).Code == problem.NotFound {
		return nil, nil // it is not broken yet, or the gate said yes in the end
	}
	if err != nil {
		return nil, err
	}
	v := glassView(g)
	return &v, nil
}

func glassView(g store.Glass) api.GlassView {
	v := api.GlassView{Run: g.Run, By: g.By, Because: g.Because, At: g.At}
	for _, m := range g.Overridden {
		v.Overridden = append(v.Overridden, m.Name+": "+m.Reason)
	}
	if g.ReviewedBy != "" {
		v.Reviewed = g.ReviewedBy + ": " + g.Review
	}
	return v
}

// queue is how many runs come before one that waits.
func (d *Daemon) queue(ctx context.Context, r store.Run) (int, error) {
	if r.Phase != store.Queued {
		return 0, nil
	}
	open, err := d.world.Store.Unfinished(ctx)
	n := 0
	for _, o := range open {
		if o.ID == r.ID {
			break
		}
		if o.Plan.App == r.Plan.App && o.Plan.Environment == r.Plan.Environment {
			n++
		}
	}
	return n, err
}

// measurement is what the last step of a promotion read from the edge, nil where it saw nothing.
func measurement(r store.Run) *api.Measurement {
	for _, e := range r.Journal {
		if e.Step != "measure" || e.State != plan.Done {
			continue
		}
		var m promotion.Measured
		if err := json.Unmarshal(e.Result, &m); err != nil || !m.Seen && m.Probed == nil {
			return nil
		}
		return &api.Measurement{
			Requests: int64(m.Edge.Requests), Failed: int64(m.Edge.Failed), LongestGap: m.Edge.LongestGap,
			SlowestSecond: m.Edge.SlowestSecond.Slowest, Journeys: m.Journeys, Probed: m.Probed,
		}
	}
	return nil
}

// migrationOf tells how long a promotion's migration took beside what its rehearsal foretold.
func migrationOf(r store.Run) string {
	for _, e := range r.Journal {
		var m promotion.Migrated
		if e.Step == "migrate" && e.State == plan.Done && json.Unmarshal(e.Result, &m) == nil {
			return m.Says
		}
	}
	return ""
}

// Events is api.Backend's.
func (d *Daemon) Events(ctx context.Context, id string, after int64) (api.Stream[api.Event], error) {
	r, err := d.world.Store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	says := map[string]string{}
	for _, s := range r.Plan.Steps {
		says[s.Name] = s.Says
	}
	return func(yield func(api.Event, error) bool) {
		stopped := problem.New(problem.Interrupted, "the listener has gone")
		err := d.runs.Watch(ctx, id, after, func(e store.Event) error {
			if e.State == plan.Started || e.State == plan.Undoing {
				e.Text = says[e.Step]
			}
			if !yield(api.Event{Seq: e.Seq, Step: e.Step, State: e.State, Text: e.Text, At: e.At}, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(api.Event{}, err)
		}
	}, nil
}

// Cancel is api.Backend's.
func (d *Daemon) Cancel(ctx context.Context, id string) error {
	return d.runs.Cancel(ctx, id, api.Actor(ctx))
}

// Report is api.Backend's.
func (d *Daemon) Report(ctx context.Context, app, name string) (evidence.Report, error) {
	report, err := d.world.Store.Report(ctx, name)
	if err == nil && report.App == app || err != nil && problem.From(err).Code != problem.NotFound {
		return report, err
	}
	b, err := d.world.Store.Resolve(ctx, app, name)
	if err != nil {
		return evidence.Report{}, err
	}
	return d.world.Store.LatestReport(ctx, app, b.Release)
}

// Explain is api.Backend's.
func (d *Daemon) Explain(ctx context.Context, app, name, environment string) (api.Explanation, error) {
	policy, _, err := d.policyAnd(ctx, app, environment)
	if err != nil {
		return api.Explanation{}, err
	}
	v, err := d.Resolve(ctx, app, name)
	if err != nil {
		return api.Explanation{}, err
	}
	decision, err := d.world.Decide(ctx, policy, v.Digest, environment, "")
	x := api.Explanation{Release: v, Environment: environment, Decision: decision, Elsewhere: d.world.Elsewhere(policy, environment)}
	if err != nil {
		return x, err
	}
	live, err := d.world.Presence(ctx, policy, environment)
	x.Live = live != nil && live.Release == v.Digest
	return x, err
}
