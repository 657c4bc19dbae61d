package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

func (s *shell) promoteCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "promote RELEASE ENVIRONMENT",
		Short: "Make a release live: gate, backup, migrate, roll out, watch",
		Long: `Asks the environment's gate, then makes the release live there: backup,
migration, start beside the old one, health, traffic in steps, journeys, watch.
A step that fails is taken back, as far as it can be. At the end it proves what
people noticed: requests during the switch, how many failed, the longest gap.

Ctrl-C stops the watching, not the promotion: it goes on by itself, and
greenroom status shows it. A release that was rolled back is known to be bad,
and refused until you give a reason with --because.`,
		Example:           "  greenroom promote latest staging\n  greenroom promote 3f2a91c0 production\n  greenroom promote latest production --dry-run\n  greenroom promote 3f2a91c0 production --because \"the provider is back\"",
		Args:              takes(2, "RELEASE", "ENVIRONMENT"),
		ValidArgsFunction: completeInTurn(s.completeReleases(), s.completeEnvironments()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.promote(cmd.Context(), args[0], args[1], o)
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.because, "because", "", "a reason, kept with the promotion")
	return cmd
}

func (s *shell) promote(ctx context.Context, name, environment string, o runOptions) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	release, err := s.resolve(ctx, c, app, name)
	if err != nil {
		return s.swapped(ctx, c, app, "greenroom promote %s %s", name, environment, err)
	}
	err = s.change(ctx, c, api.RunRequest{Kind: plan.Promotion, App: app, Release: string(release.Digest),
		Environment: environment, Because: o.because}, o)
	return s.swapped(ctx, c, app, "greenroom promote %s %s", name, environment, err)
}

// swapped explains an error where a release and an environment were named in the wrong order: the release comes first.
// turned is the command with a place for each.
func (s *shell) swapped(ctx context.Context, c *api.Client, app, turned, release, environment string, err error) error {
	if p := problem.From(err); p == nil || p.Code != problem.NotFound {
		return err
	}
	names := environmentNames(ctx, c, app)
	if !slices.Contains(names, release) || slices.Contains(names, environment) {
		return err
	}
	return problem.New(problem.Invalid, "%s is an environment: the release comes first", term.Clean(release)).
		WithHint(turned, term.Clean(environment), term.Clean(release))
}

// environmentNames are those of an app; none where it can't be asked.
func environmentNames(ctx context.Context, c *api.Client, app string) (names []string) {
	v, err := c.Status(ctx, app)
	if err != nil {
		return nil
	}
	for _, a := range v.Apps {
		for _, e := range a.Environments {
			names = append(names, e.Name)
		}
	}
	return names
}

// change does a promotion or a rollback, if the gate says yes.
func (s *shell) change(ctx context.Context, c *api.Client, r api.RunRequest, o runOptions) error {
	if o.dry {
		return s.dryRun(ctx, c, r)
	}
	v, err := c.Plan(ctx, r)
	if err != nil {
		return s.noWay(r, err)
	}
	if !v.Decision.Allowed {
		return s.refused(r, v)
	}
	if r.Kind == plan.Rollback {
		if r.Because, err = s.reason(ctx, r.Because, "the release that is live now, which is known to be bad from then on"); err != nil {
			return err
		}
	}
	return s.carryOut(ctx, c, r, o)
}

// carryOut starts a promotion or a rollback and shows it, to the proof.
func (s *shell) carryOut(ctx context.Context, c *api.Client, r api.RunRequest, o runOptions) error {
	run, err := c.Start(ctx, r)
	if err != nil {
		return err
	}
	if o.detach {
		return s.detached(run)
	}
	if !s.json() {
		s.print("%s\n%s", s.Out.Paint(term.Bold, sentence(run.Plan)), s.openGlass(ctx, c, r.App, r.Environment))
	}
	run, err = s.follow(ctx, c, run)
	if ctx.Err() != nil {
		return problem.New(problem.Interrupted, "you stopped watching: the %s goes on by itself (%s)", r.Kind, run.ID).
			WithHint("greenroom status; greenroom history tells how it ended")
	}
	if err != nil {
		return err
	}
	if s.json() {
		if err := s.emit(run); err != nil {
			return err
		}
	} else {
		s.print("%s", runPage(s.Out, run))
	}
	return ended(run)
}

// noWay tells a program of a rollback that is refused as of any other plan that is: with the reason as a decision.
func (s *shell) noWay(r api.RunRequest, err error) error {
	p := problem.From(err)
	if r.Kind != plan.Rollback || !s.json() || p.Code != problem.Blocked {
		return err
	}
	no := gate.Decision{Demands: []gate.Demand{{Name: "a way back", Answer: gate.No, Reason: p.Message, Next: p.Hint}}}
	v := api.PlanView{Plan: plan.Plan{Format: plan.Format, Kind: r.Kind, App: r.App, Environment: r.Environment, Release: release.Digest(r.Release), Steps: []plan.Step{}}, Decision: no}
	if unwritten := s.emit(v); unwritten != nil {
		return unwritten
	}
	return silently(problem.Blocked, "there is no way back")
}

// refused shows the gate's no.
func (s *shell) refused(r api.RunRequest, v api.PlanView) error {
	if s.json() {
		if err := s.emit(v); err != nil {
			return err
		}
	} else {
		s.print("%s", decisionPage(s.Out, term.Clean(r.App)+" "+v.Plan.Release.Short(), r.Environment, v.Decision))
	}
	return silently(problem.Blocked, "the gate says no")
}
