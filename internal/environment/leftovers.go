package environment

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/proc"
)

// Mark is the variable by which a migration, a job, a check or the making of a database is known to belong to this
// Greenroom.
func (w *World) Mark() string { return "GREENROOM_COMMAND=" + string(w.Home) }

// EndLeftovers ends the migrations, jobs and checks that a killed control plane left behind, before any run goes on:
// a second migrator beside the first would be worse than none, and what still fills a folder can't be removed. It is called when no run goes on, and returns how many
// processes it ended.
func (w *World) EndLeftovers(ctx context.Context) (int, error) {
	ended, err := endAll(ctx, withMark(w.Mark()))
	return ended, errors.Join(err, w.clearWork())
}

// marked puts two marks into the environment of a command that does not outlive the control plane: that of this
// Greenroom, and one of its own. sweep is called when the command has ended: it ends what made a session of its own, to
// which the end of the command's group means nothing.
func (w *World) marked(env map[string]string) (_ map[string]string, sweep func()) {
	name, value, _ := strings.Cut(w.Mark(), "=")
	own := rand.Text()
	env[name], env[ownMark] = value, own
	return env, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if n, err := endAll(ctx, withMark(ownMark+"="+own)); err != nil || n > 0 {
			w.Log.Warn("ended what a command left behind", "processes", n, "error", err)
		}
	}
}

// ownMark is the variable by which the processes of one command are known.
const ownMark = "GREENROOM_COMMAND_ID"

// withMark finds all processes that have this in their environment.
func withMark(mark string) func() ([]proc.Identity, error) {
	return func() ([]proc.Identity, error) { return proc.Marked(mark) }
}

// endAll kills all processes that are found, and says how many they were.
func endAll(ctx context.Context, find func() ([]proc.Identity, error)) (ended int, err error) {
	for {
		left, err := find()
		if err != nil || len(left) == 0 {
			return ended, err
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
