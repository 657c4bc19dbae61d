package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"greenroom/internal/edge"
	"greenroom/internal/home"
	"greenroom/internal/problem"
	"greenroom/internal/service"
)

// asService says whether a process is told that systemd runs it.
func asService(args []string) bool { return slices.Equal(args, []string{"service"}) }

// supervise is the command of supervisors.
func (o Options) supervise() ([]string, error) {
	command := []string{o.Program, "--home", string(o.Home), "supervise", "--"}
	if !o.Service {
		return command, nil
	}
	run, err := exec.LookPath("systemd-run")
	if err != nil {
		return nil, problem.New(problem.Unavailable, "replicas can't be units of their own: %w", err).WithHint("install systemd's tools")
	}
	return service.Supervise(run, command...), nil
}

// tellSystemd says that the control plane serves, and later that it is ending.
func (d *Daemon) tellSystemd(ctx context.Context, loops *sync.WaitGroup) {
	if !d.opts.Service {
		return
	}
	if err := service.Ready(); err != nil {
		d.log.Error("systemd can't be told that the control plane serves", "error", err)
	}
	loops.Go(func() {
		<-ctx.Done()
		_ = service.Stopping() // for people who look meanwhile
	})
}

// edgeUnit makes sure that the edge's unit runs. It is upgraded by whoever installs a newer program, not here: the control
// plane may be restarted at any time, and the traffic has no part in that.
func (d *Daemon) edgeUnit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, edgeStart)
	defer cancel()
	if _, err := d.world.Edge.Stats(ctx); err == nil {
		return nil
	}
	if err := service.Start(ctx, service.Edge); err != nil {
		return err
	}
	return d.world.Edge.Await(ctx)
}

// runEdge is the edge: as a child of the control plane, as systemd's ("service"), or the process that puts a successor in
// the place of systemd's ("reload").
func (p Program) runEdge(ctx context.Context, h home.Home, args []string) error {
	o := edge.Options{Dir: h.Edge(), Log: logger(os.Stderr), TakeOver: true}
	switch {
	case len(args) == 0:
		return edge.Run(ctx, o)
	case asService(args):
		return serveUnit(ctx, o)
	case slices.Equal(args, []string{"reload"}):
		return p.reloadEdge(ctx, h)
	}
	return problem.New(problem.Invalid, "the edge takes no argument %q", args[0])
}

// serveUnit is the edge as a unit: with the sockets that systemd opened, or those that its predecessor hands over.
func serveUnit(ctx context.Context, o edge.Options) error {
	listeners, err := service.Listeners()
	if err != nil {
		return err
	}
	for _, l := range listeners {
		o.Entrances = append(o.Entrances, edge.Entrance{Listener: l.TCPListener, TLS: l.Name == "https"})
	}
	if o.ACME, err = acme(os.Getenv); err != nil {
		return err
	}
	o.Serves = func() {
		if err := service.Ready(); err != nil {
			o.Log.Error("systemd can't be told that the edge serves", "error", err)
		}
	}
	return edge.Run(ctx, o)
}

// acme is who certifies the hosts, as the unit's variables say.
func acme(getenv func(string) string) (edge.ACME, error) {
	a := edge.ACME{Directory: getenv(service.ACMEDirectory), Email: getenv(service.ACMEEmail)}
	name := getenv(service.ACMERoot)
	if name == "" {
		return a, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return a, problem.New(problem.Unavailable, "the ACME server's root can't be read: %w", err)
	}
	a.Roots = x509.NewCertPool()
	if !a.Roots.AppendCertsFromPEM(b) {
		return a, problem.New(problem.Invalid, "%s holds no certificate in PEM", name)
	}
	return a, nil
}

// reloadEdge starts a successor of the running edge, in the edge's own unit, and returns when it serves. It is what
// "systemctl reload" runs, so that its failure is told there; the running edge goes on then.
func (p Program) reloadEdge(ctx context.Context, h home.Home) error {
	client := edge.NewClient(h.Edge())
	before, err := client.Stats(ctx)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.Path, "--home", string(h), "edge", "--", "service")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return problem.New(problem.Unavailable, "the new edge can't be started: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, edgeStart)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if now, err := client.Stats(ctx); err == nil && now.Instance != before.Instance {
			return nil
		}
		select {
		case end := <-ended:
			return problem.New(problem.Unavailable, "the new edge ended at once (%v); the old one goes on", end)
		case <-ctx.Done():
			return problem.New(problem.Unavailable, "the new edge does not answer: %w", errors.Join(ctx.Err(), cmd.Process.Kill()))
		case <-tick.C:
		}
	}
}
