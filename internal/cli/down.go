package cli

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

type downOptions struct {
	environments                           []string
	everything, controlPlane, volumes, yes bool
}

func (s *shell) downCommand() *cobra.Command {
	var o downOptions
	cmd := &cobra.Command{
		Use:   "down [ENVIRONMENT…]",
		Short: "Stop the environments here, and Greenroom",
		Long: `Stops environments and keeps their data; without a name, all of the app's, and
then Greenroom itself when no other app has an environment that runs.

--volumes removes their data as well, for good: databases, volumes, backups,
snapshots, and with all of an app's environments what Docker keeps for it.
Releases, evidence and the log of what happened stay.

--control-plane stops only the control plane: the environments go on serving.
That is how Greenroom is replaced by another version: greenroom down
--control-plane && greenroom up`,
		Example:           "  greenroom down\n  greenroom down qa\n  greenroom down --everything\n  greenroom down --volumes\n  greenroom down --control-plane",
		ValidArgsFunction: s.completeEnvironments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (o.everything || o.controlPlane) && len(args) > 0 || o.everything && o.controlPlane {
				return usage(cmd, "name environments, or give --everything, or --control-plane: one of the three")
			}
			if o.controlPlane && o.volumes {
				return usage(cmd, "--control-plane lets everything go on, and --volumes removes its data: one of the two")
			}
			o.environments = args
			return s.down(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.everything, "everything", false, "the environments of every app, and Greenroom itself")
	cmd.Flags().BoolVar(&o.controlPlane, "control-plane", false, "only the control plane; environments go on serving")
	cmd.Flags().BoolVar(&o.volumes, "volumes", false, "remove their data as well, for good")
	yesFlag(cmd, &o.yes)
	return cmd
}

func (s *shell) down(ctx context.Context, o downOptions) error {
	if o.volumes {
		r, err := s.toStop(o)
		if err == nil {
			err = s.confirm(ctx, "Remove all data of "+named(r)+" for good: databases, volumes, backups and snapshots?", o.yes)
		}
		if err != nil {
			return err
		}
	}
	c, err := s.connect(ctx)
	if errors.Is(err, api.ErrNotRunning) && !o.controlPlane {
		c, err = s.reviveToStop(ctx, o.volumes)
	}
	if errors.Is(err, api.ErrNotRunning) {
		return s.downDone("Greenroom does not run here", false)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	var left error // in a Docker Engine that is away
	if !o.controlPlane {
		r, err := s.toStop(o)
		if err != nil {
			return err
		}
		if left = s.stop(ctx, c, r); left != nil && (problem.From(left).Code != problem.Unavailable || len(o.environments) > 0) {
			return left
		}
	}
	kept := "their data is kept"
	if o.volumes {
		kept = "their data is gone"
	}
	if len(o.environments) > 0 {
		return s.downDone("stopped; "+kept, true)
	}
	if !o.everything && !o.controlPlane {
		busy, err := anythingUp(ctx, c)
		if err != nil {
			return errors.Join(left, err)
		}
		if busy && left != nil {
			return left
		}
		if busy {
			return s.downDone("stopped; "+kept+". Greenroom goes on for other apps", true)
		}
	}
	if err := c.Shutdown(ctx); err != nil {
		return errors.Join(left, err)
	}
	return errors.Join(left, s.downDone("Greenroom has stopped", false))
}

// toStop is what is to be stopped.
func (s *shell) toStop(o downOptions) (api.EnvironmentsRequest, error) {
	if o.everything {
		return api.EnvironmentsRequest{Everything: true, Volumes: o.volumes}, nil
	}
	app, err := s.appName()
	return api.EnvironmentsRequest{App: app, Environments: o.environments, Volumes: o.volumes}, err
}

// named is what a request is about, for a question.
func named(r api.EnvironmentsRequest) string {
	switch {
	case r.Everything:
		return "every environment of every app"
	case len(r.Environments) == 0:
		return "every environment of " + r.App
	}
	return strings.Join(r.Environments, ", ") + " of " + r.App
}

// reviveToStop starts the control plane again where it has gone and left environments behind, which nobody else could
// stop: they go on serving without it. For their data there need not be any that runs.
func (s *shell) reviveToStop(ctx context.Context, data bool) (*api.Client, error) {
	h, err := s.folder()
	if err != nil {
		return nil, err
	}
	folders := []string{h.Replicas(), h.Containers()}
	if data {
		folders = append(folders, h.Environments())
	}
	if !slices.ContainsFunc(folders, anythingIn) {
		return nil, api.ErrNotRunning
	}
	if err := s.EnsureDaemon(ctx, h); err != nil {
		return nil, err
	}
	return s.connect(ctx)
}

func anythingIn(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !strings.HasPrefix(e.Name(), ".") })
}

// stop stops environments and shows it.
func (s *shell) stop(ctx context.Context, c *api.Client, r api.EnvironmentsRequest) error {
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
