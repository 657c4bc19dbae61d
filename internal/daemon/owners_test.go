package daemon

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/rehearsal"
	"greenroom/internal/release"
)

// TestTwoDaemons starts a second daemon on the same state folder: it is refused, and the first one does not notice.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	code, out := h.greenroom("daemon")
	if code != problem.ExitCode(problem.New(problem.Blocked, "")) {
		t.Errorf("exit code %d", code)
	}
	for _, word := range []string{"another Greenroom has the state folder " + string(h.home), fmt.Sprintf("process %d", h.process.Process.Pid), "GREENROOM_HOME"} {
		if !strings.Contains(out, word) {
			t.Errorf("%q says nothing of %q", out, word)
		}
	}
	if v, err := h.client.Version(h.ctx()); err != nil || v.PID != h.process.Process.Pid {
		t.Errorf("%+v answers: %v", v, err)
	}
}

// TestTwoPromotionsAtOnce has many people promote in the same instant: one of them does, the others are told who.
func TestTwoPromotionsAtOnce(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	h.live(withPostgres())
	releases := []release.Digest{h.build(withPostgres().as("v2", "")), h.build(withPostgres().as("v3", ""))}

	const people = 8
	runs, errs := make([]api.RunView, people), make([]error, people)
	var all sync.WaitGroup
	ctx := h.ctx()
	for i := range people {
		all.Go(func() { runs[i], errs[i] = h.client.Start(ctx, toProduction(releases[i%2])) })
	}
	all.Wait()
	winner := -1
	for i, err := range errs {
		if err == nil && winner >= 0 {
			t.Fatalf("%s and %s were both begun", runs[winner].ID, runs[i].ID)
		}
		if err == nil {
			winner = i
		}
	}
	if winner < 0 {
		t.Fatal(errors.Join(errs...))
	}
	for i, err := range errs {
		if i != winner {
			wantProblem(t, err, problem.Blocked, "is under way", runs[winner].ID)
		}
	}
	h.wantOutcome(h.await(runs[winner].ID), plan.Succeeded)
	h.wantSound(runs[winner].Plan.Release)
}

// TestTwoRehearsalsQueue begins two: the second waits for the first, also over the death of the control plane.
func TestTwoRehearsalsQueue(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	h.up(withPostgres())
	one, two := h.build(withPostgres()), h.build(withPostgres().as("v2", ""))
	first, second := h.rehearse(one), h.rehearse(two)
	if first.Queue != 0 || second.Queue != 1 {
		t.Errorf("before the first come %d, before the second %d", first.Queue, second.Queue)
	}
	h.awaitStep(first.ID, "new")
	h.killDaemon()
	h.start()
	for _, run := range []*api.RunView{&first, &second} {
		*run = h.wantOutcome(h.await(run.ID), plan.Succeeded)
		if run.Verdict != evidence.Pass {
			t.Errorf("%s: %s", run.ID, run.Verdict)
		}
	}
	if second.Started.Before(first.Ended) {
		t.Error("the second began before the first had ended")
	}
	h.eventually("nothing of the stage is left", func() string {
		for _, s := range h.replicas() {
			if s.Environment == rehearsal.Stage {
				return s.ID + " runs"
			}
		}
		return ""
	})
}

// TestKilledWhileMakingAStage kills the control plane while the stage's database is made. What makes it does not outlive
// the next control plane's start, or the stage could not be made anew.
func TestKilledWhileMakingAStage(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	dir := newFolder(t)
	h := newHouseIn(t, dir, filepath.Join(dir, "home"), func(h *house) { h.postgres = "" }) // a copy would be made too soon to be met
	h.up(withPostgres())
	run := h.rehearse(h.build(withPostgres()))
	var making []proc.Identity
	h.eventually("the database is made", func() string {
		for _, p := range h.processes() {
			if strings.Contains(commandOf(p.PID), "initdb\x00") {
				making = append(making, p)
			}
		}
		if len(making) == 0 {
			return "it is not"
		}
		return ""
	})
	h.killDaemon()
	h.start()
	for _, p := range making {
		if p.Alive() {
			t.Errorf("process %d lives: %s", p.PID, commandLine(p.PID))
		}
	}
	if run := h.wantOutcome(h.await(run.ID), plan.Succeeded); run.Verdict != evidence.Pass {
		t.Errorf("the verdict is %s", run.Verdict)
	}
}

// rehearse begins a rehearsal.
func (h *house) rehearse(r release.Digest) api.RunView {
	h.Helper()
	return h.ask(api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(r)})
}
