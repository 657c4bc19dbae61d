package daemon

import (
	"context"

	"greenroom/internal/cli"
	"greenroom/internal/edge"
	"greenroom/internal/home"
	"greenroom/internal/service"
)

// service is what the commands of greenroom service do.
func (p Program) service() cli.Service {
	return cli.Service{
		Units: func(o cli.ServiceOptions) ([]cli.ServiceUnit, error) {
			units, err := service.Units(serviceOptions(o))
			var all []cli.ServiceUnit
			for _, u := range units {
				all = append(all, cli.ServiceUnit{Path: u.Path(), Content: u.Content})
			}
			return all, err
		},
		Install: func(ctx context.Context, o cli.ServiceOptions, tell func(string)) error {
			if err := service.Running(); err != nil {
				return err
			}
			if err := o.Home.Make(); err != nil {
				return err
			}
			return service.Install(ctx, serviceOptions(o), p.Path, tell)
		},
		Status:    serviceStatus,
		Uninstall: service.Uninstall,
	}
}

func serviceOptions(o cli.ServiceOptions) service.Options {
	return service.Options{
		Home: string(o.Home), HTTP: o.HTTP, HTTPS: o.HTTPS,
		ACMEDirectory: o.ACMEDirectory, ACMEEmail: o.ACMEEmail, ACMERoot: o.ACMERoot,
	}
}

// serviceStatus is what systemd knows of the units, and the edge of its certificates.
func serviceStatus(ctx context.Context, h home.Home) (cli.ServiceStatus, error) {
	units, err := service.Status(ctx)
	if err != nil {
		return cli.ServiceStatus{}, err
	}
	var s cli.ServiceStatus
	for _, u := range units {
		s.Units = append(s.Units, cli.ServiceUnitStatus(u))
	}
	stats, err := edge.NewClient(h.Edge()).Stats(ctx)
	if err != nil {
		return s, nil // the units say that it does not run
	}
	s.Entrances = stats.Entrances
	for _, c := range stats.Certificates {
		s.Certificates = append(s.Certificates, cli.Certificate(c))
	}
	return s, nil
}
