// Package docker is the driver that runs services as containers of a Docker Engine.
//
// All that is known of a replica is in the Engine: the container, its state, its log, and labels that Greenroom gave it. So
// a replica outlives the driver's process, a new driver finds it again, and the Engine's restart policy starts it again
// without anybody of ours. What Greenroom made is found by its labels and by nothing else; a container, network, volume or
// image without them is a stranger's, and is never changed or removed.
//
//	greenroom.home      which Greenroom made it: several may share an Engine
//	greenroom.app, greenroom.environment, greenroom.service, greenroom.release, greenroom.replica
//	greenroom.record    what else of a driver.Spec is needed to tell its status; no secret
package docker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Options configure a Driver.
type Options struct {
	// Host is the Engine's address as in DOCKER_HOST; "" is its default socket. Replicas are dialled from here, so one that runs any
	// is on this machine; what only has and builds images may be elsewhere, also at ssh://.
	Host string
	Home string       // which Greenroom this is, such as its state folder: two on one Engine never touch each other's
	Logs string       // folder for what those printed that were stopped last; made when missing; "" keeps nothing of them
	Log  *slog.Logger // nil logs nothing
}

// Driver is a driver.Driver. Several of several processes may share an Engine and a home. It also makes what containers
// need around them: networks, volumes and images.
type Driver struct {
	engine *engine
	home   string
	logs   string
	log    *slog.Logger
	memory memory
	starts locks // of ids that are being started or stopped by this driver
	reads  readers
}

var _ driver.Driver = (*Driver)(nil)

