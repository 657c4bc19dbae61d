package environment

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"greenroom/internal/proc"
)

// Mark is the variable by which a migration, a job or a check is known to belong to this Greenroom.
func (w *World) Mark() string { return "GREENROOM_COMMAND=" + string(w.Home) }

// EndLeftovers ends the migrations, jobs and checks that a killed control plane left behind, before any run goes on:
// a second migrator beside the first would be worse than none. It is called when no run goes on, and returns how many
// processes it ended.
func (w *World) EndLeftovers(ctx context.Context) (int, error) {
	ended := 0
	for {
		left, err := proc.Marked(w.Mark())
		if err != nil || len(left) == 0 {
			return ended, errors.Join(err, w.clearWork())
		}
		for _, p := range left {
			if err := p.Signal(syscall.SIGKILL); err == nil {
				ended++
			}
		}
		// A process that was killed may have started another in that instant, so it is looked for again until none is left.
		select {
		case <-ctx.Done():
			return ended, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// clearWork removes the working folders of checks that nobody runs any more.
func (w *World) clearWork() error {
	names, err := os.ReadDir(w.Home.Runs())
	if err != nil {
		return err
	}
	var all []error
	for _, n := range names {
		all = append(all, os.RemoveAll(filepath.Join(w.Home.Runs(), n.Name())))
	}
	return errors.Join(all...)
}
