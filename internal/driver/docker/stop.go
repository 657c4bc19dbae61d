package docker

import (
	"context"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Stop is driver.Driver's.
func (d *Driver) Stop(ctx context.Context, id string) error {
	if !driver.ValidID(id) {
		return nil // there can't be one
	}
	for range attempts {
		there, err := d.find(ctx, id)
		if err != nil {
			return err
		}
		if len(there) == 0 {
			return d.removeFileVolumes(ctx, id)
		}
		for _, c := range there {
			if err := d.end(ctx, c.ID); err != nil && !errdefs.IsNotFound(err) {
				return err
			}
			if err := d.retire(ctx, c.ID); err != nil {
				return err
			}
		}
	}
	return problem.New(problem.Unavailable, "%s can't be stopped: somebody starts it all the time", id)
}

// end asks a container to end, and returns when it has or its grace is over. The Engine's own stop counts whole seconds.
func (d *Driver) end(ctx context.Context, id string) error {
	in, err := d.inspect(ctx, id)
	if err != nil {
		return err
	}
	if !in.State.Running || in.State.Restarting {
		return nil
	}
	if in.State.Paused {
		d.unpause(ctx, id)
	}
	stop := readRecord(in.Config.Labels).Stop
	grace, cancel := context.WithTimeout(ctx, stop.Grace)
	defer cancel()
	err = d.engine.ask(ctx, func(ctx context.Context) error {
		_, err := d.engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: stop.Signal})
		return err
	})
	if err != nil && ctx.Err() == nil {
		if notRunning(err) {
			return nil
		}
		return failed(err, "%s can't be asked to end", in.Config.Labels[labelReplica])
	}
	d.awaitEnd(grace, id)
	if ctx.Err() == nil && grace.Err() == nil {
		d.reads.drain(ctx, id)
	}
	return ctx.Err()
}

// unpause lets a container that somebody paused go on, so that it can end as it would: what it has not written is lost else. One
// that can't is killed.
func (d *Driver) unpause(ctx context.Context, id string) {
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		_, err := d.engine.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
		return err
	})
	if err != nil && !notPaused(err) {
		d.log.Warn("a paused container does not go on before it is ended", "container", id, "error", err)
	}
}

func notPaused(err error) bool {
	return notRunning(err) || strings.Contains(err.Error(), "is not paused")
}

func notRunning(err error) bool {
	return errdefs.IsConflict(err) || errdefs.IsNotFound(err) || strings.Contains(err.Error(), "is not running")
}

// awaitEnd returns when a container runs no more, or ctx ends.
func (d *Driver) awaitEnd(ctx context.Context, id string) {
	for ctx.Err() == nil {
		waited := d.engine.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case <-waited.Result:
			return
		case err := <-waited.Error:
			if !away(err) {
				return // it is gone, or ctx ended
			}
		case <-ctx.Done():
			select { // its goroutine ends, which now comes to the one or the other
			case <-waited.Result:
			case <-waited.Error: //nolint:errcheck // ctx ended
			}
			return
		}
		_ = driver.Sleep(ctx, firstPause) // ctx is asked above
	}
}

// remove kills what runs of a container, and removes it with what belongs to it alone. One that is gone is removed.
func (d *Driver) remove(ctx context.Context, id string) error {
	for range attempts {
		err := d.engine.within(ctx, removeTime, func(ctx context.Context) error {
			_, err := d.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			return err
		})
		switch {
		case err == nil || errdefs.IsNotFound(err):
			d.memory.forget(id)
			d.reads.forget(id)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errdefs.IsConflict(err): // somebody removes it already
			if err := driver.Sleep(ctx, mostPause/5); err != nil {
				return err
			}
		default:
			return failed(err, "container %.12s can't be removed", id)
		}
	}
	return problem.New(problem.Unavailable, "container %.12s can't be removed: the Docker Engine says for a long time that it is removing it", id).
		WithHint("look at it: docker inspect %.12s", id)
}

// removeTime is how long the Engine may take to remove a container.
const removeTime = time.Minute

// removeFileVolumes removes the volumes that were made for the files of one replica.
func (d *Driver) removeFileVolumes(ctx context.Context, id string) error {
	return d.removeVolumes(ctx, labelReplica, id)
}
