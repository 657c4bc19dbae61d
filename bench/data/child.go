package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/data/postgres"
	"greenroom/internal/mask"
)

// childEnv is set in the environment of a process that does one piece of work and tells how much memory it had.
const childEnv = "GREENROOM_BENCH_DATA"

// work is what a child is given, on its standard input: the address has a password in it.
type work struct {
	URL      string
	Programs postgres.Programs
	Dir      string
	Load     bool // otherwise a snapshot is taken
	Rules    mask.Rules
	Jobs     int
}

// worked is what it answers.
type worked struct {
	Rows int64
	Size int64 // of the snapshot
	Most int64 // bytes of memory that it had at most; 0 where that is not known

	spent spent // what its parent measured: the start of the process is in it, as it is in that of other programs
}

func child(ctx context.Context) int {
	var w work
	err := json.NewDecoder(os.Stdin).Decode(&w)
	if err == nil {
		var done worked
		if done, err = w.do(ctx); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(done)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (w work) do(ctx context.Context) (done worked, err error) {
	d, err := postgres.Open(postgres.Config{URL: w.URL, Programs: w.Programs})
	if err != nil {
		return done, err
	}
	if w.Load {
		var l data.Loaded
		l, err = d.Load(ctx, w.Dir, data.LoadOptions{Jobs: w.Jobs})
		done.Rows = l.Rows
	} else {
		var s data.Snapshot
		s, err = d.Snapshot(ctx, w.Dir, data.SnapshotOptions{Rules: w.Rules, Key: key, Jobs: w.Jobs})
		done.Size = s.Size
		for _, t := range s.Tables {
			done.Rows += t.Rows
		}
	}
	done.Most = most()
	return done, err
}

// most is the most memory that this process ever had. getrusage(2) would not do: a child begins with what its parent had.
func most() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}

// child has a piece of work done.
func (b *bench) child(ctx context.Context, d *database, w work) (done worked, err error) {
	program, err := os.Executable()
	if err != nil {
		return done, err
	}
	w.URL, w.Programs, w.Jobs = d.URL(), b.server.Programs, b.jobs
	text, err := json.Marshal(w)
	if err != nil {
		return done, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &said
	stop := b.server.stopwatch()
	if err := cmd.Run(); err != nil {
		return done, fmt.Errorf("%w: %s", err, said.String())
	}
	done.spent = stop()
	return done, json.Unmarshal(out.Bytes(), &done)
}

// copied takes a snapshot of a database and loads it, and removes the snapshot.
func (b *bench) copied(ctx context.Context, from *database, rules mask.Rules) (snapshot, load worked, err error) {
	dir, err := os.MkdirTemp(b.dir, "snapshot-*")
	if err != nil {
		return snapshot, load, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	dir += "/taken"
	if snapshot, err = b.child(ctx, from, work{Dir: dir, Rules: rules}); err != nil {
		return snapshot, load, err
	}
	load, err = b.child(ctx, b.target, work{Dir: dir, Load: true})
	if err == nil && load.Rows != snapshot.Rows {
		err = fmt.Errorf("of %d rows %d were loaded", snapshot.Rows, load.Rows)
	}
	return snapshot, load, err
}
