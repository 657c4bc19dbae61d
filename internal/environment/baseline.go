package environment

import (
	"context"
	"encoding/json"
	"sort"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// Production is the baseline of an app's production: what it is now where it lives here, and what was last brought of it
// where it lives elsewhere. It is empty for one that has no release yet.
func (w *World) Production(ctx context.Context, p app.Policy) (release.Baseline, error) {
	production, ok := p.Production()
	if !ok {
		return release.Baseline{}, nil
	}
	if e, _ := w.Open(p, production.Name); !w.Elsewhere(p, production.Name) {
		return e.Baseline(ctx)
	}
	s, err := w.Standing(ctx, p, production.Name)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, problem.New(problem.Blocked, "%s lives elsewhere, and what it is now was not brought here", production.Name).
			WithHint("there: greenroom evidence export %s --baseline > FILE; here: greenroom evidence import FILE", production.Name)
	}
	return s.Baseline, nil
}

// Baseline is what the environment is now: a fingerprint for each part that evidence can depend on. It is empty for an
// environment that has no release yet.
func (e *Environment) Baseline(ctx context.Context) (release.Baseline, error) {
	record, err := e.world.Store.Environment(ctx, e.App, e.Name)
	if err != nil || record.Live == "" {
		return release.Baseline{}, err
	}
	live, err := e.world.Release(ctx, record.Live)
	if err != nil {
		return nil, err
	}
	b := release.Baseline{release.PartRelease: string(record.Live), release.PartSchema: record.Schema}
	if b[release.PartConfig], err = fingerprint(e.Settings.Config); err != nil {
		return nil, err
	}
	if b[release.PartSecrets], err = e.secretsFingerprint(ctx); err != nil {
		return nil, err
	}
	sizes := map[string]int{}
	for _, s := range live.Contents.Services {
		sizes[s.Name] = e.Settings.Scale.Of(s.Replicas)
	}
	b[release.PartSizes], err = fingerprint(sizes)
	return b, err
}

// secretsFingerprint changes when a secret is set anew, and tells nothing of its value: each is keyed.
func (e *Environment) secretsFingerprint(ctx context.Context) (string, error) {
	secrets, err := e.world.Store.Secrets(ctx, e.App, e.Name)
	if err != nil {
		return "", err
	}
	lines := make([]string, 0, len(secrets))
	for _, s := range secrets {
		lines = append(lines, s.Name+" "+s.Fingerprint)
	}
	sort.Strings(lines)
	return fingerprint(lines)
}

func fingerprint(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return string(release.Of(b)), nil
}

// Release is a release that is kept here, read strictly.
func (w *World) Release(ctx context.Context, d release.Digest) (release.Release, error) {
	doc, err := w.Store.Document(ctx, d)
	if err != nil {
		return release.Release{}, err
	}
	r, err := release.Parse(doc)
	if err != nil {
		return r, err
	}
	if r.Digest() != d {
		return r, problem.New(problem.Unavailable, "what is kept as release %s is another one", d.Short()).
			WithHint("greenroom build")
	}
	return r, nil
}

// Decide asks an environment's gate about a release, with everything as it is now.
func (w *World) Decide(ctx context.Context, p app.Policy, d release.Digest, environment, override string) (gate.Decision, error) {
	q, err := w.Question(ctx, p, d, environment, override)
	if err != nil {
		return gate.Decision{}, err
	}
	return gate.Decide(q), nil
}

// Question is what Decide asks.
func (w *World) Question(ctx context.Context, p app.Policy, d release.Digest, environment, override string) (gate.Question, error) {
	q, err := w.question(ctx, p, d, environment)
	q.Override = override
	return q, err
}

