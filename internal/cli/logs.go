package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) logsCommand() *cobra.Command {
	var q api.LogQuery
	cmd := &cobra.Command{
		Use:   "logs [SERVICE]",
		Short: "What the services of an environment printed",
		Long: `Shows what replicas printed, oldest first, each line with its service and
replica; without a name, of all services. Without --environment it is
production's, or that of the last environment of the definition. With --output
json each line is a JSON document.`,
		Example: "  greenroom logs web --environment staging --tail 100\n  greenroom logs --follow\n  greenroom logs web --release 3f2a91c0",
		Args:    takes(0, "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.Service = args[0]
			}
			return s.logs(cmd.Context(), q)
		},
	}
	cmd.Flags().StringVarP(&q.Environment, "environment", "e", "", "whose output (default: production's)")
	cmd.Flags().StringVar(&q.Release, "release", "", "of this release, where it is not the live one")
	cmd.Flags().IntVarP(&q.Tail, "tail", "n", 0, "the last lines of each replica (0: all that is kept)")
	cmd.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on until Ctrl-C")
	must(cmd.RegisterFlagCompletionFunc("environment", s.completeEnvironments()))
	must(cmd.RegisterFlagCompletionFunc("release", s.completeReleases()))
	return cmd
}

func (s *shell) logs(ctx context.Context, q api.LogQuery) error {
	if q.Tail < 0 {
		return problem.New(problem.Invalid, "--tail %d: it is a number of lines", q.Tail)
	}
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	q.App = app
	if q.Environment == "" {
		if q.Environment, err = usualEnvironment(ctx, c, app); err != nil {
			return err
		}
	}
	if q.Release != "" {
		r, err := s.resolve(ctx, c, app, q.Release)
		if err != nil {
			return err
		}
		q.Release = string(r.Digest)
	}
	err = s.printLines(ctx, c, q)
	if q.Follow && ctx.Err() != nil {
		return nil // Ctrl-C is how following ends
	}
	return err
}

func (s *shell) printLines(ctx context.Context, c *api.Client, q api.LogQuery) error {
	lines, err := c.Logs(ctx, q)
	if err != nil {
		return err
	}
	silent := true
	for line, err := range lines {
		if err != nil {
			return err
		}
		silent = false
		if err := s.printLine(line); err != nil {
			return nil // the reader has seen enough: logs | head
		}
	}
	if silent && !q.Follow {
		who := "what runs in " + q.Environment
		if q.Service != "" {
			who = q.Service + " in " + q.Environment
		}
		s.warn("%s has printed nothing", who)
	}
	return nil
}

func (s *shell) printLine(l api.LogLine) error {
	if s.json() {
		return json.NewEncoder(s.Out).Encode(l)
	}
	inks := []term.Ink{term.Blue, term.Green, term.Yellow, term.Plain}
	name := fmt.Sprintf("%s-%d", term.Clean(l.Service), l.Replica)
	_, err := fmt.Fprintf(s.Out, "%s %s\n", s.Out.Paint(inks[l.Replica%len(inks)], name), term.Clean(l.Text))
	return err
}

// usualEnvironment is production, or the last of the definition.
func usualEnvironment(ctx context.Context, c *api.Client, app string) (string, error) {
	v, err := c.Status(ctx, app)
	if err != nil {
		return "", err
	}
	last := ""
	for _, a := range v.Apps {
		for _, e := range a.Environments {
			if last = e.Name; last == "production" {
				return last, nil
			}
		}
	}
	if last == "" {
		return "", problem.New(problem.NotFound, "%s has no environment here", app).WithHint("greenroom up")
	}
	return last, nil
}
