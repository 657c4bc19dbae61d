package cli

import (
	"context"

	"github.com/spf13/cobra"

	"greenroom/internal/home"
	"greenroom/internal/problem"
)

// processes are the commands as which Greenroom starts itself; people have no need of them.
func (s *shell) processes() []*cobra.Command {
	process := func(name, short string, run func(context.Context, home.Home, []string) error) *cobra.Command {
		return &cobra.Command{
			Use: name + " [-- ARGUMENT…]", Short: short, Hidden: true,
			RunE: func(cmd *cobra.Command, args []string) error {
				h, err := s.folder()
				if err != nil {
					return err
				}
				return run(cmd.Context(), h, args)
			},
		}
	}
	return []*cobra.Command{
		process("daemon", "The control plane", s.Daemon),
		process("edge", "The process that carries the traffic", s.Edge),
		process("supervise", "The parent of one replica", s.Supervise),
		process("network", "What runs inside a stage's network beside the stage", s.Network),
	}
}

// notBuilt are the commands of the design that are not there yet. They say so, instead of looking like a typing error.
func notBuilt() []*cobra.Command {
	var cs []*cobra.Command
	for _, name := range []string{"approve", "flags", "freeze", "parity"} {
		cs = append(cs, &cobra.Command{
			Use: name, Hidden: true, DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return problem.New(problem.Invalid, "%s is not built yet", cmd.CommandPath()).WithHint("greenroom --help")
			},
		})
	}
	return cs
}
