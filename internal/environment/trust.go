package environment

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Keys are those whose evidence counts for an app, and what each may speak about: this Greenroom's own for everything, and
// those that the policy names. Where it names none, the builders' keys that were enrolled here count for the checks at
// build. What was revoked here is revoked, whatever a policy says.
func (w *World) Keys(ctx context.Context, p app.Policy) (evidence.Keys, error) {
	known, err := w.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var keys evidence.Keys
	for _, t := range p.Keys {
		k, err := trusted(t)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	for _, k := range known {
		i := slices.IndexFunc(keys, func(have evidence.Key) bool { return have.ID == k.ID })
		switch {
		case k.Own: // also where the policy names it for others to trust: here it may speak about everything
			k.Checks, k.Environments = []string{evidence.Any}, []string{evidence.Any}
			if i >= 0 {
				keys = slices.Delete(keys, i, i+1)
			}
			keys = append(keys, k.Key)
		case i >= 0:
			keys[i].Revoked = k.Revoked
		default:
			// A key that is known, and trusted with nothing, is in the list so that it is told whose it is.
			if len(p.Keys) == 0 {
				k.Checks, k.Environments = []string{evidence.Any}, []string{gate.BuildRun}
			}
			keys = append(keys, k.Key)
		}
	}
	return keys, nil
}

func trusted(t app.TrustedKey) (evidence.Key, error) {
	public, err := evidence.ParsePublic(t.Public)
	if err != nil {
		return evidence.Key{}, problem.New(problem.Invalid, "the policy's key %s: %w", t.Name, err).WithHint("greenroom apply")
	}
	k := evidence.Key{ID: evidence.IDOf(public), Public: public, Name: t.Name, Checks: t.Checks, Environments: t.Speaks()}
	if len(k.Checks) == 0 {
		k.Checks = []string{evidence.Any}
	}
	return k, nil
}

// Elsewhere says whether an environment of the policy lives under another Greenroom: a key that is not this one's may
// speak for it.
func (w *World) Elsewhere(p app.Policy, environment string) bool {
	return slices.ContainsFunc(p.Keys, func(t app.TrustedKey) bool {
		public, err := evidence.ParsePublic(t.Public)
		return err == nil && slices.Contains(t.Environments, environment) && !w.own(public)
	})
}

func (w *World) own(public ed25519.PublicKey) bool {
	return slices.ContainsFunc(w.Ring.Publics(), func(mine ed25519.PublicKey) bool { return mine.Equal(public) })
}

// Standing is what the Greenroom that runs an environment said of it last, if its key still counts for that; nil when it
// said nothing.
func (w *World) Standing(ctx context.Context, p app.Policy, environment string) (*evidence.Standing, error) {
	kept, known, err := w.Store.Standing(ctx, p.App, environment)
	if err != nil || !known {
		return nil, err
	}
	keys, err := w.Keys(ctx, p)
	if err != nil {
		return nil, err
	}
	again := func(why error) error {
		return problem.New(problem.Blocked, "what is known of %s does not count any more: %w", environment, why).
			WithHint("greenroom evidence import FILE, with what %s's Greenroom exports", environment)
	}
	if err := kept.Recorded.Entry.Check(keys); err != nil {
		return nil, again(err)
	}
	if release.Of(kept.Recorded.Envelope) != kept.Recorded.Digest {
		return nil, again(errors.New("it is gone, or not what was recorded"))
	}
	s, _, err := OpenStanding(kept.Recorded.Envelope, keys, p.App, environment)
	if err != nil {
		return nil, again(err)
	}
	return &s, nil
}

// OpenStanding reads what a key says of an environment that it may speak for.
func OpenStanding(envelope []byte, keys evidence.Keys, app, environment string) (evidence.Standing, evidence.Key, error) {
	s, k, err := evidence.OpenStanding(envelope, keys)
	switch {
	case err != nil:
		return s, k, err
	case s.App != app:
		return s, k, problem.New(problem.Invalid, "it is about %s, not about %s", s.App, app)
	case environment != "" && s.Environment != environment:
		return s, k, problem.New(problem.Invalid, "it is about %s, not about %s", s.Environment, environment)
	case !slices.Contains(k.Environments, s.Environment):
		return s, k, problem.New(problem.Blocked, "the key %s may not speak for %s", k.Name, s.Environment).
			WithHint("greenroom key trust, with --environment %s", s.Environment)
	}
	return s, k, nil
}

// Statements are what is known about a release: signed by keys that count, recorded and whole, the oldest first.
func (w *World) Statements(ctx context.Context, p app.Policy, d release.Digest) ([]evidence.Statement, error) {
	recorded, err := w.Store.Evidence(ctx, p.App, d)
	if err != nil {
		return nil, err
	}
	keys, err := w.Keys(ctx, p)
	if err != nil {
		return nil, err
	}
	return gate.Believed(recorded, keys), nil
}
