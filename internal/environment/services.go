package environment

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// replicasAtOnce bounds how many replicas are started or stopped at a time.
const replicasAtOnce = 16

// quietStart is how long a start takes until each replica is told.
const quietStart = time.Second

// Start starts services of a release in the order in which they need one another and returns once all are healthy. The
// routes have to be in force before, because services find each other through them. say is told the progress.
func (e *Environment) Start(ctx context.Context, r release.Release, services []string, say func(string)) error {
	v, err := e.variables(ctx, r)
	if err != nil {
		return err
	}
	order, err := startOrder(r.Contents)
	if err != nil {
		return err
	}
	for _, s := range order {
		if !slices.Contains(services, s.Name) {
			continue
		}
		if err := e.startService(ctx, r, s, v, say); err != nil {
			return err
		}
	}
	return nil
}

// startService starts the replicas of one service and waits for their health, or runs a job to its end.
func (e *Environment) startService(ctx context.Context, r release.Release, s app.Service, v variables, say func(string)) error {
	if s.Job {
		return e.runJob(ctx, r, s, v, say)
	}
	n := e.Settings.Scale.Of(s.Replicas)
	say(fmt.Sprintf("%s: starting %d", s.Name, n))
	var healthy int
	var mu sync.Mutex
	began := e.world.Now()
	return each(n, func(i int) error {
		if err := e.startReplica(ctx, r, s, v, i); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		healthy++
		if healthy == n || e.world.Now().Sub(began) > quietStart { // many that start at once are one line
			say(fmt.Sprintf("%s: %d of %d healthy", s.Name, healthy, n))
		}
		return nil
	})
}

func (e *Environment) startReplica(ctx context.Context, r release.Release, s app.Service, v variables, index int) error {
	spec, err := e.spec(ctx, r, s, v, index)
	if err != nil {
		return err
	}
	if err := e.run(ctx, r, s, spec); err != nil {
		return err
	}
	_, err = e.world.Driver.Wait(ctx, spec.ID)
	return err
}

// run has a replica run.
func (e *Environment) run(ctx context.Context, r release.Release, s app.Service, spec driver.Spec) error {
	if _, err := e.world.Driver.Start(ctx, spec); err != nil || !r.Contents.Lasting(s) {
		return err
	}
	return e.join(ctx, r, spec.ID) // it may be there since another release
}

// spec is all that a driver needs to run a replica.
func (e *Environment) spec(ctx context.Context, r release.Release, s app.Service, v variables, index int) (driver.Spec, error) {
	if s.Kind == app.KindContainer {
		return e.containerSpec(ctx, r, s, v, index)
	}
	dir, err := e.Files(ctx, r, s.Name)
	if err != nil {
		return driver.Spec{}, err
	}
	spec := driver.Spec{
		ID: e.replicaID(r, s, index), App: e.App, Environment: e.Name, Service: s.Name,
		Release: string(r.Digest()), Index: index, Dir: filepath.Join(dir, s.Dir), Health: s.Health, Stop: s.Stop, Restart: s.Restart,
		User: v.resident.Name, Network: v.network,
	}
	if s.Port != 0 {
		if v.port, err = e.replicaPort(ctx, spec.ID); err != nil {
			return spec, err
		}
		spec.Listen = driver.Endpoint{Network: "tcp", Address: loopback(v.port)}
	}
	spec.Env, spec.Command, spec.Secrets = v.of(s), v.command(s), v.secretsOf(s)
	spec.Health.Command = expandAll(s.Health.Command, v.known())
	return spec, nil
}

// runJob runs a service that others wait for to its end.
func (e *Environment) runJob(ctx context.Context, r release.Release, s app.Service, v variables, say func(string)) error {
	say(s.Name + ": running to its end")
	if s.Kind == app.KindContainer {
		return e.runContainerJob(ctx, r, s, v)
	}
	dir, err := e.Files(ctx, r, s.Name)
	if err != nil {
		return err
	}
	out := proc.NewTail(jobOutput)
	env, sweep := e.world.marked(v.of(s))
	defer sweep()
	exit, err := proc.Run(ctx, proc.Command{
		Argv: v.command(s), Dir: filepath.Join(dir, s.Dir), Env: list(env), Stdout: out, Stderr: out, Grace: s.Stop.Grace,
		User: v.resident.Name, Network: v.network,
	})
	if err != nil {
		return err
	}
	if !exit.OK() {
		return problem.New(problem.Fail, "job %s of %s: %s: %s", s.Name, r.Digest().Short(), exit, v.redact(out.String()))
	}
	return nil
}

