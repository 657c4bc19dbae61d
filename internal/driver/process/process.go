// Package process is the driver that runs services as plain processes.
//
// Every replica has a folder and a supervisor: a small process of its own (see Supervise) that holds the folder's lock,
// the child's pipes and its exit status. Who holds the lock owns the folder, so there is never a second replica of one
// id, and the driver's process may die at any instant without anybody noticing.
//
//	DIR/<id>/lock       held by the supervisor as long as it lives
//	DIR/<id>/state.json what is known of the replica, and who it is; never its environment
//	DIR/<id>/ctl.sock   tells every change as a line of JSON, takes "stop"
//	DIR/<id>/log/       what it printed, in numbered segments
//	DIR/.stopped/<id>/  what is left of the replicas that were stopped last: their logs
package process

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Options configure a Driver.
type Options struct {
	Dir       string       // folder for the replicas; made when missing
	Supervise []string     // the command that runs Supervise, such as greenroom supervise; the folder is added to it
	Log       *slog.Logger // nil logs nothing
}

// Driver is a driver.Driver. It holds nothing but its options: all state is in the folder, and several Drivers of
// several processes may share one.
type Driver struct {
	dir       string
	supervise []string
	log       *slog.Logger
}

var _ driver.Driver = (*Driver)(nil)

// retry is how long one waits before looking again for who holds a replica's lock. That somebody holds it without
// answering on the socket lasts only for the instants in which a supervisor comes or goes.
const retry = 5 * time.Millisecond

// New opens the folder.
func New(o Options) (*Driver, error) {
	if len(o.Supervise) == 0 {
		return nil, errors.New("process driver: no command for supervisors")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	// One folder has one name: the name is what marks the processes in it.
	dir, err := filepath.Abs(o.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, err
	}
	d := &Driver{dir: dir, supervise: slices.Clone(o.Supervise), log: o.Log}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	return d, nil
}

func (d *Driver) folder(id string) string { return filepath.Join(d.dir, id) }

// Start is driver.Driver's. A command that can't be run is a problem, and leaves no replica.
func (d *Driver) Start(ctx context.Context, spec driver.Spec) (driver.Status, error) {
	if err := checkSpec(spec); err != nil {
		return driver.Status{}, err
	}
	for {
		st, err := d.ask(ctx, spec.ID)
		switch {
		case errors.Is(err, errSilent):
			return driver.Status{}, silent(spec.ID)
		case err != nil: // no supervisor is there
			st, err = d.spawn(ctx, spec)
			if !errors.Is(err, errBusy) {
				return st.Status, err
			}
		case st.Stopping || st.Status.Phase == driver.Exited:
			d.awaitLeave(ctx, spec.ID)
		default:
			return st.Status, nil
		}
		if err := driver.Sleep(ctx, retry); err != nil {
			return driver.Status{}, err
		}
	}
}

// Stop is driver.Driver's. That the stop command of a deploy fails is a problem, and its replica stays recorded as ended.
func (d *Driver) Stop(ctx context.Context, id string) error { return d.end(ctx, id, stopLine) }

// Forget is Stop that leaves what a deploy command has deployed as it is. A command that is under way is ended.
func (d *Driver) Forget(ctx context.Context, id string) error { return d.end(ctx, id, forgetLine) }

func (d *Driver) end(ctx context.Context, id, line string) error {
	if !driver.ValidID(id) {
		return nil // there can't be one
	}
	for {
		err := d.askToEnd(ctx, id, line)
		if p := problem.From(err); p != nil && p.Code == problem.Fail {
			return err
		}
		if errors.Is(err, errSilent) {
			d.log.Warn("killing a supervisor that does not answer", "replica", id)
			d.killSupervisor(ctx, id)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		gone, err := d.forget(id)
		if gone || err != nil {
			return err
		}
		if err := driver.Sleep(ctx, retry); err != nil {
			return err
		}
	}
}

// Status is driver.Driver's.
func (d *Driver) Status(ctx context.Context, id string) (driver.Status, error) {
	st, err := d.look(ctx, id)
	return st.Status, err
}

// List is driver.Driver's.
func (d *Driver) List(ctx context.Context, f driver.Filter) ([]driver.Status, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var all []driver.Status
	for _, e := range entries {
		if !driver.ValidID(e.Name()) || !e.IsDir() {
			continue
		}
		wg.Go(func() {
			st, err := d.Status(ctx, e.Name())
			if err != nil || !f.Matches(st) { // the only error is that it is gone again
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, st)
		})
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b driver.Status) int { return strings.Compare(a.ID, b.ID) })
	return all, ctx.Err()
}

// Wait is driver.Driver's.
func (d *Driver) Wait(ctx context.Context, id string) (driver.Status, error) {
	if !driver.ValidID(id) {
		return driver.Status{}, driver.ErrNotFound
	}
	c, err := dialControl(ctx, d.folder(id))
	if err != nil {
		if ctx.Err() != nil {
			return driver.Status{}, ctx.Err()
		}
		return d.waitGone(ctx, id)
	}
	defer c.close()
	for st, err := c.within(ctx, answerTime); ; st, err = c.next() {
		switch {
		case ctx.Err() != nil:
			return driver.Status{}, ctx.Err()
		case errors.Is(err, errSilent):
			return driver.Status{}, silent(id)
		case err != nil:
			return d.waitGone(ctx, id)
		case st.Stopping:
			return st.Status, problem.New(problem.Fail, "%s is being stopped", id)
		case st.Status.Phase == driver.Healthy:
			return st.Status, nil
		case hopeless(st):
			return st.Status, driver.Unhealthy(st.Status, st.Failures, st.Last)
		}
	}
}

// waitGone is Wait's answer for a replica without a supervisor. One that is dying has closed its socket before it is gone, and
// until then its record is of the time before.
func (d *Driver) waitGone(ctx context.Context, id string) (driver.Status, error) {
	st, err := d.recorded(id)
	for began := time.Now(); err == nil && st.Status.Phase != driver.Exited && time.Since(began) < answerTime; {
		if err := driver.Sleep(ctx, retry); err != nil {
			return driver.Status{}, err
		}
		st, err = d.recorded(id)
	}
	if err != nil {
		return driver.Status{}, err
	}
	return st.Status, driver.Unhealthy(st.Status, st.Failures, st.Last)
}

// Logs is driver.Driver's. The logs of the replicas that were stopped last are still there.
func (d *Driver) Logs(ctx context.Context, id string, o driver.LogOptions, w io.Writer) error {
	if !driver.ValidID(id) {
		return driver.ErrNotFound
	}
	for _, folder := range []string{d.folder(id), filepath.Join(d.dir, stopped, id)} {
		root, err := os.OpenRoot(filepath.Join(folder, logFolder))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer root.Close() //nolint:errcheck // read only
		return copyLogs(ctx, root, o, w)
	}
	return driver.ErrNotFound
}
