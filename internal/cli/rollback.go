package cli

import (
	"context"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/plan"
)

func (s *shell) rollbackCommand() *cobra.Command {
	var o runOptions
	var to string
	cmd := &cobra.Command{
		Use:   "rollback ENVIRONMENT",
		Short: "Go back to the last release that the live schema can carry",
		Long: `Makes an earlier release live again: the last one that the live schema can carry, or the one named with --to.
Where the schema can carry none, it says so before anything is touched. The release that was live is
remembered as bad, with your reason.

Ctrl-C stops the watching, not the rollback.`,
		Example:           "  greenroom rollback production --because \"orders are lost\"\n  greenroom rollback production --dry-run\n  greenroom rollback staging --to 3f2a91c0",
		Args:              takes(1, "ENVIRONMENT"),
		ValidArgsFunction: completeInTurn(s.completeEnvironments()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.rollback(cmd.Context(), args[0], to, o)
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.because, "because", "", "the reason, kept with the release that was live")
	cmd.Flags().StringVar(&to, "to", "", "the release to go back to")
	must(cmd.RegisterFlagCompletionFunc("to", s.completeReleases()))
	return cmd
}

func (s *shell) rollback(ctx context.Context, environment, to string, o runOptions) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	r := api.RunRequest{Kind: plan.Rollback, App: app, Environment: environment, Because: o.because}
	if to != "" {
		release, err := s.resolve(ctx, c, app, to)
		if err != nil {
			return err
		}
		r.Release = string(release.Digest)
	}
	return s.change(ctx, c, r, o)
}