// New connects to the Engine. Where none answers it is a problem (problem.Unavailable).
func New(o Options) (*Driver, error) {
	if o.Home == "" {
		return nil, errors.New("docker driver: no home")
	}
	d := &Driver{home: o.Home, logs: o.Logs, log: o.Log}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	var err error
	d.engine, err = dial(o.Host, d.log)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Close gives back the connections to the Engine. Replicas go on.
func (d *Driver) Close() error { return d.engine.Close() }

// attempts is how often Start and Stop look again when somebody else does the same or the opposite at the same time.
const attempts = 50

// Start is driver.Driver's. A container that runs is left as it is, also when the spec differs (Status.Spec tells); one
// that does not run is removed and made anew, unless it was just created for the same spec. A container that can't be
// started is a problem, and leaves nothing.
func (d *Driver) Start(ctx context.Context, s driver.Spec) (driver.Status, error) {
	if s.Container == nil {
		return driver.Status{}, problem.New(problem.Invalid, "replica %s: it is a process, which is not run as a container", s.ID)
	}
	if err := s.Check(); err != nil {
		return driver.Status{}, err
	}
	if len(s.Container.Publish) > 0 && d.engine.elsewhere() {
		return driver.Status{}, problem.New(problem.Unavailable, "%s can't be started: its ports would be those of another machine, where the Docker Engine is (%s)", s.ID, d.engine.host).
			WithHint("run Greenroom on the machine of the Engine")
	}
	defer d.starts.lock(s.ID)()
	s = s.WithDefaults()
	for range attempts {
		id, err := d.startOnce(ctx, s)
		if err == nil {
			v, err := d.view(ctx, id)
			if !errdefs.IsNotFound(err) {
				return v.status, err
			}
		} else if !again(err) {
			return driver.Status{}, err
		}
		if err := driver.Sleep(ctx, firstPause); err != nil { // nobody tells when another driver is done
			return driver.Status{}, err
		}
	}
	return driver.Status{}, problem.New(problem.Unavailable, "%s can't be started: somebody stops it all the time", s.ID)
}

// again says whether an error of a start shows that somebody else changed the container meanwhile.
func again(err error) bool {
	if errors.Is(err, errOurs) {
		return true
	}
	var p *problem.Error
	if errors.As(err, &p) {
		return false
	}
	return errdefs.IsNotFound(err) || errdefs.IsConflict(err)
}

// startOnce makes one attempt and returns the id of the container that runs.
func (d *Driver) startOnce(ctx context.Context, s driver.Spec) (string, error) {
	there, err := d.find(ctx, s.ID)
	if err != nil {
		return "", err
	}
	id := ""
	for _, c := range there {
		in, err := d.inspect(ctx, c.ID)
		switch {
		case errdefs.IsNotFound(err):
		case err != nil:
			return "", err
		case in.State.Running || in.State.Paused || in.State.Restarting:
			return c.ID, nil
		case in.State.Status == container.StateCreated && d.isFor(in, s) && id == "":
			id = c.ID
		default:
			if err := d.retire(ctx, c.ID); err != nil {
				return "", err
			}
		}
	}
	if id == "" {
		if id, err = d.create(ctx, s); err != nil {
			return "", err
		}
		d.memory.made(id)
	}
	return id, d.run(ctx, id, s)
}

// isFor says whether a container that was created and never started is one for this spec.
func (d *Driver) isFor(in container.InspectResponse, s driver.Spec) bool {
	want, err := recordOf(s)
	got := readRecord(in.Config.Labels)
	if err != nil || want.Spec != got.Spec {
		return false
	}
	for _, e := range environ(s, d.named(s.ID)) { // the digest knows no secrets
		if !slices.Contains(in.Config.Env, e) {
			return false
		}
	}
	return true
}

// run completes a created container and starts it. One that can't be started is removed.
func (d *Driver) run(ctx context.Context, id string, s driver.Spec) error {
	err := d.connect(ctx, id, s)
	if err == nil {
		err = d.putFiles(ctx, id, s)
	}
	if err == nil {
		err = d.engine.within(ctx, startTime, func(ctx context.Context) error {
			_, err := d.engine.ContainerStart(ctx, id, client.ContainerStartOptions{})
			return err
		})
		switch {
		case err == nil || ctx.Err() != nil || goneMeanwhile(err):
		case halfStarted(err):
			err = d.endStray(ctx, id, s)
		default:
			err = d.startProblem(ctx, id, s, err)
		}
	}
	if err == nil || ctx.Err() != nil || again(err) {
		return err
	}
	// Why it could not be started says more; what is left is cleaned up by the next start.
	_ = d.remove(ctx, id)
	_ = d.removeFileVolumes(ctx, s.ID)
	return err
}

// startTime is how long the Engine may take to start a container: it sets up networks and mounts.
const startTime = 2 * time.Minute

// goneMeanwhile says whether a start failed because the container is being removed.
func goneMeanwhile(err error) bool {
	return errdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such container") ||
		errdefs.IsConflict(err) || strings.Contains(err.Error(), "marked for removal") || strings.Contains(err.Error(), "is being removed")
}

// connect puts a created container into its other networks: an older Engine creates it in one alone.
func (d *Driver) connect(ctx context.Context, id string, s driver.Spec) error {
	for _, a := range s.Container.Networks[min(1, len(s.Container.Networks)):] {
		err := d.engine.ask(ctx, func(ctx context.Context) error {
			_, err := d.engine.NetworkConnect(ctx, a.Network, client.NetworkConnectOptions{Container: id, EndpointConfig: endpointOf(a)})
			return err
		})
		if err != nil && !strings.Contains(err.Error(), "already exists in network") {
			if errdefs.IsNotFound(err) && strings.Contains(err.Error(), "container") {
				return err
			}
			if errdefs.IsNotFound(err) {
				return networkGone(s, err)
			}
			return failed(err, "%s can't be put into network %s", s.ID, a.Network)
		}
	}
	return nil
}

// find lists the containers of a replica: there is one, or none; two only where somebody copied labels.
func (d *Driver) find(ctx context.Context, id string) ([]container.Summary, error) {
	return d.containers(ctx, labelReplica, id)
}

func (d *Driver) containers(ctx context.Context, pairs ...string) (all []container.Summary, err error) {
	err = d.engine.ask(ctx, func(ctx context.Context) error {
		got, err := d.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: d.filters(pairs...)})
		all = got.Items
		return err
	})
	if err != nil {
		return nil, failed(err, "the containers can't be listed")
	}
	return all, nil
}

