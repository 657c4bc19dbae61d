package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain RELEASE ENVIRONMENT",
		Short: "May it go, and if not, every reason and what to do",
		Long: `Asks an environment's gate about a release, and shows every demand with its answer: yes, no, or could not
be decided, the reason, and the command that would change it; the evidence behind it, who signed it and when,
and whether what it depends on is still so. Nothing is done.

The exit code is 0 when the environment takes the release or runs it already, and 4 when it does not take it.`,
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
	release, err := s.resolve(ctx, c, app, name)
	if err != nil {
		return s.swapped(ctx, c, app, "greenroom explain %s %s", name, environment, err)
	}
	e, err := c.Explain(ctx, app, string(release.Digest), environment)
	if err != nil {
		return s.swapped(ctx, c, app, "greenroom explain %s %s", name, environment, err)
	}
	live := slices.Contains(e.Release.Live, environment)
	switch {
	case s.json():
		if err := s.emit(e); err != nil {
			return err
		}
	case live:
		s.print("%s %s\n%s", s.Out.Mark(term.Pass),
			s.Out.Paint(term.Bold, environment+" runs "+term.Clean(app)+" "+release.Digest.Short()+": there is nothing to promote"),
			s.openGlass(ctx, c, app, environment))
		s.next("greenroom evidence show %s", release.Digest.Short())
	default:
		s.print("%s%s", explainPage(s.Out, term.Clean(app)+" "+release.Digest.Short(), environment, e.Decision, time.Now()),
			s.openGlass(ctx, c, app, environment))
		if e.Decision.Allowed {
			s.next("greenroom promote %s %s", release.Digest.Short(), environment)
		}
	}
	if !e.Decision.Allowed && !live {
		return silently(problem.Blocked, "the gate says no")
	}
	return nil
}
