package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

func (s *shell) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain RELEASE ENVIRONMENT",
		Short: "May it go, and if not, every reason and what to do",
		Long: `Asks an environment's gate about a release, and shows every demand with its
answer: yes, no, or could not be decided, the reason, and the command that would
change it; the evidence behind it, who signed it and when, and whether what it
depends on is still so. Nothing is done.

Of a release that the environment runs already it tells what the gate would say
today: a key that was revoked since, evidence that is gone. That its own going
live changed what production is does not speak against it.

The exit code is 0 when the environment takes the release or runs it already,
and 4 when it does not take it.`,
		Example:           "  greenroom explain latest production\n  greenroom explain 3f2a91c0 staging --output json",
		Args:              takes(2, "RELEASE", "ENVIRONMENT"),
		ValidArgsFunction: completeInTurn(s.completeReleases(), s.completeEnvironments()),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.explain(cmd.Context(), args[0], args[1]) },
	}
}

func (s *shell) explain(ctx context.Context, name, environment string) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := s.resolve(ctx, c, app, name)
	if err != nil {
		return s.swapped(ctx, c, app, "greenroom explain %s %s", name, environment, err)
	}
	e, err := c.Explain(ctx, app, string(r.Digest), environment)
	if err != nil {
		return s.swapped(ctx, c, app, "greenroom explain %s %s", name, environment, err)
	}
	switch {
	case s.json():
		if err := s.emit(e); err != nil {
			return err
		}
	case e.Live:
		if err := s.explainLive(ctx, c, app, e); err != nil {
			return err
		}
	default:
		s.print("%s%s", explainPage(s.Out, term.Clean(app)+" "+r.Digest.Short(), environment, e.Decision, time.Now()),
			s.openGlass(ctx, c, app, environment))
		switch {
		case e.Elsewhere:
			s.print("  another Greenroom runs %s, and decides: this is how it looks from here\n", term.Clean(environment))
			s.next("greenroom release export %s FILE, and there: greenroom release import FILE", r.Digest.Short())
		case e.Decision.Allowed:
			s.next("greenroom promote %s %s", r.Digest.Short(), environment)
		}
	}
	if !e.Decision.Allowed && !e.Live {
		return silently(problem.Blocked, "the gate says no")
	}
	return nil
}

// explainLive tells what the gate would say today of a release that the environment runs.
func (s *shell) explainLive(ctx context.Context, c *api.Client, app string, e api.Explanation) error {
	var sound map[release.Digest]bool
	if !e.Decision.Allowed {
		list, err := c.Evidence(ctx, app, string(e.Release.Digest))
		if err != nil {
			return err
		}
		sound = soundPasses(list)
	}
	s.print("%s%s", livePage(s.Out, term.Clean(app)+" "+e.Release.Digest.Short(), e.Environment, e.Decision, sound),
		s.openGlass(ctx, c, app, e.Environment))
	s.next("greenroom evidence show %s", e.Release.Digest.Short())
	return nil
}
