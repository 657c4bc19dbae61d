package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func (s *shell) releasesCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "releases",
		Short: "The releases, the newest first",
		Long: `Lists the app's releases: what each was built from, when and by whom, how its
last rehearsal ended, and where it is live.`,
		Example: "  greenroom releases\n  greenroom releases --limit 5 --output json",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.releases(cmd.Context(), limit) },
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "at most so many")
	return cmd
}

func (s *shell) releases(ctx context.Context, limit int) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	rs, err := c.Releases(ctx, app, limit)
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(orEmpty(rs))
	}
	s.print("%s", releasesPage(s.Out, rs, time.Now()))
	return nil
}

// orEmpty makes a list that JSON shows as [] and not as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
