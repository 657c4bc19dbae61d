package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/term"
)

func (s *shell) upCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "up [ENVIRONMENT…]",
		Short: "Start Greenroom and the environments here",
		Long: `Starts Greenroom's control plane where it does not run yet, registers the policy part of the definition
(environments, differences, gates), and starts the environments; without a name, all of them.

Each environment that had a release starts with it again. One that never had any gets its address now
and its first release by greenroom promote.`,
		Example:           "  greenroom up\n  greenroom up dev\n  greenroom up --dry-run            # read the definition, start nothing",
		ValidArgsFunction: s.completeEnvironments(),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.up(cmd.Context(), args, dry) },
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "read the definition and tell what would start")
	return cmd
}

func (s *shell) up(ctx context.Context, environments []string, dry bool) error {
	d, err := s.Load(ctx, s.dir)
	if err != nil {
		return err
	}
	s.notices(d)
	if dry {
		return s.upDry(d)
	}
	h, err := s.folder()
	if err != nil {
		return err
	}
	if err := s.EnsureDaemon(ctx, h); err != nil {
		return err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	reg, err := c.Register(ctx, api.Registration{App: d.App.Name, Repository: d.Dir, Policy: d.App.Policy})
	if err != nil {
		return err
	}
	if !s.json() && reg.Changed {
		s.print("%s the policy of %s is in force as it is in %s\n", s.Out.Mark(term.Pass), d.App.Name, term.Clean(d.Dir))
	}
	for _, e := range reg.Later {
		s.warn("what runs in %[1]s keeps its configuration until it is started next: by a promotion, or greenroom down %[1]s && greenroom up %[1]s", e)
	}
	events, err := c.Up(ctx, api.EnvironmentsRequest{App: d.App.Name, Environments: environments})
	if err != nil {
		return err
	}
	if err := s.showAll(events); err != nil {
		return err
	}
	return s.showStatus(ctx, c, d.App.Name, true)
}

// notices tells what the definition says and the driver does not do: on standard error, so that it is seen beside any
// output.
func (s *shell) notices(d Definition) {
	for _, n := range d.Notices {
		s.warn("%s", n)
	}
}

// warn tells something on standard error.
func (s *shell) warn(format string, args ...any) {
	_, _ = s.Err.Write([]byte(s.Err.Paint(term.Yellow, "!") + " " + term.Clean(fmt.Sprintf(format, args...)) + "\n")) // nobody is left to tell
}

func (s *shell) upDry(d Definition) error {
	if s.json() {
		return s.emit(map[string]any{"app": d.App.Name, "repository": d.Dir, "policy": d.App.Policy,
			"digest": d.App.Policy.Digest(), "notices": d.Notices})
	}
	s.print("would register %s from %s, and start:\n", s.Out.Paint(term.Bold, d.App.Name), term.Clean(d.Dir))
	var rows [][]string
	for _, e := range d.App.Policy.Environments {
		row := []string{e.Name}
		if e.After != "" {
			row = append(row, "after "+e.After)
		}
		rows = append(rows, row)
	}
	s.print("%s", term.Columns("  ", rows))
	return nil
}

// showStatus prints how an app stands; with a hint where it has no release yet.
func (s *shell) showStatus(ctx context.Context, c *api.Client, app string, hint bool) error {
	v, err := c.Status(ctx, app)
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(v)
	}
	s.print("%s", statusPage(s.Out, v, time.Now()))
	if hint && len(v.Apps) == 1 && v.Apps[0].Latest == nil {
		s.next("greenroom build")
	}
	return nil
}
