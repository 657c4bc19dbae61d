package cli

import (
	"context"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// glassOptions are those of breaking the glass.
type glassOptions struct {
	runOptions
	halfMigrated, yes bool
}

func (s *shell) breakGlassCommand() *cobra.Command {
	var o glassOptions
	cmd := &cobra.Command{
		Use:   "break-glass ENVIRONMENT [RELEASE]",
		Short: "Promote past the gate's no, with a reason, reviewed afterwards",
		Long: `Makes a release (the latest, where none is named) live although the
environment's gate says no. It needs the right break-glass and a reason, shows
every demand that it goes past and asks; status, explain and the log show it
from then on, until somebody else has looked at it: greenroom break-glass review
RUN --because …

A database that is half-migrated, or whose schema is not known, needs
--half-migrated as well: neither release may run on it. Where the gate says yes
there is nothing to break: greenroom promote.`,
		Example:           "  greenroom break-glass production --because \"the shop is down\"\n  greenroom break-glass production 3f2a91c0 --because \"as agreed\" --yes\n  greenroom break-glass production --dry-run",
		Args:              takes(1, "ENVIRONMENT", "RELEASE"),
		ValidArgsFunction: completeInTurn(s.completeEnvironments(), s.completeReleases()),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "latest"
			if len(args) == 2 {
				name = args[1]
			}
			return s.breakGlass(cmd.Context(), name, args[0], o)
		},
	}
	o.flags(cmd)
	becauseFlag(cmd, &o.because)
	cmd.Flags().BoolVar(&o.halfMigrated, "half-migrated", false, "also on a schema that is half-migrated or not known")
	yesFlag(cmd, &o.yes)
	cmd.AddCommand(s.reviewCommand())
	return cmd
}

func (s *shell) breakGlass(ctx context.Context, name, environment string, o glassOptions) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	release, err := s.resolve(ctx, c, app, name)
	if err != nil {
		return err
	}
	r := api.RunRequest{Kind: plan.Promotion, App: app, Release: string(release.Digest), Environment: environment,
		Because: o.because, BreakGlass: true, HalfMigrated: o.halfMigrated}
	v, err := c.Plan(ctx, r)
	if err != nil {
		return err
	}
	if v.Decision.Allowed {
		return problem.New(problem.Invalid, "%s takes %s: there is no glass to break", environment, release.Digest.Short()).
			WithHint("greenroom promote %s %s", release.Digest.Short(), environment)
	}
	if !s.json() {
		s.print("%s", decisionPage(s.Out, term.Clean(app)+" "+release.Digest.Short(), environment, v.Decision))
	}
	if o.dry {
		return s.brokenDry(v, o)
	}
	if r.Because, err = s.reason(ctx, o.because, "the promotion, for those who review it"); err != nil {
		return err
	}
	broken, err := v.Decision.Break(gate.Glass{Because: r.Because, HalfMigrated: o.halfMigrated})
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, "Go past "+count(len(broken), "demand that is not met", "demands that are not met")+"?", o.yes); err != nil {
		return err
	}
	return s.carryOut(ctx, c, r, o.runOptions)
}

// brokenDry tells whether the glass could be broken, and starts nothing.
func (s *shell) brokenDry(v api.PlanView, o glassOptions) error {
	because := o.because
	if because == "" {
		because = "(asked for later)"
	}
	broken, err := v.Decision.Break(gate.Glass{Because: because, HalfMigrated: o.halfMigrated})
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(map[string]any{"plan": v.Plan, "decision": v.Decision, "overridden": orEmpty(broken)})
	}
	s.print("\n%s\nnothing was done (--dry-run)\n", planPage(s.Out, v.Plan))
	return nil
}

func (s *shell) reviewCommand() *cobra.Command {
	var because string
	cmd := &cobra.Command{
		Use:   "review RUN --because WHAT-YOU-FOUND",
		Short: "Say that you have looked at a gate's no that somebody went past",
		Long: `Closes what breaking the glass in a run left open, with what you found. It takes
somebody else than the one who broke it, with the right to break it himself.
greenroom status names the runs.`,
		Example: "  greenroom break-glass review r-3f2a --because \"the repair was right\"",
		Args:    takes(1, "RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.review(cmd.Context(), args[0], because)
		},
	}
	cmd.Flags().StringVar(&because, "because", "", "what you found, kept with the promotion")
	return cmd
}

func (s *shell) review(ctx context.Context, run, because string) error {
	because, err := s.reason(ctx, because, "the review")
	if err != nil {
		return err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Review(ctx, run, because); err != nil {
		return err
	}
	if s.json() {
		return s.emit(map[string]string{"run": run, "done": "reviewed"})
	}
	s.print("%s %s is reviewed\n", s.Out.Mark(term.Pass), term.Clean(run))
	return nil
}
