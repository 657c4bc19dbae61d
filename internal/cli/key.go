package cli

import (
	"context"
	"crypto/ed25519"
	"strings"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

func (s *shell) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "The keys that evidence is signed with: list, rotate, revoke, trust",
		Long: `Every Greenroom signs its evidence and its log with a key of its own, and
builders sign what they build. Whose signature counts, and for what, says the
policy in force.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.keyListCommand(), s.keyShowCommand(), s.keyRotateCommand(), s.keyRevokeCommand(), s.keyTrustCommand())
	return cmd
}

func (s *shell) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "The keys that are known, and what each may speak about",
		Long: `Lists the keys that are known here: this Greenroom's own, the builders', and
those that the policy names; for which checks and environments each is trusted,
and which are retired or revoked.`,
		Example: "  greenroom key list\n  greenroom key list --output json",
		Args:    takes(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, keys, err := s.keys(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			if s.json() {
				return s.emit(orEmpty(keys))
			}
			s.print("%s", keysPage(s.Out, keys))
			return nil
		},
	}
}

// keys are those of the app that is here, or outside a repository only this Greenroom's own. The caller closes the client.
func (s *shell) keys(ctx context.Context) (*api.Client, []api.KeyView, error) {
	app, err := s.appName()
	if err != nil && problem.From(err).Code != problem.NotFound {
		return nil, nil, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	keys, err := c.Keys(ctx, app)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, keys, nil
}

func (s *shell) keyShowCommand() *cobra.Command {
	var pem, builder bool
	cmd := &cobra.Command{
		Use:   "show [KEY]",
		Short: "A public key, to be given to those who are to trust it",
		Long: `Prints the public key that this Greenroom signs with, or the one that is named
by its name or its id (or the beginning of that). Only the key goes to standard
output: as the definition has it, or with --pem as openssl and cosign read it.

With --builder it is the key that you sign with what you build, which takes no
Greenroom that runs.`,
		Example:           "  greenroom key show\n  greenroom key show --builder --pem > ci.pem\n  greenroom key show --pem > staging.pem\n  greenroom key show SHA256:3f2a",
		Args:              takes(0, "KEY"),
		ValidArgsFunction: completeInTurn(s.completeKeys()),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case builder && len(args) > 0:
				return usage(cmd, "--builder is about your own key: %s is too much", args[0])
			case builder:
				return s.keyShowBuilder(pem)
			case len(args) == 1:
				return s.keyShow(cmd.Context(), args[0], pem)
			}
			return s.keyShow(cmd.Context(), "", pem)
		},
	}
	cmd.Flags().BoolVar(&pem, "pem", false, "as a PEM block (PKIX)")
	cmd.Flags().BoolVar(&builder, "builder", false, "the key that you sign with what you build")
	return cmd
}

func (s *shell) keyShow(ctx context.Context, name string, pem bool) error {
	c, keys, err := s.keys(ctx)
	if err != nil {
		return unreached(err, "greenroom up; or greenroom key show --builder, for the key that you build with")
	}
	defer c.Close()
	k, err := findKey(keys, name)
	if err != nil {
		return err
	}
	public, err := evidence.ParsePublic(k.Public)
	if err != nil {
		return problem.New(problem.Internal, "the key %s can't be read: %w", k.ID, err)
	}
	if s.json() {
		return s.emit(k)
	}
	s.printPublic(public, pem)
	return nil
}

// keyShowBuilder shows the caller's own key, which the first use makes.
func (s *shell) keyShowBuilder(pem bool) error {
	text, err := s.BuilderKey()
	if err != nil {
		return err
	}
	public, err := evidence.ParsePublic(text)
	if err != nil {
		return problem.New(problem.Internal, "your key can't be read: %w", err)
	}
	if s.json() {
		return s.emit(api.KeyView{ID: evidence.IDOf(public), Public: text, Name: "builder"})
	}
	s.printPublic(public, pem)
	return nil
}

func (s *shell) printPublic(public ed25519.PublicKey, pem bool) {
	if pem {
		s.print("%s", evidence.FormatPEM(public))
		return
	}
	s.print("%s\n", evidence.FormatPublic(public))
}

// findKey finds the key that a person named; "" is the one that this Greenroom signs with.
func findKey(keys []api.KeyView, name string) (api.KeyView, error) {
	var found []api.KeyView
	for _, k := range keys {
		switch {
		case name == "" && k.Own && k.Active, name != "" && string(k.ID) == name:
			return k, nil
		case name != "" && (k.Name == name || strings.HasPrefix(string(k.ID), name)):
			found = append(found, k)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return api.KeyView{}, problem.New(problem.NotFound, "no key is called %q", name).WithHint("greenroom key list")
	default:
		return api.KeyView{}, problem.New(problem.Invalid, "%d keys are called %q: give more of the id", len(found), name).WithHint("greenroom key list")
	}
}

func (s *shell) completeKeys() completer {
	return s.completeWith(func(ctx context.Context, c *api.Client, app string) []cobra.Completion {
		keys, err := c.Keys(ctx, app)
		if err != nil {
			return nil
		}
		var names []cobra.Completion
		for _, k := range keys {
			names = append(names, cobra.CompletionWithDesc(string(k.ID), k.Name))
		}
		return names
	})
}
