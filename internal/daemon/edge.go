package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/store"
)

// edgeStart is how long an edge may take until it answers.
const edgeStart = 15 * time.Second

// edgeEvery is how often it is looked whether the edge lives.
const edgeEvery = 500 * time.Millisecond

// ensureEdge makes sure that an edge of this version runs. An older one hands its listeners over, and nobody notices.
func (d *Daemon) ensureEdge(ctx context.Context) error {
	if d.opts.Service {
		return d.edgeUnit(ctx)
	}
	stats, err := d.world.Edge.Stats(ctx)
	running := err == nil
	if !running && problem.From(err).Code != problem.Unavailable {
		return err
	}
	if running && d.edgeVersion() == d.opts.Version {
		return nil
	}
	// One that found its table damaged has put it aside and ended: the next one begins with an empty one, which the
	// reconciliation fills.
	err = d.startEdge(ctx, stats.Instance)
	if err != nil && ctx.Err() == nil {
		d.log.Warn("the edge did not start; trying once more", "error", err)
		err = d.startEdge(ctx, stats.Instance)
	}
	if err != nil {
		return err
	}
	return atomicfile.Write(d.edgeVersionFile(), []byte(d.opts.Version+"\n"), 0o600)
}

// endEdge ends the edge when nothing is left for it to carry: in no environment that is up is anything live. It is part of a person's
// shutdown; whatever else ends the control plane leaves the edge alone.
func (d *Daemon) endEdge(ctx context.Context) error {
	environments, err := d.world.Store.Environments(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range environments {
		if e.Want == store.Up && e.Live != "" {
			return nil
		}
	}
	edge, err := d.edgeProcess()
	if err != nil {
		return err
	}
	if err := edge.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, proc.ErrGone) {
		return err
	}
	return d.awaitEdgeEnd(ctx, edge)
}

// edgeProcess is the edge that was started last.
func (d *Daemon) edgeProcess() (proc.Identity, error) {
	b, err := os.ReadFile(d.edgeProcessFile())
	if err != nil {
		return proc.Identity{}, err
	}
	var id proc.Identity
	if err := json.Unmarshal(b, &id); err != nil {
		return id, fmt.Errorf("%s: %w", d.edgeProcessFile(), err)
	}
	return id, nil
}

// awaitEdgeEnd returns when the process has ended.
func (d *Daemon) awaitEdgeEnd(ctx context.Context, edge proc.Identity) error {
	ctx, cancel := context.WithTimeout(ctx, edgeStart)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for edge.Alive() {
		select {
		case <-ctx.Done():
			return problem.New(problem.Unavailable, "the edge (process %d) does not end", edge.PID)
		case <-tick.C:
		}
	}
	return nil
}

func (d *Daemon) edgeProcessFile() string { return filepath.Join(d.opts.Home.Edge(), "process.json") }

func (d *Daemon) edgeVersionFile() string { return filepath.Join(d.opts.Home.Edge(), "version") }

// edgeVersion is that of the edge which was started last, "" when that is not known.
func (d *Daemon) edgeVersion() string {
	b, err := os.ReadFile(d.edgeVersionFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("the edge's version is not known", "error", err)
	}
	return strings.TrimSpace(string(b))
}

// keepEdge starts the edge again whenever it has ended. It comes back with the table that it had. While it can't be
// started it is tried less and less often, down to once a minute.
func (d *Daemon) keepEdge(ctx context.Context) {
	if d.opts.Service {
		return // systemd does
	}
	wait := time.NewTimer(edgeEvery)
	defer wait.Stop()
	every := edgeEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		every = d.reviveEdge(ctx, every)
		wait.Reset(every)
	}
}

// reviveEdge starts the edge if it has ended, and says when to look again.
func (d *Daemon) reviveEdge(ctx context.Context, every time.Duration) time.Duration {
	if id, err := d.edgeProcess(); err != nil || id.Alive() {
		return edgeEvery
	}
	d.log.Warn("the edge has ended; starting it again")
	if err := d.ensureEdge(ctx); err != nil && ctx.Err() == nil {
		d.log.Error("the edge could not be started", "error", err)
		return min(2*every, time.Minute)
	}
	return edgeEvery
}

// startEdge starts an edge that outlives this process, and returns when it answers and is not the one before.
func (d *Daemon) startEdge(ctx context.Context, before string) error {
	log, err := openLog(filepath.Join(d.opts.Home.Edge(), "edge.log"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the edge has its own descriptor
	cmd := exec.Command(d.opts.Program, "--home", string(d.opts.Home), "edge")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return problem.New(problem.Unavailable, "the edge can't be started: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	id, err := proc.Identify(cmd.Process.Pid)
	if err != nil {
		return problem.New(problem.Unavailable, "the edge ended at once").WithHint("see %s", log.Name())
	}
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(d.edgeProcessFile(), b, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, edgeStart)
	defer cancel()
	return d.awaitEdge(ctx, before, ended)
}

// awaitEdge returns once an edge answers that is not the one before.
func (d *Daemon) awaitEdge(ctx context.Context, before string, ended <-chan error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := d.world.Edge.Stats(ctx)
		if err == nil && s.Instance != before {
			return nil
		}
		select {
		case end := <-ended:
			return problem.New(problem.Unavailable, "the edge ended at once (%v)", end).
				WithHint("see %s", filepath.Join(d.opts.Home.Edge(), "edge.log"))
		case <-ctx.Done():
			return problem.New(problem.Unavailable, "the edge does not answer: %w", errors.Join(err, ctx.Err())).
				WithHint("see %s", filepath.Join(d.opts.Home.Edge(), "edge.log"))
		case <-tick.C:
		}
	}
}
