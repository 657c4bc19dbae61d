package daemon

import (
	"context"
	"slices"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/problem"
	"greenroom/internal/store"
)

var _ api.Backend = (*Daemon)(nil)

// Register is api.Backend's. What is in force stays: another policy takes Apply.
func (d *Daemon) Register(ctx context.Context, r api.Registration) (api.Registered, error) {
	if err := d.sensible(r); err != nil {
		return api.Registered{}, err
	}
	known, err := d.world.Store.App(ctx, r.App)
	switch {
	case err == nil:
		return api.Registered{Policy: known.Digest, Before: known.Digest, Pending: known.Digest != r.Policy.Digest()}, nil
	case problem.From(err).Code != problem.NotFound:
		return api.Registered{}, err
	}
	out := api.Registered{Policy: r.Policy.Digest(), Changed: true}
	by := store.Audit{Actor: api.Actor(ctx), Action: actionRegistered, App: r.App, Subject: out.Policy}
	if err := d.world.Store.Change(ctx, by, func(t *store.Tx) error {
		return t.PutApp(ctx, store.App{Name: r.App, Repository: r.Repository, Policy: r.Policy})
	}); err != nil {
		return out, err
	}
	return out, d.openDoor(ctx)
}

// sensible refuses a policy that can't be any.
func (d *Daemon) sensible(r api.Registration) error {
	if r.App == "" || r.App != r.Policy.App {
		return problem.New(problem.Invalid, "the policy is that of %q, not of %q", r.Policy.App, r.App)
	}
	if err := r.Policy.Validate(); err != nil {
		return problem.New(problem.Invalid, "the policy: %w", err)
	}
	return nil
}

