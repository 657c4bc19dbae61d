package cli

import (
	"runtime"

	"github.com/spf13/cobra"

	"greenroom/internal/term"
)

func (s *shell) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "The version of this command, and of the Greenroom that runs",
		Long: `Prints the version of this command, and that of the control plane that runs
here, if one does.`,
		Example: "  greenroom version\n  greenroom version --output json",
		Args:    takes(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			running := ""
			if c, err := s.connect(cmd.Context()); err == nil {
				defer c.Close()
				if v, err := c.Version(cmd.Context()); err == nil {
					running = v.Version
				}
			}
			if s.json() {
				return s.emit(map[string]string{"version": s.Version, "running": running, "go": runtime.Version(),
					"platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			s.print("greenroom %s %s/%s\n", s.Version, runtime.GOOS, runtime.GOARCH)
			if running != "" {
				s.print("running here: %s\n", term.Clean(running))
			}
			return nil
		},
	}
}
