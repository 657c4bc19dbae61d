package docker

import (
	"context"
	"errors"
	"strings"
	"time"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// halfStarted says whether the Engine died while it started this container and knows nothing of it any more, although it
// may run: an Engine before version 23 asks containerd only about containers that it knows to have started.
func halfStarted(err error) bool {
	text := err.Error()
	return strings.Contains(text, "task ") && strings.Contains(text, "already exists") ||
		strings.Contains(text, "failed to start shim: mkdir") && strings.Contains(text, "file exists") // what it began with is there
}

// strayTime is how long what is killed may take to be gone.
const strayTime = 10 * time.Second

// endStray ends what runs of a container that the Engine does not know to run, so that another one can be started: two on
// one volume would spoil the data. Where that can't be known nothing is started. The error is errOurs when it is gone.
func (d *Driver) endStray(ctx context.Context, id string, s driver.Spec) error {
	gone, err := d.strayGone(ctx, id)
	switch {
	case err != nil:
		return err
	case gone:
		return errors.Join(errOurs, d.remove(ctx, id))
	}
	return problem.New(problem.Unavailable, "%s can't be started: the Docker Engine died while it started it, and what it started then may still run without its knowledge (container %.12s)", s.ID, id).
		WithHint("on the machine of the Engine: pgrep -af %.12s; or start that machine anew", id)
}

// strayGone kills what runs of a container that the Engine does not know to run, and says whether nothing of it is left;
// false also where it can't be seen, since the Engine is elsewhere.
func (d *Driver) strayGone(ctx context.Context, id string) (bool, error) {
	if !strings.HasPrefix(d.engine.host, "unix://") {
		return false, nil
	}
	for began := time.Now(); time.Since(began) < strayTime; {
		running, err := killStray(id)
		if err != nil {
			d.log.Warn("what a dead Engine started can't be looked for", "container", id, "error", err)
			return false, nil
		}
		if running == 0 {
			return true, nil
		}
		if err := driver.Sleep(ctx, firstPause); err != nil { // nobody tells when another's child ends
			return false, err
		}
	}
	return false, nil
}
