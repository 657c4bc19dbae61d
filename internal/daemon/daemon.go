// Package daemon puts Greenroom together: it is the only place that constructs things, and the Backend that the API
// serves.
package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"greenroom/internal/account"
	"greenroom/internal/api"
	"greenroom/internal/artifact"
	deploycommand "greenroom/internal/driver/command"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/process"
	"greenroom/internal/edge"
	"greenroom/internal/environment"
	"greenroom/internal/home"
	"greenroom/internal/key"
	"greenroom/internal/probe"
	"greenroom/internal/problem"
	"greenroom/internal/promotion"
	"greenroom/internal/rehearsal"
	"greenroom/internal/run"
	"greenroom/internal/secret"
	"greenroom/internal/service"
	"greenroom/internal/store"
	"greenroom/internal/watch"
)

// reconcileEvery is how often what runs is compared with what should run.
const reconcileEvery = 2 * time.Second

// Options of a daemon.
type Options struct {
	Home    home.Home
	Version string
	Program string // path of this program: the edge and the supervisors are further processes of it
	Log     *slog.Logger
	Service bool // systemd runs it, the edge, and each replica, as units of their own
	// FirstAddress is the port from which environments' own addresses are given out; 0 for environment.FirstAddress.
	FirstAddress int
}

// Daemon is the control plane of one state folder.
type Daemon struct {
	opts     Options
	log      *slog.Logger
	world    *environment.World
	runs     *run.Executor
	locks    watch.Locks
	probes   probe.Runs
	started  time.Time
	shutdown context.CancelFunc
	fail     context.CancelCauseFunc // shutdown because of what can't be gone on with
	told     atomic.Bool             // a client asked for the end
	traffic  traffic
	room     room
}

// Run is the body of `greenroom daemon`: it takes the state folder, goes on with what was interrupted, and serves until
// ctx ends or a client asks it to stop. What it started goes on without it.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.Home.Make(); err != nil {
		return err
	}
	release, err := takeFolder(o.Home)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := wholeRestore(string(o.Home)); err != nil {
		return err
	}

	ctx, fail := context.WithCancelCause(ctx)
	shutdown := func() { fail(nil) }
	defer shutdown()
	d := &Daemon{opts: o, log: o.Log, started: time.Now(), shutdown: shutdown, fail: fail, room: newRoom()}
	if d.world, err = open(ctx, o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.world.Engine.Close(), d.world.Store.Close()) }()
	if err := d.ensureEdge(ctx); err != nil {
		return err
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	if why := context.Cause(ctx); !errors.Is(why, context.Canceled) {
		return why
	}
	if !d.told.Load() {
		return nil
	}
	if o.Service { // which would start it again otherwise
		return service.Stop(context.WithoutCancel(ctx), service.ControlPlane)
	}
	return d.endEdge(context.WithoutCancel(ctx))
}

// open opens everything that is kept in the state folder.
func open(ctx context.Context, o Options) (*environment.World, error) {
	ring, err := key.Open(o.Home.Keys())
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, o.Home.Store(), store.Options{Signer: ring.Signer, Ring: ring})
	if err != nil {
		return nil, err
	}
	w := &environment.World{
		Home: o.Home, Store: s, Ring: ring, Edge: edge.NewClient(o.Home.Edge()), Accounts: account.New(o.Home), Log: o.Log, Now: time.Now, Program: o.Program,
		FirstAddress: firstAddress(o),
	}
	w.LogCheck = newLogCheck(w)
	if w.Secrets, err = secret.Open(o.Home.Secrets()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if w.Artifacts, err = artifact.Open(ctx, o.Home.Artifacts()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	supervise, err := o.supervise()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	processes, err := process.New(process.Options{Dir: o.Home.Replicas(), Supervise: supervise, Log: o.Log})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	w.Engine = environment.NewEngine(o.Home, func() (*docker.Driver, error) {
		return docker.New(docker.Options{Host: os.Getenv("DOCKER_HOST"), Home: string(o.Home), Log: o.Log})
	})
	w.Driver = environment.Drivers{Processes: processes, Engine: w.Engine}
	w.Deploys = deploycommand.New(processes)
	return w, nil
}

// serve goes on with what was interrupted and answers until ctx ends.
func (d *Daemon) serve(ctx context.Context) error {
	if n, err := d.world.EndLeftovers(ctx); err != nil {
		return err
	} else if n > 0 {
		d.log.Warn("ended commands that an earlier control plane left behind", "processes", n)
	}
	d.probes.Now = d.world.Now
	d.runs = run.New(ctx, run.Config{Store: d.world.Store, Actions: d.actions(), Log: d.log, Left: d.left, Hook: hook})
	defer d.probes.Close()
	defer d.runs.Close()
	if err := d.runs.Resume(ctx); err != nil {
		return err
	}
	if err := privateFolder(filepath.Dir(d.opts.Home.Socket())); err != nil {
		return err
	}
	ln, err := api.Listen(d.opts.Home.Socket(), 0o600)
	if err != nil {
		return err
	}
	if err := d.openDoor(ctx); err != nil {
		return errors.Join(err, ln.Close())
	}
	var loops sync.WaitGroup
	defer loops.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loop := &watch.Loop{World: d.world, Log: d.log, Every: reconcileEvery, Locks: &d.locks}
	loops.Go(func() { loop.Run(ctx) })
	loops.Go(func() { d.keepEdge(ctx) })
	loops.Go(func() { d.traffic.run(ctx, d.world.Edge) })
	loops.Go(func() { d.lookAtState(ctx) })
	loops.Go(func() { d.makeRoom(ctx) })
	d.tellSystemd(ctx, &loops)
	d.log.Info("greenroom serves", "home", d.opts.Home, "version", d.opts.Version)
	return api.Serve(ctx, ln, api.NewServer(api.Guarded(d, d), d.opts.Version, d.log))
}

// lookAtState verifies the log once from its beginning, so that the first question to a gate does not have to; and the
// whole of a large state file, which takes too long to wait for at the start.
func (d *Daemon) lookAtState(ctx context.Context) {
	if fault := d.world.LogCheck.Fault(ctx); fault != "" && ctx.Err() == nil {
		d.log.Error("the log of what happened is not whole; gates say no until a person has looked", "fault", fault)
	}
	if err := d.world.Store.Check(ctx); err != nil && ctx.Err() == nil {
		d.fail(err)
	}
}

// privateFolder makes the socket's folder, which may lie in the temporary folder that everybody can write to: one of that
// name that is somebody else's is refused.
func privateFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return problem.New(problem.Unavailable, "the socket's folder can't be made: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(st.Uid) != os.Getuid() {
		return problem.New(problem.Unavailable, "%s is not a folder of this user", dir).WithHint("set GREENROOM_HOME to a shorter path")
	}
	return nil
}

// left is told of each run that nobody carries out any more. One that needs a person, or halts, has not asked what its prober saw.
func (d *Daemon) left(run string) {
	d.probes.Drop(run)
	d.room.ask()
}

// actions are those of every kind of run.
func (d *Daemon) actions() map[string]run.Action {
	actions := (&promotion.Promotions{World: d.world, Log: d.log, Probes: &d.probes}).Actions()
	for name, a := range (&rehearsal.Rehearsals{World: d.world, Log: d.log}).Actions() {
		actions[name] = a
	}
	return actions
}