// Releases is api.Backend's.
func (d *Daemon) Releases(ctx context.Context, app string, limit int) ([]api.ReleaseView, error) {
	builds, err := d.world.Store.Releases(ctx, app, limit)
	if err != nil {
		return nil, err
	}
	views := make([]api.ReleaseView, 0, len(builds))
	for _, b := range builds {
		v, err := d.releaseView(ctx, b)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// Resolve is api.Backend's.
func (d *Daemon) Resolve(ctx context.Context, app, name string) (api.ReleaseView, error) {
	b, err := d.world.Store.Resolve(ctx, app, name)
	if err != nil {
		return api.ReleaseView{}, err
	}
	return d.releaseView(ctx, b)
}

func (d *Daemon) releaseView(ctx context.Context, b store.Build) (api.ReleaseView, error) {
	v := api.ReleaseView{App: b.App, Digest: b.Release, Commit: b.Revision, Ref: b.Ref, Dirty: b.Dirty, By: b.By, BuiltAt: b.At}
	r, err := d.world.Release(ctx, b.Release)
	if err != nil {
		return v, err
	}
	for _, a := range r.Files {
		v.Size += a.Size
	}
	environments, err := d.world.Store.Environments(ctx, b.App)
	if err != nil {
		return v, err
	}
	for _, e := range environments {
		if e.Live == b.Release {
			v.Live = append(v.Live, e.Name)
		}
	}
	report, err := d.world.Store.LatestReport(ctx, b.App, b.Release)
	switch {
	case err == nil:
		v.Verdict = report.Verdict
	case problem.From(err).Code != problem.NotFound:
		return v, err
	}
	bad, err := d.world.Store.KnownBad(ctx, b.App, b.Release)
	if err == nil && bad != nil {
		v.Bad = bad.Reason
	}
	return v, err
}

// policyAnd is the policy in force and an environment that it knows.
func (d *Daemon) policyAnd(ctx context.Context, name, environment string) (app.Policy, app.Environment, error) {
	a, err := d.world.Store.App(ctx, name)
	if err != nil {
		return app.Policy{}, app.Environment{}, err
	}
	e, ok := a.Policy.Environment(environment)
	if !ok {
		return a.Policy, e, problem.New(problem.NotFound, "%s has no environment %q (it has %s)", name, environment, names(a.Policy)).
			WithHint("greenroom status")
	}
	return a.Policy, e, nil
}

func names(p app.Policy) string {
	out := ""
	for i, e := range p.Environments {
		if i > 0 {
			out += ", "
		}
		out += e.Name
	}
	return out
}

// SecretSet is api.Backend's.
func (d *Daemon) SecretSet(ctx context.Context, s api.SecretName, value []byte) error {
	if _, _, err := d.policyAnd(ctx, s.App, s.Environment); err != nil {
		return err
	}
	if err := d.notUnderfoot(ctx, s, databasePassword); err != nil {
		return err
	}
	sealed, err := d.world.Secrets.Seal(value)
	if err != nil {
		return err
	}
	by := store.Audit{Actor: api.Actor(ctx), Action: "secret set", App: s.App, Environment: s.Environment, Subject: s.Name}
	return d.world.Store.Change(ctx, by, func(t *store.Tx) error {
		return t.PutSecret(ctx, store.Secret{App: s.App, Environment: s.Environment, Name: s.Name, Sealed: sealed,
			Fingerprint: d.world.Secrets.Fingerprint(s.Name, string(value))})
	})
}

// SecretRemove is api.Backend's.
func (d *Daemon) SecretRemove(ctx context.Context, s api.SecretName) error {
	if err := d.notUnderfoot(ctx, s, namesSecret); err != nil {
		return err
	}
	by := store.Audit{Actor: api.Actor(ctx), Action: "secret removed", App: s.App, Environment: s.Environment, Subject: s.Name}
	return d.world.Store.Change(ctx, by, func(t *store.Tx) error { return t.RemoveSecret(ctx, s.App, s.Environment, s.Name) })
}

// notUnderfoot refuses to change a secret that what is up in the environment can't do without.
func (d *Daemon) notUnderfoot(ctx context.Context, s api.SecretName, needs func(app.Contents, string) bool) error {
	record, err := d.world.Store.Environment(ctx, s.App, s.Environment)
	if err != nil || record.Live == "" || record.Want != store.Up {
		return err
	}
	live, err := d.contents(ctx, record.Live)
	if err != nil || !needs(live, s.Name) {
		return err
	}
	return problem.New(problem.Blocked, "%s runs with the secret %s: without this value its services can't reach what they need", s.Environment, s.Name).
		WithHint("greenroom down %s, and when that is done, this again", s.Environment)
}

// databasePassword says whether the secret is the password of a database that Greenroom runs: the server has one password
// at a time, and the services that run know the one with which they started.
func databasePassword(c app.Contents, secret string) bool {
	return c.Database != nil && c.Database.PasswordSecret == secret
}

// namesSecret says whether a release can't be started without the secret.
func namesSecret(c app.Contents, secret string) bool {
	return databasePassword(c, secret) || slices.Contains(c.SecretNames(), secret)
}

// SecretList is api.Backend's: what is set, and what the live release of each environment asks for.
func (d *Daemon) SecretList(ctx context.Context, name, environment string) ([]api.SecretView, error) {
	a, err := d.world.Store.App(ctx, name)
	if err != nil {
		return nil, err
	}
	var out []api.SecretView
	for _, e := range a.Policy.Environments {
		if environment != "" && e.Name != environment {
			continue
		}
		views, err := d.secretsOf(ctx, name, e.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, views...)
	}
	return out, nil
}

func (d *Daemon) secretsOf(ctx context.Context, name, environment string) ([]api.SecretView, error) {
	set, err := d.world.Store.Secrets(ctx, name, environment)
	if err != nil {
		return nil, err
	}
	views := map[string]*api.SecretView{}
	view := func(name string) *api.SecretView {
		if views[name] == nil {
			views[name] = &api.SecretView{Environment: environment, Name: name}
		}
		return views[name]
	}
	for _, s := range set {
		v := view(s.Name)
		v.Set, v.At = true, s.At
	}
	record, err := d.world.Store.Environment(ctx, name, environment)
	if err != nil {
		return nil, err
	}
	if record.Live != "" {
		live, err := d.world.Release(ctx, record.Live)
		if err != nil {
			return nil, err
		}
		for _, s := range live.Contents.Services {
			for _, n := range s.Secrets {
				view(n).Services = append(view(n).Services, s.Name)
			}
		}
		if d := live.Contents.Deploy; d != nil {
			for _, n := range d.Secrets {
				view(n).Services = append(view(n).Services, "deploy")
			}
		}
	}
	out := make([]api.SecretView, 0, len(views))
	for _, v := range views {
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b api.SecretView) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out, nil
}

// Shutdown is api.Backend's.
func (d *Daemon) Shutdown(context.Context) error {
	d.told.Store(true)
	d.shutdown()
	return nil
}
