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
	var dry, verbose bool
	cmd := &cobra.Command{
		Use:   "up [ENVIRONMENT…]",
		Short: "Start Greenroom and the environments here",
		Long: `Starts Greenroom's control plane where it does not run yet, makes an app that is
new known with the policy part of its definition (environments, differences,
gates, roles), and starts the environments; without a name, all of them. A
policy that is in force already stays what it is: greenroom apply changes it.

Each environment that had a release starts with it again. One that never had any
gets its address now and its first release by greenroom promote.`,
		Example:           "  greenroom up\n  greenroom up dev\n  greenroom up --dry-run            # read the definition, start nothing",
		ValidArgsFunction: s.completeEnvironments(),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.up(cmd.Context(), args, dry, verbose) },
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "read the definition and tell what would start")
	verboseFlag(cmd, &verbose)
	return cmd
}

func (s *shell) up(ctx context.Context, environments []string, dry, verbose bool) error {
	d, err := s.Load(ctx, s.dir)
	if err != nil {
		return err
	}
	s.notices(d, verbose)
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
	if reg.Pending {
		s.warn("the definition's policy differs from the one in force: greenroom apply")
	}
	s.later(reg.Later)
	events, err := c.Up(ctx, api.EnvironmentsRequest{App: d.App.Name, Environments: environments})
	if err != nil {
		return err
	}
	if err := s.showAll(events); err != nil {
		return err
	}
	return s.showStatus(ctx, c, d.App.Name, true)
}

// verboseFlag lists what is folded into one line without it.
func verboseFlag(cmd *cobra.Command, verbose *bool) {
	cmd.Flags().BoolVarP(verbose, "verbose", "v", false, "list every notice about the definition")
}

// notices tells what the definition says and the driver does not do: on standard error, so that it is seen beside any
// output. They are the same each time, so several are one line for those who have read them.
func (s *shell) notices(d Definition, verbose bool) {
	if len(d.Notices) > 1 && !verbose {
		s.warn("%d things in the Compose file are done differently here, or not at all (--verbose lists them)", len(d.Notices))
		return
	}
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
