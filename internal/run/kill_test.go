package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/store"
)

// The process is really killed here: this test's program starts itself as a child, whose actions make and remove files,
// and which kills itself at one point of one step. Another child then goes on.

// variables of the child
const (
	killFolder = "GREENROOM_TEST_RUN"      // where the state and the effects are
	killAt     = "GREENROOM_TEST_RUN_KILL" // "point/step", or nothing
	killFails  = "GREENROOM_TEST_RUN_FAIL" // the step that fails, or nothing
)

// files is an action whose effect is a file of the step's name. It notes each time that it changes something.
type files struct{ dir, fails string }

func (f files) Do(_ context.Context, t *Task) (any, error) {
	name := filepath.Join(f.dir, "effects", t.Step.Name)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist): // done before a kill
	case err != nil:
		return nil, err
	default:
		if err := errors.Join(file.Close(), f.note("made "+t.Step.Name)); err != nil {
			return nil, err
		}
	}
	if t.Step.Name == f.fails {
		return nil, problem.New(problem.Fail, "no luck")
	}
	return map[string]string{"file": name}, nil
}

func (f files) Undo(_ context.Context, t *Task) error {
	err := os.Remove(filepath.Join(f.dir, "effects", t.Step.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, f.note("removed "+t.Step.Name))
}

func (f files) note(line string) error {
	log, err := os.OpenFile(filepath.Join(f.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(log, line)
	return errors.Join(err, log.Close())
}

// child is what this program does when it is started as a child.
func child() {
	dir := os.Getenv(killFolder)
	if dir == "" {
		return
	}
	at := os.Getenv(killAt)
	err := carryOut(dir, os.Getenv(killFails), func(p Point, step string) {
		if at == string(p)+"/"+step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing happens any more
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// carryOut starts the run, or goes on with it, and waits for its end.
func carryOut(dir, fails string, hook func(p Point, step string)) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s, err := store.Open(ctx, filepath.Join(dir, "state.db"), options())
	if err != nil {
		return err
	}
	e := New(ctx, Config{Store: s, Actions: map[string]Action{"x": files{dir, fails}}, Log: slog.New(slog.DiscardHandler),
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }, Hook: hook})
	if err := e.Resume(ctx); err != nil {
		return err
	}
	if _, err := s.Run(ctx, "r1"); problem.From(err) != nil {
		if _, err := e.Start(ctx, fourSteps(), "ann"); err != nil {
			return err
		}
	}
	_, err = e.Wait(ctx, "r1")
	e.Close()
	return errors.Join(err, s.Close())
}

// spawn runs a child and says whether it was killed.
func spawn(t *testing.T, dir, at, fails string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killFolder+"="+dir, killAt+"="+at, killFails+"="+fails)
	out, err := cmd.CombinedOutput()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return false
}

// folder is a new one for a run, with an empty state in it.
func folder(t *testing.T, state []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "effects"), 0o700), os.WriteFile(filepath.Join(dir, "state.db"), state, 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func emptyState(t *testing.T) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "state.db")
	s, err := store.Open(t.Context(), file, options())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKilledAtEachPointOfEachStep(t *testing.T) {
	state := emptyState(t)
	for _, c := range []struct {
		fails   string
		outcome plan.Outcome
		log     string
		points  int // at which there is something to kill
	}{
		{"", plan.Succeeded, "made backup, made migrate, made shift, made down", 4 * 3},
		{"shift", plan.RolledBack, "made backup, made migrate, made shift, removed shift, removed migrate, made down", 4*3 + 2*3},
		{"backup", plan.Stopped, "made backup, made down", 2 * 3},
	} {
		// A run that nothing disturbs tells at which points there is something to kill.
		var points []string
		dir := folder(t, state)
		if err := carryOut(dir, c.fails, func(p Point, step string) { points = append(points, string(p)+"/"+step) }); err != nil {
			t.Fatal(err)
		}
		checkFolder(t, "not killed", dir, c.outcome, c.log)
		if len(points) != c.points {
			t.Errorf("%s: %d points, want %d: %v", c.outcome, len(points), c.points, points)
		}
		for _, at := range points {
			dir := folder(t, state)
			if !spawn(t, dir, at, c.fails) {
				t.Fatalf("not killed %s", at)
			}
			if err := carryOut(dir, c.fails, nil); err != nil {
				t.Fatal(err)
			}
			checkFolder(t, at, dir, c.outcome, c.log)
		}
	}
}

// checkFolder looks whether each effect happened once and in its order, and whether the store says the same.
func checkFolder(t *testing.T, at, dir string, outcome plan.Outcome, log string) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(dir, "state.db"), options())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	r, err := s.Run(t.Context(), "r1")
	if err != nil || r.Outcome != outcome {
		t.Errorf("%s: %s: %s, %v", at, r.Outcome, r.Reason, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if got := strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", ", "); err != nil || got != log {
		t.Errorf("%s:\ngot  %s\nwant %s, %v", at, got, log, err)
	}
	var want []string
	for _, step := range r.Plan.Steps {
		made := strings.Contains(log, "made "+step.Name)
		if made && !strings.Contains(log, "removed "+step.Name) {
			want = append(want, step.Name)
		}
	}
	effects, err := os.ReadDir(filepath.Join(dir, "effects"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range effects {
		got = append(got, f.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v are there, want %v", at, got, want)
	}
	log2, err := s.History(t.Context(), store.HistoryQuery{})
	if err != nil || len(log2) != 2 {
		t.Errorf("%s: the run has one beginning and one end in the audit: %+v, %v", at, log2, err)
	}
}

// A step that brings the process down each time does not do so for ever.
func TestACrashLoopEnds(t *testing.T) {
	dir := folder(t, emptyState(t))
	kills := 0
	for spawn(t, dir, "after do/shift", "") {
		if kills++; kills > plan.Attempts {
			t.Fatal("it goes on and on")
		}
	}
	checkFolder(t, "crash loop", dir, plan.RolledBack, "made backup, made migrate, made shift, removed shift, removed migrate, made down")
}
