package cli

import (
	"context"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
)

func (s *shell) historyCommand() *cobra.Command {
	var q api.HistoryQuery
	cmd := &cobra.Command{
		Use:   "history",
		Short: "What was done, when, by whom, and how it ended",
		Long: `Lists what was done to the app, the newest first: builds, rehearsals,
promotions, rollbacks, starts and stops, changed secrets (never their values),
each with its number in the log, and what was a run with the name that commands
take. --before goes on where another list ended.`,
		Example: "  greenroom history\n  greenroom history --environment production --limit 5\n  greenroom history --before 1200 --output json",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.history(cmd.Context(), q) },
	}
	cmd.Flags().StringVarP(&q.Environment, "environment", "e", "", "only this environment")
	cmd.Flags().IntVarP(&q.Limit, "limit", "n", 20, "at most so many")
	cmd.Flags().Int64Var(&q.Before, "before", 0, "only what came before this number (seq in the JSON)")
	must(cmd.RegisterFlagCompletionFunc("environment", s.completeEnvironments()))
	return cmd
}

func (s *shell) history(ctx context.Context, q api.HistoryQuery) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	q.App = app
	es, err := c.History(ctx, q)
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(orEmpty(es))
	}
	s.print("%s", historyPage(s.Out, es))
	if len(es) > 0 && len(es) == q.Limit && es[len(es)-1].Seq > 1 {
		s.print("  older: greenroom history --before %d\n", es[len(es)-1].Seq)
	}
	return nil
}
