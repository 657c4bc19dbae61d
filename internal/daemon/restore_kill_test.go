package daemon

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/proc"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// backedUp writes an entry, takes a backup, and writes another: what a restore keeps, and what it gives up.
func (h *house) backedUp() (backup string) {
	h.Helper()
	h.writes("kept")
	taken, err := h.client.TakeCopy(h.ctx(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopyBackup})
	must(h, err)
	_, err = drain(taken)
	must(h, err)
	views, err := h.client.Copies(h.ctx(), appUnderTest, "production", api.CopyBackup)
	must(h, err)
	i := slices.IndexFunc(views, func(v api.CopyView) bool { return strings.HasPrefix(v.ID, "b") })
	if i < 0 {
		h.Fatalf("the backup is not among %+v", views)
	}
	h.writes("later")
	return views[i].ID
}

func (h *house) writes(id string) {
	h.Helper()
	_, err := readAll(http.Post(h.status().Address+"/write?id="+id, "", nil))
	must(h, err)
}

func toBackup(id string) api.RunRequest {
	return api.RunRequest{Kind: plan.Restore, App: appUnderTest, Environment: "production", Because: "a test",
		Copy: &api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopyBackup, ID: id}}
}

func (h *house) restore(id string) api.RunView {
	h.Helper()
	return h.ask(toBackup(id))
}

// wantData fails the test when production's data is not what the backup holds, or with later what was there before.
func (h *house) wantData(later bool) {
	h.Helper()
	want := map[string]int{"kept": 1}
	if later {
		want["later"] = 1
	}
	for _, id := range []string{"kept", "later"} {
		found, err := readAll(http.Get(h.status().Address + "/recorded?prefix=" + id))
		must(h, err)
		if wanted := strings.Repeat(id+" 1\n", want[id]); found != wanted {
			h.Errorf("of %s there is %q, want %q", id, found, wanted)
		}
	}
}

// wantNothingBeside fails the test when a restore left a database of its own behind.
func (h *house) wantNothingBeside() {
	h.Helper()
	var beside int
	must(h, h.connect().QueryRow(h.ctx(), "SELECT count(*) FROM pg_database WHERE datname LIKE 'app\\_%'").Scan(&beside))
	if beside > 0 {
		h.Errorf("%d databases lie beside production's", beside)
	}
}

// TestRestoreKilled kills the control plane at every point of every step of a restore, of one that is taken back and of one
// that comes to its end.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	first := h.live(withPostgres())
	backup := h.backedUp()
	second := h.build(withPostgres().as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
	h.wantOutcome(h.promote(second), plan.Succeeded)
	dry, err := h.client.Plan(h.ctx(), toBackup(backup))
	must(t, err)
	steps := dry.Plan.Steps

	h.part(t, "back", func() {
		h.failCandidate("v1")
		candidate := slices.IndexFunc(steps, func(s plan.Step) bool { return s.Name == "candidate" })
		undone := slices.DeleteFunc(slices.Clone(steps[:candidate]), func(s plan.Step) bool { return !s.Changes })
		slices.Reverse(undone)
		begun := h.dieAround(undone, []run.Point{run.BeforeUndo, run.AfterUndo}, func() api.RunView { return h.restore(backup) })
		h.wantOutcome(h.await(begun.ID), plan.RolledBack, "the customer can't buy")
		h.tell("fail-journey", "v1", "")
		h.wantSound(second)
		h.wantData(true)
		h.wantNothingBeside()
	})
	h.part(t, "forth", func() {
		begun := h.dieAround(steps, []run.Point{run.BeforeDo, run.AfterDo}, func() api.RunView { return h.restore(backup) })
		h.wantOutcome(h.await(begun.ID), plan.Succeeded)
		h.wantSound(first)
		h.wantData(false)
		h.wantNothingBeside()
		if wrong := h.wrongPorts(first); wrong != "" {
			h.Error(wrong)
		}
	})
}