// Stop stops services of a release, in the reverse of the order in which they started; those that need nothing of one another at the
// same time.
func (e *Environment) Stop(ctx context.Context, r release.Release, services []string) error {
	order, err := startOrder(r.Contents)
	if err != nil {
		return err
	}
	order = slices.DeleteFunc(order, func(s app.Service) bool { return !slices.Contains(services, s.Name) })
	for _, wave := range slices.Backward(waves(r.Contents, order)) {
		if err := each(len(wave), func(i int) error { return e.stopService(ctx, r, wave[i]) }); err != nil {
			return err
		}
	}
	return nil
}

func (e *Environment) stopService(ctx context.Context, r release.Release, s app.Service) error {
	running, err := e.world.Driver.List(ctx, driver.Filter{App: e.App, Environment: e.Name, Service: s.Name})
	if err != nil {
		return err
	}
	var ids []string
	for _, st := range running {
		if e.belongs(st, r, s) {
			ids = append(ids, st.ID)
		}
	}
	return e.stop(ctx, ids)
}

// belongs says whether a replica is one of a release's service, or a command of it.
func (e *Environment) belongs(st driver.Status, r release.Release, s app.Service) bool {
	if s.Kind == app.KindPostgres {
		return st.Service == s.Name && st.Release == ""
	}
	return st.Service == s.Name && (st.Release == string(r.Digest()) || strings.HasPrefix(st.ID, e.replicas(r, s)))
}

func (e *Environment) stop(ctx context.Context, ids []string) error {
	return each(len(ids), func(i int) error { return e.world.Driver.Stop(ctx, ids[i]) })
}

// Forget gives back the addresses that a release had here and has no use for any more. Its network in the Engine, in which nothing is
// any more, is left to the reconciliation: a run need not wait until the Engine has removed it. Those that were left by others, when run
// came after run, go now, but for the one of the release that goes on.
func (e *Environment) Forget(ctx context.Context, r, goesOn release.Release) error {
	keys := make([]string, 0, 2*len(r.Contents.Services))
	for _, s := range r.Contents.Services {
		keys = append(keys, "route:"+e.internalRoute(s.Name, r.Digest()), fmt.Sprintf("replica:%s.%s.%s.%s.", e.App, e.Name, s.Name, r.Digest().Short()))
	}
	keep := []string{common, r.Digest().Short(), goesOn.Digest().Short()}
	if err := e.leaveNetworks(ctx, func(name string) bool { return slices.Contains(keep, name) }); err != nil {
		return err
	}
	return e.world.Store.ReleasePrefixes(ctx, keys...)
}

// Health tells of each service of a release how many replicas are healthy, and why others are not. Where the Engine that they
// run in is away it is a problem.
func (e *Environment) Health(ctx context.Context, r release.Release) ([]ServiceHealth, error) {
	if r.Contents.Deploy != nil {
		return e.deployHealth(ctx, r)
	}
	if err := e.world.Engine.away(ctx, e.App); err != nil {
		return nil, err
	}
	all, err := e.world.Driver.List(ctx, driver.Filter{App: e.App, Environment: e.Name})
	if err != nil {
		return nil, err
	}
	var out []ServiceHealth
	for _, s := range r.Contents.Services {
		if s.Job {
			continue
		}
		h := ServiceHealth{Service: s.Name, Wanted: e.Settings.Scale.Of(s.Replicas)}
		if s.Kind == app.KindPostgres {
			h.Wanted = 1
		}
		for _, st := range all {
			if !e.belongs(st, r, s) || strings.HasSuffix(st.ID, commandSuffix) {
				continue
			}
			if st.Phase == driver.Healthy {
				h.Healthy++
			} else if h.Reason == "" {
				h.Reason = st.Reason
			}
			h.Restarts += st.Restarts
		}
		out = append(out, h)
	}
	return out, nil
}

