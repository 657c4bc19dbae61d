package cli

import (
	"context"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
)

func (s *shell) keyRevokeCommand() *cobra.Command {
	var because string
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke KEY --because REASON",
		Short: "Let nothing of a key count any more, and list what leaned on it",
		Long: `Makes that nothing which a key has signed counts any more, whenever it was
signed, and lists what leaned on it: the promotions that were let in because of
it, and where their releases are live now. Nothing is taken back by itself, and
nothing undoes a revocation.

A key that is only to be replaced is rotated: then what it signed before goes on
counting.`,
		Example:           "  greenroom key revoke SHA256:3f2a --because \"the laptop was stolen\"\n  greenroom key revoke ci --because \"it stood in a log\" --yes",
		Args:              takes(1, "KEY"),
		ValidArgsFunction: completeInTurn(s.completeKeys()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.keyRevoke(cmd.Context(), args[0], because, yes)
		},
	}
	becauseFlag(cmd, &because)
	yesFlag(cmd, &yes)
	return cmd
}

func (s *shell) keyRevoke(ctx context.Context, name, because string, yes bool) error {
	c, keys, err := s.keys(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	k, err := findKey(keys, name)
	if err != nil {
		return err
	}
	if because, err = s.reason(ctx, because, "the revocation"); err != nil {
		return err
	}
	if err := s.confirm(ctx, "Revoke "+k.Name+", "+string(k.ID)+"? It can't be undone.", yes); err != nil {
		return err
	}
	r, err := c.RevokeKey(ctx, k.ID, because)
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(r)
	}
	s.print("%s", revokedPage(s.Out, r))
	if next := afterRevoking(r); next != "" {
		s.next("%s", next)
	}
	return nil
}

// afterRevoking is what comes naturally: the release that is live without ground is rehearsed again.
func afterRevoking(r api.Revoked) string {
	if len(r.Live) == 0 {
		return ""
	}
	return "greenroom rehearse " + r.Live[0].Release.Short() + "; what is wrong with it: greenroom explain " + r.Live[0].Release.Short() + " " + r.Live[0].Environment
}