// TestRestoreThatFails has restores fail at each step that can. What was there before is there again, and so it is said.
func TestRestoreThatFails(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	live := h.live(withPostgres())
	backup := h.backedUp()
	file := h.home.Environment(appUnderTest, "production") + "/backups/" + backup + ".backup"
	asBefore := func(live release.Digest) {
		h.wantSound(live)
		h.wantData(true)
		h.wantNothingBeside()
	}

	h.part(t, "a damaged backup", func() {
		customers := h.customersOf(h.status().Address)
		flip := func() {
			b, err := os.ReadFile(file)
			must(h, err)
			b[len(b)/2] ^= 1
			must(h, os.WriteFile(file, b, 0o600))
		}
		flip()
		h.wantOutcome(h.await(h.restore(backup).ID), plan.Stopped, "is damaged")
		flip()
		customers.wantFlawless(h, customers.cut()) // who saw no page
		asBefore(live)
	})
	h.part(t, "the database server is killed", func() {
		begun := h.restore(backup)
		h.awaitStep(begun.ID, "restore")
		id, err := proc.Identify(h.replica("db").PID)
		must(h, err)
		must(h, id.Signal(syscall.SIGKILL))
		run := h.await(begun.ID)
		switch run.Outcome {
		case plan.Succeeded:
			h.wantSound(live)
			h.wantData(false)
			h.writes("later")
		case plan.RolledBack:
			asBefore(live)
		default:
			h.Errorf("%s: %s", run.Outcome, run.Reason)
		}
	})
	h.part(t, "the release does not work", func() {
		h.failCandidate("v1")
		h.wantOutcome(h.await(h.restore(backup).ID), plan.RolledBack, "the customer can't buy")
		h.tell("fail-journey", "v1", "")
		asBefore(live)
	})
	h.part(t, "after the page is gone", func() {
		h.tell("fail-journey", "v1", h.status().Address)
		run := h.wantOutcome(h.await(h.restore(backup).ID), plan.NeedsOperator, "people have written since the page was taken away")
		h.tell("fail-journey", "v1", "")
		if way := fmt.Sprintf("greenroom backup restore %s --environment production", run.ID); !strings.Contains(run.Hint, way) {
			h.Fatalf("the way back, %s, is not told: %s", way, run.Hint)
		}
		h.wantOutcome(h.await(h.restore(run.ID).ID), plan.Succeeded)
		asBefore(live)
	})
	h.part(t, "a schema that is unfit for the release", func() {
		next := withPostgres().as("v2", "")
		next.migrate, next.table = "ALTER TABLE entries RENAME TO records", "records"
		renamed := h.build(next)
		h.wantOutcome(h.promote(renamed), plan.Succeeded)
		must(h, os.Remove(strings.TrimSuffix(file, ".backup")+".json")) // so it is not known of which release it is
		h.wantOutcome(h.await(h.restore(backup).ID), plan.RolledBack, `relation "records" does not exist`)
		asBefore(renamed)
	})
}

// TestRestoreKilledOnSQLite is TestRestoreKilled for a database that is a file, under the release that is live.
func TestRestoreKilledOnSQLite(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	live := h.live(withSQLite())
	backup := h.backedUp()
	dry, err := h.client.Plan(h.ctx(), toBackup(backup))
	must(t, err)
	steps := dry.Plan.Steps

	h.part(t, "back", func() {
		h.failCandidate("v1")
		candidate := slices.IndexFunc(steps, func(s plan.Step) bool { return s.Name == "candidate" })
		undone := slices.DeleteFunc(slices.Clone(steps[:candidate]), func(s plan.Step) bool { return !s.Changes })
		slices.Reverse(undone)
		begun := h.dieAround(undone, []run.Point{run.AfterUndo}, func() api.RunView { return h.restore(backup) })
		h.wantOutcome(h.await(begun.ID), plan.RolledBack, "the customer can't buy")
		h.tell("fail-journey", "v1", "")
		h.wantLive(live, "v1")
		h.wantData(true)
	})
	h.part(t, "forth", func() {
		begun := h.dieAround(steps, []run.Point{run.AfterDo}, func() api.RunView { return h.restore(backup) })
		h.wantOutcome(h.await(begun.ID), plan.Succeeded)
		h.wantLive(live, "v1")
		h.wantData(false)
	})
}
