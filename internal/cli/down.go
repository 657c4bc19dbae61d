package cli

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/term"
)

func (s *shell) downCommand() *cobra.Command {
	var everything, controlPlane bool
	cmd := &cobra.Command{
		Use:   "down [ENVIRONMENT…]",
		Short: "Stop the environments here, and Greenroom",
		Long: `Stops environments and keeps their data; without a name, all of the app's, and
then Greenroom itself when no other app has an environment that runs.

--control-plane stops only the control plane: the environments go on serving.
That is how Greenroom is replaced by another version: greenroom down
--control-plane && greenroom up`,
		Example:           "  greenroom down\n  greenroom down qa\n  greenroom down --everything\n  greenroom down --control-plane",
		ValidArgsFunction: s.completeEnvironments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (everything || controlPlane) && len(args) > 0 || everything && controlPlane {
				return usage(cmd, "name environments, or give --everything, or --control-plane: one of the three")
			}
			return s.down(cmd.Context(), args, everything, controlPlane)
		},
	}
	cmd.Flags().BoolVar(&everything, "everything", false, "the environments of every app, and Greenroom itself")
	cmd.Flags().BoolVar(&controlPlane, "control-plane", false, "only the control plane; environments go on serving")
	return cmd
}

func (s *shell) down(ctx context.Context, environments []string, everything, controlPlane bool) error {
	c, err := s.connect(ctx)
	if errors.Is(err, api.ErrNotRunning) && !controlPlane {
		c, err = s.reviveToStop(ctx)
	}
	if errors.Is(err, api.ErrNotRunning) {
		return s.downDone("Greenroom does not run here", false)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	if !controlPlane {
		if err := s.stop(ctx, c, environments, everything); err != nil {
			return err
		}
	}
	if len(environments) > 0 {
		return s.downDone("stopped; their data is kept", true)
	}
	if !everything && !controlPlane {
		busy, err := anythingUp(ctx, c)
		if err != nil {
			return err
		}
		if busy {
			return s.downDone("stopped; the data is kept. Greenroom goes on for other apps", true)
		}
	}
	if err := c.Shutdown(ctx); err != nil {
		return err
	}
	return s.downDone("Greenroom has stopped", false)
}

// reviveToStop starts the control plane again where it has gone and left environments behind, which nobody else could
// stop: they go on serving without it.
func (s *shell) reviveToStop(ctx context.Context) (*api.Client, error) {
	h, err := s.folder()
	if err != nil {
		return nil, err
	}
	replicas, err := os.ReadDir(h.Replicas())
	if err != nil || !slices.ContainsFunc(replicas, func(e os.DirEntry) bool { return !strings.HasPrefix(e.Name(), ".") }) {
		return nil, api.ErrNotRunning
	}
	if err := s.EnsureDaemon(ctx, h); err != nil {
		return nil, err
	}
	return s.connect(ctx)
}

// stop stops environments and shows it.
func (s *shell) stop(ctx context.Context, c *api.Client, environments []string, everything bool) error {
	r := api.EnvironmentsRequest{Everything: true}
	if !everything {
		app, err := s.appName()
		if err != nil {
			return err
		}
		r = api.EnvironmentsRequest{App: app, Environments: environments}
	}
	events, err := c.Down(ctx, r)
	if err != nil {
		return err
	}
	return s.showAll(events)
}

func anythingUp(ctx context.Context, c *api.Client) (bool, error) {
	v, err := c.Status(ctx, "")
	if err != nil {
		return false, err
	}
	for _, a := range v.Apps {
		for _, e := range a.Environments {
			if e.State != api.EnvironmentDown {
				return true, nil
			}
		}
	}
	return false, nil
}

func (s *shell) downDone(text string, running bool) error {
	if s.json() {
		return s.emit(map[string]any{"running": running})
	}
	s.print("%s %s\n", s.Out.Mark(term.Pass), text)
	return nil
}
