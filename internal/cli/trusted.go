package cli

import (
	"context"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

// keyFlag names the keys to verify with.
func keyFlag(cmd *cobra.Command, given *[]string) {
	cmd.Flags().StringArrayVar(given, "key", nil, "a public key to verify with: a file, or ed25519:…; may be given again")
	must(cmd.RegisterFlagCompletionFunc("key", completeFiles))
}

// givenKeys are the keys of --key. Who gives one trusts it with everything.
func (s *shell) givenKeys(given []string) (evidence.Keys, error) {
	var keys evidence.Keys
	for _, g := range given {
		k, err := s.publicKey(g)
		if err != nil {
			return nil, err
		}
		k.Checks, k.Environments = []string{evidence.Any}, []string{evidence.Any}
		if _, twice := keys.Find(k.ID); !twice {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// offlineKeys are the keys of --key, or those that the definition names: no daemon is asked.
func (s *shell) offlineKeys(ctx context.Context, given []string) (evidence.Keys, error) {
	if len(given) > 0 {
		return s.givenKeys(given)
	}
	d, err := s.Load(ctx, s.dir)
	if err != nil && problem.From(err).Code != problem.NotFound {
		return nil, err
	}
	keys, err := policyKeys(d.App.Policy)
	if err == nil && len(keys) == 0 {
		err = problem.New(problem.Inconclusive, "there is no key to verify with: none was given, and no definition here names one").
			WithHint("the same with --key FILE; the key prints greenroom key show, where it was signed")
	}
	return keys, err
}

// policyKeys are the keys that a policy names, for what it trusts them with.
func policyKeys(p app.Policy) (evidence.Keys, error) {
	var keys evidence.Keys
	for _, t := range p.Keys {
		public, err := evidence.ParsePublic(t.Public)
		if err != nil {
			return nil, problem.New(problem.Invalid, "the definition's key %s: %w", t.Name, err)
		}
		k := evidence.Key{ID: evidence.IDOf(public), Public: public, Name: t.Name, Checks: t.Checks, Environments: t.Speaks()}
		if len(k.Checks) == 0 {
			k.Checks = []string{evidence.Any}
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// keysFor are the keys of --key, or those that the Greenroom which runs knows and trusts.
func (s *shell) keysFor(ctx context.Context, c *api.Client, app string, given []string) (evidence.Keys, error) {
	if len(given) > 0 {
		return s.givenKeys(given)
	}
	views, err := c.Keys(ctx, app)
	if err != nil {
		return nil, err
	}
	return keysOf(views)
}

func keysOf(views []api.KeyView) (evidence.Keys, error) {
	var keys evidence.Keys
	for _, v := range views {
		public, err := evidence.ParsePublic(v.Public)
		if err != nil {
			return nil, problem.New(problem.Internal, "the key %s can't be read: %w", v.ID, err)
		}
		k := evidence.Key{ID: evidence.IDOf(public), Public: public, Name: v.Name, Own: v.Own, Checks: v.Checks, Environments: v.Environments}
		if !v.Revoked.IsZero() {
			k.Revoked = &evidence.Revocation{At: v.Revoked, Because: v.Because}
		}
		keys = append(keys, k)
	}
	return keys, nil
}