func (w *World) question(ctx context.Context, p app.Policy, d release.Digest, environment string) (gate.Question, error) {
	q := gate.Question{App: p.App, Release: d, Environment: environment, Policy: p, Builtin: gate.Builtin(), Now: w.Now()}
	r, err := w.Release(ctx, d)
	if err != nil {
		return q, err
	}
	q.Checks, q.Services = r.Contents.Checks, r.Contents.Services
	if r.Contents.Deploy != nil { // of its database nobody here knows, see rehearsal
		q.Builtin = []app.Check{{Name: gate.Rollback}}
	}
	e, ok := w.Open(p, environment)
	if !ok {
		return q, problem.New(problem.NotFound, "%s has no environment %s", p.App, environment).WithHint("greenroom status")
	}
	record, err := w.Store.Environment(ctx, p.App, environment)
	if err != nil {
		return q, err
	}
	if q.Evidence, err = w.Store.Evidence(ctx, p.App, d); err != nil {
		return q, err
	}
	if q.Keys, err = w.Keys(ctx, p); err != nil {
		return q, err
	}
	if q.LogFault = w.LogCheck.Fault(ctx); q.LogFault == "" {
		q.LogFault = w.LogCheck.Missing(p.App, d, q.Evidence)
	}
	if q.LogFault == "" && w.LogCheck.Policy(p.App) != p.Digest() {
		q.LogFault = "the policy in force is not the one that was applied last: somebody changed it in the state file (greenroom apply puts the definition's in force)"
	}
	if q.Schema, err = e.schemaNow(ctx, record, gate.Believed(q.Evidence, q.Keys)); err != nil {
		return q, err
	}
	if q.KnownBad, err = w.Store.KnownBad(ctx, p.App, d); err != nil {
		return q, err
	}
	if q.KnownBad == nil {
		q.KnownBad = w.LogCheck.Bad(p.App, d)
	}
	if production, ok := p.Production(); ok && production.Name == environment { // no other gate asks what production is
		if q.Baseline, err = w.Production(ctx, p); err != nil {
			return q, err
		}
		live := release.Digest(q.Baseline[release.PartRelease])
		if q.First = live == ""; !q.First {
			r, err := w.Release(ctx, live)
			if err != nil && !w.Elsewhere(p, environment) { // there the one that decides knows it
				return q, err
			}
			q.Live = r.Contents.Checks
		}
	}
	q.After, err = w.Presence(ctx, p, e.Settings.After)
	return q, err
}

// Presence is what is live in an environment, and whether all of it is healthy; nil for nothing. Of one that lives
// elsewhere it is what was last brought.
func (w *World) Presence(ctx context.Context, p app.Policy, name string) (*gate.Presence, error) {
	e, ok := w.Open(p, name)
	if !ok {
		return nil, nil
	}
	if w.Elsewhere(p, name) {
		s, err := w.Standing(ctx, p, name)
		if err != nil || s == nil {
			return nil, err
		}
		return &gate.Presence{Release: s.Release, Since: s.Since, Healthy: s.Healthy, Seen: s.At}, nil
	}
	record, err := w.Store.Environment(ctx, p.App, name)
	if err != nil || record.Live == "" {
		return nil, err
	}
	live, err := w.Release(ctx, record.Live)
	if err != nil {
		return nil, err
	}
	health, err := e.Health(ctx, live)
	if err != nil {
		return nil, err
	}
	well := true
	for _, h := range health {
		well = well && h.Healthy >= h.Wanted
	}
	return &gate.Presence{Release: record.Live, Since: record.Since, Healthy: well}, nil
}

// schemaNow reads the schema of the environment's database and compares it with what is recorded, so that one that was
// changed behind Greenroom's back is seen before anything is built on it. It is proven when it is the recorded one, also
// where a half-migrated database was repaired meanwhile; and when it is the one that the release's own migration made in
// its rehearsal, because then a person has finished what was begun.
func (e *Environment) schemaNow(ctx context.Context, record store.Environment, about []evidence.Statement) (gate.SchemaState, error) {
	if record.Live == "" || record.SchemaState == gate.SchemaNone {
		return record.SchemaState, nil // also of one that lives elsewhere: who promotes there reads it there
	}
	if record.Want != store.Up {
		return gate.SchemaUnknown, nil // its server does not run, and a question must not start it
	}
	live, err := e.world.Release(ctx, record.Live)
	if err != nil {
		return gate.SchemaUnknown, err
	}
	now, err := e.Fingerprint(ctx, live)
	if err != nil {
		e.world.Log.Warn("a schema could not be read", "environment", e.RouteName(), "error", err)
		return gate.SchemaUnknown, nil
	}
	if now == record.Schema {
		return gate.SchemaProven, nil
	}
	for _, s := range about {
		if c := s.Result.Schema; c != nil && s.Result.Verdict == evidence.Pass && c.Before == record.Schema && c.After == now {
			return gate.SchemaProven, nil
		}
	}
	if record.SchemaState == gate.SchemaHalfMigrated {
		return gate.SchemaHalfMigrated, nil
	}
	return gate.SchemaUnknown, nil
}
