package cli

import (
	"context"

	"github.com/spf13/cobra"

	"greenroom/internal/problem"
)

func (s *shell) statusCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What is live where, what is healthy, what is under way",
		Long: `Shows every environment of the app: its release and since when, how many
replicas of each service are healthy of how many wanted, the last minute's
requests, the address; then what is under way, and the latest release. Outside a
repository it shows every app, as --all does.`,
		Example: "  greenroom status\n  greenroom status --all\n  greenroom status --output json",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.status(cmd.Context(), all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "every app")
	return cmd
}

func (s *shell) status(ctx context.Context, all bool) error {
	app := ""
	if !all {
		name, err := s.appName()
		if err != nil && problem.From(err).Code != problem.NotFound {
			return err
		}
		app = name
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return s.showStatus(ctx, c, app, false)
}
