package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/home"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// Service is Greenroom under systemd. Every function but Units returns Unavailable where systemd does not run.
type Service struct {
	Units     func(ServiceOptions) ([]ServiceUnit, error) // what Install would write; nothing is changed
	Install   func(ctx context.Context, o ServiceOptions, tell func(string)) error
	Status    func(ctx context.Context, h home.Home) (ServiceStatus, error)
	Uninstall func(ctx context.Context, tell func(string)) error
}

// ServiceOptions are what a person chose for the installation. "" is the default.
type ServiceOptions struct {
	Home                               home.Home
	HTTP, HTTPS                        string // PORT or IP:PORT
	ACMEDirectory, ACMEEmail, ACMERoot string
}

// ServiceUnit is a file of systemd's.
type ServiceUnit struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

// ServiceStatus is how the service is.
type ServiceStatus struct {
	Units        []ServiceUnitStatus `json:"units"`
	Entrances    []string            `json:"entrances,omitempty"` // such as "https [::]:443"
	Certificates []Certificate       `json:"certificates,omitempty"`
}

// ServiceUnitStatus is what systemd knows of one unit.
type ServiceUnitStatus struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`
	Detail   string    `json:"detail,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts"` // by systemd
}

// Certificate is what the edge has for a host.
type Certificate struct {
	Host    string    `json:"host"`
	Issuer  string    `json:"issuer,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	Problem string    `json:"problem,omitempty"`
}

func (s *shell) serviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service",
		Short: "Run Greenroom under systemd on a server",
		Long: `Runs the control plane, the edge and every replica as units of systemd: ports 80
and 443, certificates for the hosts of the environments, and everything up again
when the machine starts. Needs Linux with systemd, and root.`,
		Example: "  greenroom service install --acme-email ops@example.com\n  greenroom service status",
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.serviceInstall(), s.serviceStatus(), s.serviceUninstall())
	return cmd
}

func (s *shell) serviceInstall() *cobra.Command {
	var o ServiceOptions
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install Greenroom as a service, or upgrade it",
		Long: `Copies this program to /usr/local/bin, writes the units of the control plane,
the edge and its two ports, and starts them, now and whenever the machine
starts.

Installing a newer Greenroom over an older one is how it is upgraded: the edge
hands over to the new one, the control plane is restarted, and neither the
environments nor their users notice.`,
		Example: "  greenroom service install --acme-email ops@example.com\n  greenroom service install --dry-run",
		Args:    takes(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := s.folder()
			if err != nil {
				return err
			}
			o.Home = h
			if dryRun {
				return s.showUnits(o)
			}
			if err := s.Service.Install(cmd.Context(), o, s.step); err != nil {
				return err
			}
			return s.serviceDone("Greenroom is installed and serves", "greenroom service status")
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.HTTP, "http", "80", "where the edge listens for HTTP: a port, or an address with a port")
	f.StringVar(&o.HTTPS, "https", "443", "where the edge listens for HTTPS")
	f.StringVar(&o.ACMEEmail, "acme-email", "", "told to the ACME server, which warns there")
	f.StringVar(&o.ACMEDirectory, "acme-directory", "", "URL of the ACME server's directory (default: Let's Encrypt's)")
	f.StringVar(&o.ACMERoot, "acme-root", "", "file of certificates by which the ACME server's own is signed, for a private one")
	f.BoolVar(&dryRun, "dry-run", false, "print the units and change nothing")
	return cmd
}

// step tells one step of what is being done.
func (s *shell) step(what string) {
	if !s.json() {
		s.print("%s %s\n", s.Out.Mark(term.Pass), what)
	}
}

func (s *shell) serviceDone(text, next string) error {
	if s.json() {
		return s.emit(map[string]any{"done": text})
	}
	s.print("%s %s. Next: %s\n", s.Out.Mark(term.Pass), text, next)
	return nil
}

func (s *shell) showUnits(o ServiceOptions) error {
	units, err := s.Service.Units(o)
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(units)
	}
	for _, u := range units {
		s.print("# %s\n%s\n", u.Path, u.Content)
	}
	return nil
}

func (s *shell) serviceStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the units, the ports and the certificates",
		Long: `Shows what systemd knows of each unit, where the edge listens, and which
certificates it has, from whom and until when. The exit code is 1 when a unit
does not run.`,
		Example: "  greenroom service status\n  greenroom service status --output json",
		Args:    takes(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := s.folder()
			if err != nil {
				return err
			}
			status, err := s.Service.Status(cmd.Context(), h)
			if err != nil {
				return err
			}
			if s.json() {
				err = s.emit(status)
			} else {
				s.showService(status)
			}
			if err != nil {
				return err
			}
			return status.trouble()
		},
	}
}

// trouble is the first thing that is not as it should be.
func (v ServiceStatus) trouble() error {
	for _, u := range v.Units {
		switch {
		case u.State == "not installed":
			return problem.New(problem.NotFound, "%s is not installed", u.Name).WithHint("greenroom service install")
		case u.State != "active":
			return problem.New(problem.Fail, "%s is %s", u.Name, u.State).WithHint("journalctl -u %s -n 50", u.Name)
		}
	}
	return nil
}

func (s *shell) showService(v ServiceStatus) {
	for _, u := range v.Units {
		mark := term.Pass
		if u.State != "active" {
			mark = term.Fail
		}
		line := fmt.Sprintf("%-28s %s (%s)", u.Name, u.State, cmp.Or(u.Detail, "-"))
		if !u.Since.IsZero() {
			line += ", since " + u.Since.Format(time.RFC3339)
		}
		if u.Restarts > 0 {
			line += fmt.Sprintf(", restarted %d times", u.Restarts)
		}
		s.print("%s %s\n", s.Out.Mark(mark), line)
	}
	for _, e := range slices.Sorted(slices.Values(v.Entrances)) {
		s.print("  listens: %s\n", e)
	}
	for _, c := range v.Certificates {
		switch {
		case c.Until.IsZero():
			s.print("%s certificate of %s: none yet. %s\n", s.Out.Mark(term.Fail), c.Host, c.Problem)
		case c.Problem != "":
			s.print("%s certificate of %s, by %s, until %s; not renewed: %s\n", s.Out.Mark(term.Fail), c.Host, c.Issuer, c.Until.UTC().Format(time.RFC3339), c.Problem)
		default:
			s.print("%s certificate of %s, by %s, until %s\n", s.Out.Mark(term.Pass), c.Host, c.Issuer, c.Until.UTC().Format(time.RFC3339))
		}
	}
}

func (s *shell) serviceUninstall() *cobra.Command {
	return &cobra.Command{
		Use:   "uninstall",
		Short: "Stop the service and remove it; the state folder stays",
		Long: `Stops the control plane, the edge and everything that runs in the environments,
and removes the units and the installed program. The state folder, with all data
and evidence, stays: a later install goes on from it.`,
		Example: "  greenroom service uninstall",
		Args:    takes(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := s.folder()
			if err != nil {
				return err
			}
			if err := s.Service.Uninstall(cmd.Context(), s.step); err != nil {
				return err
			}
			return s.serviceDone(fmt.Sprintf("removed; %s is kept", h), "greenroom service install, or delete that folder")
		},
	}
}
