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
		Long: `Makes an earlier release live again: the last one that the live schema can
carry, or the one named with --to. Where the schema can carry none, it says so
before anything is touched. The release that was live is remembered as bad, with
your reason, so there has to be one: on a terminal it asks.

While a promotion is under way it is that promotion that is stopped and taken
back.

Ctrl-C stops the watching, not the rollback.`,
		Example:           "  greenroom rollback production --because \"orders are lost\"\n  greenroom rollback production --dry-run\n  greenroom rollback staging --to 3f2a91c0 --because \"the whole week was wrong\"",
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
	if to == "" && !o.dry {
		if run, err := promotionUnderWay(ctx, c, app, environment); err != nil || run != nil {
			return s.stopRun(ctx, c, run, err)
		}
	}
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

// promotionUnderWay is the promotion that goes on in an environment; nil for none.
func promotionUnderWay(ctx context.Context, c *api.Client, app, environment string) (*api.RunSummary, error) {
	v, err := c.Status(ctx, app)
	if err != nil {
		return nil, err
	}
	for _, a := range v.Apps {
		for _, e := range a.Environments {
			if e.Name == environment && e.Run != nil && e.Run.Kind == plan.Promotion {
				return e.Run, nil
			}
		}
	}
	return nil, nil
}

// stopRun stops a promotion that is under way and shows how it is taken back.
func (s *shell) stopRun(ctx context.Context, c *api.Client, sum *api.RunSummary, err error) error {
	if err != nil {
		return err
	}
	if err := c.Cancel(ctx, sum.ID); err != nil {
		return err
	}
	run, err := c.Run(ctx, sum.ID)
	if err != nil {
		return err
	}
	if run, err = s.follow(ctx, c, run); err != nil {
		return err
	}
	if s.json() {
		err = s.emit(run)
	} else {
		s.print("%s", runPage(s.Out, run))
	}
	if run.Outcome == plan.RolledBack || run.Outcome == plan.Stopped {
		return err
	}
	return ended(run)
}
