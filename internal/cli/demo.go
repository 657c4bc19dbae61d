package cli

import "github.com/spf13/cobra"

func (s *shell) demoCommand() *cobra.Command {
	var exit bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The whole story on the bundled shop, on this machine",
		Long: `Tells the whole story on the bundled shop, on this machine, without Docker, in
some five minutes: a live production with customers; a release that breaks the
payment and is stopped by its rehearsal; the repaired one, promoted without a
failed request; a migration that would have stopped all orders, and its safe
form; and a release that goes bad once live and is rolled back.

It stays up for you to play with until Ctrl-C, and takes everything away that it
made.`,
		Example: "  greenroom demo\n  greenroom demo --exit",
		Args:    takes(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.Demo(cmd.Context(), DemoOptions{Home: s.home, Exit: exit, Screen: s.progressScreen()})
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false, "end after the last act; exit code 0 only if each act went as told")
	return cmd
}
