package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/edge"
	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// Up is api.Backend's.
func (d *Daemon) Up(ctx context.Context, r api.EnvironmentsRequest) (api.Stream[api.Event], error) {
	targets, err := d.targets(ctx, r)
	if err != nil {
		return nil, err
	}
	return d.each(ctx, targets, store.Up, "up", func(ctx context.Context, e *environment.Environment, say func(string)) error {
		live, err := d.live(ctx, e)
		if err != nil {
			return err
		}
		if live == nil {
			say("it has no release yet")
		}
		return e.Up(ctx, live, say)
	}), nil
}

// Down is api.Backend's.
func (d *Daemon) Down(ctx context.Context, r api.EnvironmentsRequest) (api.Stream[api.Event], error) {
	targets, err := d.targets(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := d.endRehearsals(ctx, r); err != nil {
		return nil, err
	}
	down := func(ctx context.Context, e *environment.Environment, say func(string)) error {
		if !e.Deployed() {
			return e.Down(ctx)
		}
		live, err := d.live(ctx, e)
		if err != nil {
			return err
		}
		return e.TakeDown(ctx, live, r.Volumes, say)
	}
	if !r.Volumes {
		return d.each(ctx, targets, store.Down, "down", down), nil
	}
	forgotten, err := d.forgotten(ctx, r)
	if err != nil {
		return nil, err
	}
	targets = append(targets, forgotten...)
	erase := d.each(ctx, targets, store.Down, "down, with its data", func(ctx context.Context, e *environment.Environment, say func(string)) error {
		if slices.Contains(forgotten, e) {
			if err := e.Leave(ctx); err != nil {
				return err
			}
			return d.erase(ctx, e)
		}
		if err := down(ctx, e, say); err != nil {
			return err
		}
		say("its data")
		return d.erase(ctx, e)
	})
	if len(r.Environments) > 0 && !r.Everything {
		return erase, nil
	}
	return d.thenImages(ctx, erase, targets), nil
}

// forgotten are the environments that no policy knows any more and of which something is here, where whole apps are taken away.
func (d *Daemon) forgotten(ctx context.Context, r api.EnvironmentsRequest) (all []*environment.Environment, err error) {
	if len(r.Environments) > 0 && !r.Everything {
		return nil, nil
	}
	apps, err := d.world.Store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range apps {
		if !r.Everything && a.Name != r.App {
			continue
		}
		of, err := d.world.Forgotten(ctx, a.Policy)
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
	}
	return all, nil
}

// erase takes away the data of an environment that was stopped. That nothing is live there is recorded before: a release that
// comes up on a database which it did not make would be broken, and what a kill leaves is taken for an unknown schema.
func (d *Daemon) erase(ctx context.Context, e *environment.Environment) error {
	record, err := d.world.Store.Environment(ctx, e.App, e.Name)
	if err != nil {
		return err
	}
	record.Live, record.Previous, record.Since = "", nil, time.Time{}
	record.Schema, record.SchemaState = "", gate.SchemaNone
	by := store.Audit{Actor: api.Actor(ctx), Action: "data removed", App: e.App, Environment: e.Name}
	if err := d.world.Store.Change(ctx, by, func(t *store.Tx) error { return t.PutEnvironment(ctx, record) }); err != nil {
		return err
	}
	return e.Erase(ctx)
}

// thenImages removes the images of the environments' apps as well, when they are gone.
func (d *Daemon) thenImages(ctx context.Context, erase api.Stream[api.Event], targets []*environment.Environment) api.Stream[api.Event] {
	return func(yield func(api.Event, error) bool) {
		for e, err := range erase {
			if !yield(e, err) || err != nil {
				return
			}
		}
		var done []string
		for _, e := range targets {
			if slices.Contains(done, e.App) {
				continue
			}
			done = append(done, e.App)
			if err := d.world.EraseImages(context.WithoutCancel(ctx), e.App); err != nil {
				yield(api.Event{}, err)
				return
			}
		}
	}
}

// endRehearsals cancels the rehearsals of the apps that are stopped as a whole, and returns when their stages are gone:
// who stops everything leaves nothing running.
func (d *Daemon) endRehearsals(ctx context.Context, r api.EnvironmentsRequest) error {
	if len(r.Environments) > 0 {
		return nil
	}
	open, err := d.world.Store.Unfinished(ctx)
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(open, func(o store.Run) bool {
		return o.Plan.Kind != plan.Rehearsal || !r.Everything && o.Plan.App != r.App
	})
	for _, o := range slices.Backward(open) { // the one under way last, or the next would begin
		if err := d.runs.Cancel(ctx, o.ID, api.Actor(ctx)); err != nil && problem.From(err).Code != problem.Invalid {
			return err // Invalid: it has ended meanwhile
		}
	}
	for _, o := range open {
		if _, err := d.runs.Wait(ctx, o.ID); err != nil {
			return err
		}
	}
	return nil
}

// live is the release that is live in an environment; nil for none.
func (d *Daemon) live(ctx context.Context, e *environment.Environment) (*release.Release, error) {
	record, err := d.world.Store.Environment(ctx, e.App, e.Name)
	if err != nil || record.Live == "" {
		return nil, err
	}
	r, err := d.world.Release(ctx, record.Live)
	return &r, err
}

// targets are the environments that a request names.
func (d *Daemon) targets(ctx context.Context, r api.EnvironmentsRequest) ([]*environment.Environment, error) {
	apps, err := d.world.Store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	var out []*environment.Environment
	for _, a := range apps {
		if !r.Everything && a.Name != r.App {
			continue
		}
		if len(r.Environments) == 0 || r.Everything {
			for _, e := range a.Policy.Environments {
				env, _ := d.world.Open(a.Policy, e.Name)
				out = append(out, env)
			}
			continue
		}
		for _, name := range r.Environments {
			if _, _, err := d.policyAnd(ctx, a.Name, name); err != nil {
				return nil, err
			}
			env, _ := d.world.Open(a.Policy, name)
			out = append(out, env)
		}
	}
	if len(out) == 0 && !r.Everything {
		_, err := d.world.Store.App(ctx, r.App)
		return nil, err
	}
	return out, nil
}

// each does the same to several environments, one after the other, and tells the progress. What fails in one does not
// keep it from the others. It goes on when the listener has gone.
func (d *Daemon) each(ctx context.Context, targets []*environment.Environment, want store.Want, verb string,
	do func(context.Context, *environment.Environment, func(string)) error) api.Stream[api.Event] {
	actor := api.Actor(ctx)
	events := make(chan api.Event, 64)
	failed := make(chan error, 1)
	work := context.WithoutCancel(ctx)
	tell := func(e api.Event) {
		e.At = d.world.Now()
		select {
		case events <- e:
		case <-ctx.Done(): // nobody listens any more
		}
	}
	go func() {
		defer close(events)
		var errs []error
		for _, env := range targets {
			tell(api.Event{Step: env.Name, State: plan.Started, Text: env.Name + " " + verb})
			err := d.change(work, env, want, verb, actor, func() error {
				return do(work, env, func(text string) { tell(api.Event{Step: env.Name, Text: text}) })
			})
			if err != nil {
				tell(api.Event{Step: env.Name, State: plan.Failed, Text: problem.From(err).Message})
				errs = append(errs, err)
				continue
			}
			tell(api.Event{Step: env.Name, State: plan.Done, Text: d.address(work, env, want)})
		}
		failed <- errors.Join(errs...)
	}()
	return func(yield func(api.Event, error) bool) {
		for e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if err := <-failed; err != nil {
			yield(api.Event{}, err)
		}
	}
}

func (d *Daemon) address(ctx context.Context, e *environment.Environment, want store.Want) string {
	if want == store.Down {
		if e.Deployed() {
			return "Greenroom asks after it no more"
		}
		if _, err := os.Stat(e.Folder()); errors.Is(err, os.ErrNotExist) {
			return "stopped"
		}
		return "stopped, its data is kept"
	}
	url, err := e.URL(ctx)
	if err != nil {
		return ""
	}
	return url
}

// change does something to an environment that no run owns, under its lock, and records what is wanted of it before:
// what is interrupted is then finished by the reconciliation.
func (d *Daemon) change(ctx context.Context, e *environment.Environment, want store.Want, verb, actor string, do func() error) error {
	unlock := d.locks.Lock(e.App, e.Name)
	defer unlock()
	open, err := d.world.Store.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, r := range open {
		if r.Plan.App == e.App && r.Plan.Environment == e.Name {
			if want == store.Up {
				return nil // the run brings it up, and goes on by itself
			}
			return problem.New(problem.Blocked, "a %s of %s is under way (%s)", r.Plan.Kind, e.Name, r.ID).
				WithHint("greenroom status; greenroom rollback %s stops a promotion and takes it back", e.Name)
		}
	}
	record, err := d.world.Store.Environment(ctx, e.App, e.Name)
	if err != nil {
		return err
	}
	if record.Want != want || record.Version == 0 {
		record.Want = want
		by := store.Audit{Actor: actor, Action: verb, App: e.App, Environment: e.Name}
		if err := d.world.Store.Change(ctx, by, func(t *store.Tx) error { return t.PutEnvironment(ctx, record) }); err != nil {
			return err
		}
	}
	wanted(verb)
	return do()
}

// Status is api.Backend's.
func (d *Daemon) Status(ctx context.Context, name string) (api.StatusView, error) {
	v := api.StatusView{Version: d.opts.Version, Home: string(d.opts.Home), Since: d.started}
	apps, err := d.world.Store.Apps(ctx)
	if err != nil {
		return v, err
	}
	open, err := d.world.Store.Unfinished(ctx)
	if err != nil {
		return v, err
	}
	for _, a := range apps {
		if name != "" && a.Name != name {
			continue
		}
		s, err := d.appStatus(ctx, a, open)
		if err != nil {
			return v, err
		}
		v.Apps = append(v.Apps, s)
	}
	if name != "" && len(v.Apps) == 0 {
		_, err := d.world.Store.App(ctx, name)
		return v, err
	}
	return v, nil
}

func (d *Daemon) appStatus(ctx context.Context, a store.App, open []store.Run) (api.AppStatus, error) {
	s := api.AppStatus{Name: a.Name, Repository: a.Repository, Policy: a.Digest}
	latest, err := d.Releases(ctx, a.Name, 1)
	if err != nil {
		return s, err
	}
	if len(latest) > 0 {
		s.Latest = &latest[0]
	}
	for _, r := range open {
		if r.Plan.App == a.Name {
			sum, err := d.summary(ctx, r)
			if err != nil {
				return s, err
			}
			s.Runs = append(s.Runs, sum)
		}
	}
	for _, e := range a.Policy.Environments {
		env, _ := d.world.Open(a.Policy, e.Name)
		es, err := d.environmentStatus(ctx, env)
		if err != nil {
			return s, err
		}
		for i := range s.Runs {
			if s.Runs[i].Environment == e.Name {
				es.Run = &s.Runs[i]
			}
		}
		s.Environments = append(s.Environments, es)
	}
	return s, nil
}

func (d *Daemon) summary(ctx context.Context, r store.Run) (api.RunSummary, error) {
	s := api.RunSummary{ID: r.ID, Kind: r.Plan.Kind, Environment: r.Plan.Environment, Release: r.Plan.Release, By: r.Actor, Since: r.Started}
	if s.Since.IsZero() {
		s.Since = r.Created
	}
	full, err := d.world.Store.Run(ctx, r.ID)
	if err != nil {
		return s, err
	}
	if move := plan.Next(full.Plan, full.Journal); move.Kind != plan.Finish {
		s.Step = move.Step.Says
	}
	s.Queue, err = d.queue(ctx, r)
	return s, err
}

func (d *Daemon) environmentStatus(ctx context.Context, e *environment.Environment) (api.EnvironmentStatus, error) {
	s := api.EnvironmentStatus{Name: e.Name, Hosts: e.Settings.Hosts, Deployed: e.Deployed(), Traffic: d.traffic.minute(e.RouteName())}
	var err error
	if s.Address, err = e.URL(ctx); err != nil {
		return s, err
	}
	record, err := d.world.Store.Environment(ctx, e.App, e.Name)
	if err != nil {
		return s, err
	}
	s.Since = record.Since
	open, err := d.world.Store.OpenGlass(ctx, e.App, e.Name)
	if err != nil {
		return s, err
	}
	for _, g := range open {
		s.Glass = append(s.Glass, glassView(g))
	}
	s.Secure = d.opts.Service && len(s.Hosts) > 0
	if len(s.Hosts) > 0 && !s.Secure {
		if s.Front, err = d.world.Front(ctx); err != nil {
			return s, err
		}
	}
	s.Schema = record.SchemaState
	if away, err := d.away(ctx, e, &s); away || err != nil {
		return s, err
	}
	switch {
	case record.Want != store.Up:
		s.State = api.EnvironmentDown
	case record.Live == "":
		s.State = api.EnvironmentEmpty
	default:
		s.State = api.EnvironmentUp
	}
	if record.Live == "" {
		return s, nil
	}
	b, err := d.world.Store.Resolve(ctx, e.App, string(record.Live))
	if err != nil {
		return s, err
	}
	view, err := d.releaseView(ctx, b)
	if err != nil {
		return s, err
	}
	s.Live = &view
	if err := d.serviceStatus(ctx, e, record, &s); err != nil || s.Reason != "" {
		return s, err
	}
	s.Reason, err = d.groundless(ctx, e, record.Live)
	return s, err
}

// groundless says that what a live release was proven by is signed by a key that was revoked since; "" where it is not.
func (d *Daemon) groundless(ctx context.Context, e *environment.Environment, live release.Digest) (string, error) {
	a, err := d.world.Store.App(ctx, e.App)
	if err != nil {
		return "", err
	}
	keys, err := d.world.Keys(ctx, a.Policy)
	if err != nil {
		return "", err
	}
	recorded, err := d.world.Store.Evidence(ctx, e.App, live)
	for _, r := range recorded {
		if w, err := r.Read(keys); err == nil && w.Kind == evidence.KindCheck && w.Signer.Revoked != nil {
			return fmt.Sprintf("what was found of %s by check %s is signed by a key that is revoked: greenroom explain %s %s",
				live.Short(), w.Check, live.Short(), e.Name), nil
		}
	}
	return "", err
}

// away tells of an environment that lives elsewhere what was last brought of it, and whether it does.
func (d *Daemon) away(ctx context.Context, e *environment.Environment, s *api.EnvironmentStatus) (bool, error) {
	a, err := d.world.Store.App(ctx, e.App)
	if err != nil || !d.world.Elsewhere(a.Policy, e.Name) {
		return false, err
	}
	s.State, s.Address, s.Hosts = api.EnvironmentElsewhere, "", nil
	known, err := d.world.Standing(ctx, a.Policy, e.Name)
	switch {
	case err != nil:
		s.Reason = problem.From(err).Message
	case known == nil:
		s.Reason = "nothing was brought of it: greenroom evidence export " + e.Name + " --baseline, where it lives"
	case known.Release == "":
		s.Reason = "nothing is live there, as its Greenroom said on " + known.At.Format(time.DateTime)
	default:
		s.Since = known.Since
		s.Reason = known.Release.Short() + " is live there, as its Greenroom said on " + known.At.Format(time.DateTime)
	}
	return true, nil
}

// serviceStatus adds how the live release's services stand, and says what is wrong where something is.
func (d *Daemon) serviceStatus(ctx context.Context, e *environment.Environment, record store.Environment, s *api.EnvironmentStatus) error {
	live, err := d.world.Release(ctx, record.Live)
	if err != nil {
		return err
	}
	health, err := e.Health(ctx, live)
	if p := problem.From(err); p != nil && p.Code == problem.Unavailable && ctx.Err() == nil {
		if s.State == api.EnvironmentUp {
			s.State = api.EnvironmentTrouble
		}
		s.Reason = p.Message
		return nil
	}
	if err != nil {
		return err
	}
	for _, h := range health {
		s.Services = append(s.Services, api.ServiceStatus{Name: h.Service, Healthy: h.Healthy, Wanted: h.Wanted, Reason: h.Reason})
		if s.State == api.EnvironmentUp && h.Healthy < h.Wanted {
			s.State = api.EnvironmentTrouble
			s.Reason = h.Service + ": " + h.Reason
			if h.Reason == "" {
				s.Reason = h.Service + " has replicas that do not run"
			}
		}
	}
	if s.State == api.EnvironmentUp && !e.Deployed() {
		if s.Reason = d.unreachable(ctx, e, s.Address); s.Reason != "" {
			s.State = api.EnvironmentTrouble
		}
	}
	return nil
}

// unreachable says why nobody reaches the services of an environment that is up, or nothing.
func (d *Daemon) unreachable(ctx context.Context, e *environment.Environment, address string) string {
	t, err := d.world.Edge.Table(ctx)
	if err != nil {
		return problem.From(err).Message
	}
	if !slices.ContainsFunc(t.Routes, func(r edge.Route) bool { return r.Name == e.RouteName() }) {
		return "nobody is let in at " + address + ": the reason is in " + d.opts.Home.Log()
	}
	return ""
}

// Version is api.Backend's.
func (d *Daemon) Version(context.Context) (api.Version, error) {
	return api.Version{Version: d.opts.Version, API: api.Protocol, PID: os.Getpid()}, nil
}

// ended parts what the audit calls the end of a run, "promotion rolled back", into what was done and how it ended.
func ended(action string) (string, plan.Outcome) {
	for _, o := range []plan.Outcome{plan.Succeeded, plan.RolledBack, plan.Stopped, plan.NeedsOperator} {
		if kind, ok := strings.CutSuffix(action, " "+string(o)); ok {
			return kind, o
		}
	}
	return action, ""
}

// History is api.Backend's.
func (d *Daemon) History(ctx context.Context, q api.HistoryQuery) ([]api.HistoryEntry, error) {
	if _, err := d.world.Store.App(ctx, q.App); err != nil {
		return nil, err
	}
	entries, err := d.world.Store.History(ctx, store.HistoryQuery{App: q.App, Environment: q.Environment, Limit: q.Limit, Before: q.Before})
	if err != nil {
		return nil, err
	}
	out := make([]api.HistoryEntry, 0, len(entries))
	for _, a := range entries {
		h := api.HistoryEntry{Seq: a.Seq, At: a.At, By: a.Actor, Environment: a.Environment, Run: a.Run, Text: a.Because}
		h.Action, h.Outcome = ended(a.Action)
		if dg := release.Digest(a.Subject); dg.Valid() && strings.HasPrefix(a.Action, "policy ") {
			h.Text = "policy " + dg.Short()
		} else if dg.Valid() {
			h.Release = dg
		} else if h.Text == "" {
			h.Text = a.Subject
		}
		if len(h.Text) == 2*sha256.Size { // a schema's fingerprint
			h.Text = release.Digest(h.Text).Short()
		}
		out = append(out, h)
	}
	return out, nil
}
