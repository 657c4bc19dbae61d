package cli

import (
	"context"

	"github.com/spf13/cobra"

	"greenroom/internal/problem"
)

func (s *shell) diffCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "How two releases or environments differ, fact by fact",
		Long: `Compares two sides, each a release or an environment. Between releases a fact is
the same or changed; between environments it is the same, declared (the
definition says so, with its reason), or undeclared, which is what bites in
production.`,
		Example:           "  greenroom diff staging production\n  greenroom diff 3f2a91c0 latest\n  greenroom diff production latest --all",
		Args:              takes(2, "A", "B"),
		ValidArgsFunction: completeInTurn(s.completeSides(), s.completeSides()),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.diff(cmd.Context(), args[0], args[1], all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "list what is the same as well")
	return cmd
}

func (s *shell) completeSides() completer {
	environments, releases := s.completeEnvironments(), s.completeReleases()
	return func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names, _ := environments(cmd, args, toComplete)
		more, directive := releases(cmd, args, toComplete)
		return append(names, more...), directive
	}
}

func (s *shell) diff(ctx context.Context, a, b string, all bool) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	v, err := c.Diff(ctx, app, a, b)
	if problem.From(err) != nil && problem.From(err).Code == problem.NotFound {
		// One of them may be a git ref, which only the repository can read.
		v, err = c.Diff(ctx, app, s.commitOr(ctx, a), s.commitOr(ctx, b))
	}
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(v)
	}
	s.print("%s", diffPage(s.Out, v, all))
	return nil
}

// commitOr is the commit that a name means in the repository, or the name.
func (s *shell) commitOr(ctx context.Context, name string) string {
	if commit, err := s.Commit(ctx, s.dir, name); err == nil {
		return commit
	}
	return name
}
