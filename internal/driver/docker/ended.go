package docker

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Ended returns when a replica that is not started again has ended, and tells how. It stays until it is stopped. One whose end nobody
// saw is a problem: what the Engine tells of that is no exit code of its. So is an Engine that does not answer meanwhile.
func (d *Driver) Ended(ctx context.Context, id string) (driver.Status, error) {
	there, err := d.find(ctx, id)
	if err != nil {
		return driver.Status{}, err
	}
	for _, c := range there {
		st, err := d.ended(ctx, c.ID)
		if !errdefs.IsNotFound(err) {
			return st, err
		}
	}
	return driver.Status{}, driver.ErrNotFound
}

func (d *Driver) ended(ctx context.Context, id string) (driver.Status, error) {
	for {
		limited, cancel := context.WithTimeout(ctx, answerTime/d.engine.hurry) // one that hangs would never tell
		d.awaitEnd(limited, id)                                                // also where the Engine does not say how that went
		cancel()
		if err := ctx.Err(); err != nil {
			return driver.Status{}, err
		}
		in, err := d.inspect(ctx, id)
		if err != nil {
			if !errdefs.IsNotFound(err) {
				err = failed(err, "container %.12s can't be looked at", id)
			}
			return driver.Status{}, err
		}
		if !in.State.Running && !in.State.Restarting {
			if unseen(in.State) {
				return driver.Status{}, problem.New(problem.Unavailable, "nobody saw how %s ended: the Docker Engine was not there", in.Config.Labels[labelReplica]).
					WithHint("look at what it did, then do it again")
			}
			v, err := d.view(ctx, id)
			return v.status, err
		}
		if err := driver.Sleep(ctx, mostPause); err != nil {
			return driver.Status{}, err
		}
	}
}

// unseen says whether a container runs no more and the Engine has not seen its end: it knows of no start, or of no time at which it
// ended.
func unseen(state *container.State) bool {
	return state.Status == container.StateCreated || timeOf(state.FinishedAt).IsZero()
}
