package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) dbCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "What a database is, and what to do",
		Long: `Tells how the schema of an environment's database stands: as the live release
left it, with migrations pending, ahead of it, half-migrated, or changed by
somebody else.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.dbStatusCommand())
	return cmd
}

func (s *shell) dbStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [ENVIRONMENT]",
		Short: "How the schema stands, and which objects are not as they should be",
		Long: `Reads the database's schema and compares it with the one that was recorded when
it was last changed, and with the migrations of the live release; of production
where no environment is named. Exit code 0: as it should be, 1: not, 3: unknown.`,
		Example:           "  greenroom db status\n  greenroom db status staging --output json",
		Args:              takes(0, "ENVIRONMENT"),
		ValidArgsFunction: completeInTurn(s.completeEnvironments()),
		RunE: func(cmd *cobra.Command, args []string) error {
			environment := "production"
			if len(args) == 1 {
				environment = args[0]
			}
			return s.withApp(cmd.Context(), func(ctx context.Context, c *api.Client, app string) error {
				v, err := c.Database(ctx, app, environment)
				if err != nil {
					return err
				}
				if s.json() {
					if err := s.emit(v); err != nil {
						return err
					}
				} else {
					s.print("%s", databasePage(s.Out, v))
				}
				switch v.State {
				case api.DatabaseCurrent, api.DatabaseEmpty:
					return nil
				case api.DatabaseUnknown:
					return silently(problem.Inconclusive, "the database of %s is %s", environment, v.State)
				default:
					return silently(problem.Fail, "the database of %s is %s", environment, v.State)
				}
			})
		},
	}
}

// maxObjects is how many objects a page names; all of them are in --output json.
const maxObjects = 30

// databasePage is what a database is.
func databasePage(s term.Screen, v api.DatabaseView) string {
	mark, ink := term.Fail, term.Red
	switch v.State {
	case api.DatabaseCurrent, api.DatabaseEmpty:
		mark, ink = term.Pass, term.Green
	case api.DatabaseUnknown:
		mark, ink = term.Unknown, term.Yellow
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  %s: %s\n", s.Mark(mark), s.Paint(ink, string(v.State)), s.Paint(term.Bold, term.Clean(v.Environment)), term.Clean(v.Says))
	list := func(title string, all []string) {
		if len(all) > 0 {
			fmt.Fprintf(&b, "  %s: %s\n", title, term.Clean(strings.Join(all, ", ")))
		}
	}
	list("pending", v.Pending)
	list("ahead", v.Ahead)
	list("edited", v.Edited)
	for _, o := range v.Objects[:min(maxObjects, len(v.Objects))] {
		fmt.Fprintf(&b, "    %s\n", term.Clean(o))
	}
	if n := len(v.Objects) - maxObjects; n > 0 {
		fmt.Fprintf(&b, "    and %s more\n", thousands(int64(n)))
	}
	if v.Next != "" {
		fmt.Fprintf(&b, "  next: %s\n", term.Clean(v.Next))
	}
	return b.String()
}