// inspectTime is how long the Engine may take to tell of one container.
const inspectTime = 10 * time.Second

func (d *Driver) inspect(ctx context.Context, id string) (in container.InspectResponse, err error) {
	err = d.engine.within(ctx, inspectTime, func(ctx context.Context) error {
		got, err := d.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		in = got.Container
		if err == nil && startsAgain(in) {
			return d.engine.stays(ctx)
		}
		return err
	})
	if err == nil && (in.State == nil || in.Config == nil || in.HostConfig == nil) {
		err = errors.New("the Docker Engine tells nothing of container " + id)
	}
	return in, err
}

// startsAgain says whether a container has ended that an Engine starts again when it is back.
func startsAgain(in container.InspectResponse) bool {
	return in.State != nil && in.HostConfig != nil && in.State.Status == container.StateExited &&
		!in.HostConfig.RestartPolicy.IsNone() && in.HostConfig.RestartPolicy.Name != ""
}

// Status is driver.Driver's.
func (d *Driver) Status(ctx context.Context, id string) (driver.Status, error) {
	v, err := d.lookup(ctx, id)
	return v.status, err
}

// lookup is the view of a replica by its id; driver.ErrNotFound when there is none.
func (d *Driver) lookup(ctx context.Context, id string) (view, error) {
	if !driver.ValidID(id) {
		return view{}, driver.ErrNotFound
	}
	there, err := d.find(ctx, id)
	if err != nil {
		return view{}, err
	}
	for _, c := range there {
		v, err := d.viewListed(ctx, c)
		if !errdefs.IsNotFound(err) {
			return v, err
		}
	}
	return view{}, driver.ErrNotFound
}

// atOnce bounds what the Engine is asked at a time.
const atOnce = 16

// beside calls f for 0 to n-1, some of them beside one another, and returns when all have returned.
func beside(n int, f func(int)) {
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}

// List is driver.Driver's.
func (d *Driver) List(ctx context.Context, f driver.Filter) ([]driver.Status, error) {
	there, err := d.containers(ctx, labelApp, f.App, labelEnvironment, f.Environment, labelService, f.Service, labelRelease, f.Release)
	if err != nil {
		return nil, err
	}
	views, errs := make([]view, len(there)), make([]error, len(there))
	beside(len(there), func(i int) { views[i], errs[i] = d.viewListed(ctx, there[i]) })
	var all []driver.Status
	for i, v := range views {
		switch {
		case errdefs.IsNotFound(errs[i]): // gone again
		case errs[i] != nil:
			return nil, errs[i]
		case v.status.ID != "":
			all = append(all, v.status)
		}
	}
	slices.SortFunc(all, func(a, b driver.Status) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// Wait is driver.Driver's.
func (d *Driver) Wait(ctx context.Context, id string) (driver.Status, error) {
	if !driver.ValidID(id) {
		return driver.Status{}, driver.ErrNotFound
	}
	began := time.Now()
	news := d.follow(ctx, id)
	defer news.stop()
	for {
		v, err := d.lookup(ctx, id)
		switch {
		case err != nil:
			return driver.Status{}, err
		case v.status.Phase == driver.Healthy:
			return v.status, nil
		case v.lost():
			return v.status, driver.Unhealthy(v.status, v.failures, strings.Join(v.last, "\n"))
		}
		if err := news.next(ctx, v.patience(time.Since(began))); err != nil {
			return driver.Status{}, err
		}
	}
}

// locks are one lock for each id, as long as somebody holds it.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	sync.Mutex
	users int
}

func (l *locks) lock(id string) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	one := l.held[id]
	if one == nil {
		one = new(lock)
		l.held[id] = one
	}
	one.users++
	l.mu.Unlock()
	one.Lock()
	return func() {
		one.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.held, id)
		}
	}
}