// ServiceHealth is how one service stands.
type ServiceHealth struct {
	Service  string
	Healthy  int
	Wanted   int
	Restarts int
	Reason   string // of one replica that is not healthy
}

// BringAll is Bring for all that a release runs, and for what its deploy command runs in. say is told what comes.
func (e *Environment) BringAll(ctx context.Context, r release.Release, say func(string)) error {
	if r.Contents.Deploy != nil {
		_, err := e.deployFiles(ctx, r)
		return err
	}
	for _, s := range r.Contents.Services {
		if !s.Released() {
			continue
		}
		say(s.Name)
		if err := e.Bring(ctx, r, s); err != nil {
			return err
		}
	}
	return nil
}

// Bring has on this machine what a service of a release runs from: its files, or its image.
func (e *Environment) Bring(ctx context.Context, r release.Release, s app.Service) error {
	if s.Kind == app.KindContainer {
		_, err := e.containers(ctx, r, s)
		return err
	}
	_, err := e.Files(ctx, r, s.Name)
	return err
}

// Files unpacks a service's files, read-only, and checks them against the release.
func (e *Environment) Files(ctx context.Context, r release.Release, service string) (string, error) {
	name := "service/" + service
	if _, ok := r.Files[name]; !ok {
		return "", problem.New(problem.Invalid, "release %s has no files for service %s", r.Digest().Short(), service)
	}
	s, _ := r.Contents.Service(service)
	dir := filepath.Join(e.world.Home.Files(), identity(r, s), service)
	return dir, e.unpack(ctx, r, name, dir)
}

func (e *Environment) unpack(ctx context.Context, r release.Release, name, dir string) error {
	e.world.unpacked.RLock()
	defer e.world.unpacked.RUnlock()
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return err
	}
	return e.world.Artifacts.Unpack(ctx, r.Digest(), name, dir)
}

// startOrder sorts the services of a release's own by what they need, by name where they need nothing of each other.
func startOrder(c app.Contents) ([]app.Service, error) {
	var order []app.Service
	state := map[string]int{} // 1: on the way, 2: done
	var visit func(s app.Service) error
	visit = func(s app.Service) error {
		switch state[s.Name] {
		case 1:
			return problem.New(problem.Invalid, "service %s depends on itself", s.Name)
		case 2:
			return nil
		}
		state[s.Name] = 1
		for _, d := range s.DependsOn {
			if dep, ok := c.Service(d.Service); ok {
				if err := visit(dep); err != nil {
					return err
				}
			}
		}
		state[s.Name] = 2
		if s.Released() {
			order = append(order, s)
		}
		return nil
	}
	for _, s := range c.Services {
		if err := visit(s); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// waves are services in the order of startOrder, by how many others stand one behind the other of which each needs the next: those of
// one wave need nothing of one another.
func waves(c app.Contents, order []app.Service) (all [][]app.Service) {
	behind := map[string]int{}
	var count func(name string) int
	count = func(name string) int {
		n, counted := behind[name]
		if s, ok := c.Service(name); ok && !counted { // startOrder found no circle
			for _, d := range s.DependsOn {
				n = max(n, 1+count(d.Service))
			}
			behind[name] = n
		}
		return n
	}
	for _, s := range order {
		n := count(s.Name)
		for len(all) <= n {
			all = append(all, nil)
		}
		all[n] = append(all[n], s)
	}
	return all
}

// each calls f for 0 to n-1, some at once, and returns the first error. When one fails the others still end by themselves.
func each(n int, f func(int) error) error {
	errs := make([]error, n)
	slots := make(chan struct{}, replicasAtOnce)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(i)
		})
	}
	wg.Wait()
	for _, err := range errs { // one is enough: ten times the same sentence helps nobody
		if err != nil {
			return err
		}
	}
	return nil
}

func expandAll(words []string, known map[string]string) []string {
	out := slices.Clone(words)
	for i := range out {
		out[i] = expand(out[i], known)
	}
	return out
}
