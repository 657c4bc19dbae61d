package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// addsSince is a release on a copy that adds a column, which is safe.
func (h *house) addsSince(version string) release.Digest {
	h.Helper()
	return h.build(onCopy().as(version, "ALTER TABLE customers ADD COLUMN IF NOT EXISTS since date"))
}

// patiently is the app with a budget that is kept however little time the machine has.
func patiently(s sources) sources {
	return s.saying("budget: {blocked_reads: 1s, blocked_writes: 1s}", patient)
}

// TestRehearsalOnACopyKilled kills the control plane around every step of a rehearsal on a masked copy, and in the midst of
// the long ones. It finds what it finds undisturbed, and nothing is left of it.
func TestRehearsalOnACopyKilled(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	h := newHouse(t)
	live := h.onACopy(patiently(onCopy()))
	next := h.addsSince("v2")
	report, _ := h.found(next)
	if report.Verdict != evidence.Pass {
		t.Fatalf("undisturbed it ends %s: %+v", report.Verdict, report.Results)
	}
	want := findings(report)
	same := func(id string) {
		h.wantOutcome(h.await(id), plan.Succeeded)
		report, err := h.client.Report(h.ctx(), appUnderTest, id)
		must(h, err)
		if got := findings(report); !maps.Equal(got, want) {
			h.Errorf("undisturbed it finds\n%v\nand now\n%v\n%+v", want, got, report.Results)
		}
		h.wantSound(live)
		h.wantNoStage(3)
	}
	h.part(t, "after every step", func() { // which is before the next one, too
		dry, err := h.client.Plan(h.ctx(), api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(next)})
		must(h, err)
		begun := h.dieAround(dry.Plan.Steps, []run.Point{run.AfterDo}, func() api.RunView { return h.rehearse(next) })
		same(begun.ID)
	})
	h.part(t, "in the midst", func() {
		begun := h.rehearse(next)
		for _, text := range []string{"a masked copy of production", "loading it", "a pristine copy beside it", "a fresh copy of the data", "counting the data"} {
			h.awaitText(begun.ID, text)
			h.killDaemon()
			h.start()
		}
		same(begun.ID)
	})
}

// awaitText returns when the run has told of something, and fails the test when it ends before.
func (h *house) awaitText(id, text string) {
	h.Helper()
	told := false
	run := h.follow(id, func(e api.Event) bool {
		told = told || strings.Contains(e.Text, text)
		return !told
	})
	if !told {
		h.Fatalf("the run ended and never told of %q: %s, %s", text, run.Outcome, run.Reason)
	}
}

// findings are what a rehearsal has to find however often it was interrupted.
func findings(r evidence.Report) map[string]string {
	all := map[string]string{"all": string(r.Verdict), "isolated": fmt.Sprint(r.Isolation != nil && r.Isolation.Isolated)}
	for _, result := range r.Results {
		all[result.Check] = string(result.Verdict)
		if m := result.Migration; m != nil {
			all[result.Check] += fmt.Sprintf(", lost %v, changed %v, back %+v", m.Lost, m.Changed, m.Back)
		}
	}
	return all
}

// wantNoStage fails the test when anything is left of a stage, or of a snapshot that was not taken to its end, or when
// there are more snapshots than are kept.
func (h *house) wantNoStage(keep int) {
	h.Helper()
	h.wantNoNetwork()
	if _, err := os.Stat(h.home.Environment(appUnderTest, app.StageName)); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("the stage's folder: %v", err)
	}
	if left, err := os.ReadDir(h.home.Runs()); err != nil || len(left) > 0 {
		h.Errorf("left of the checks: %v, %v", left, err)
	}
	h.eventually("no process is left", func() string { return h.wrongProcesses(h.replicas()) })
	db := h.store()
	defer db.Close()
	var ports int
	must(h, db.QueryRow("SELECT count(*) FROM numbers WHERE key LIKE 'replica:app.rehearsal.%' OR key LIKE 'route:app/rehearsal/%'").Scan(&ports))
	if ports > 0 {
		h.Errorf("%d ports are kept for it", ports)
	}
	views, err := h.client.Copies(h.ctx(), appUnderTest, "production", api.CopySnapshot)
	must(h, err)
	known := map[string]bool{}
	for _, v := range views {
		known[v.ID], known[v.ID+".verified.json"] = true, true
	}
	if len(views) > keep {
		h.Errorf("%d snapshots are kept, not %d", len(views), keep)
	}
	entries, err := os.ReadDir(filepath.Join(h.home.Environment(appUnderTest, "production"), "snapshots"))
	must(h, err)
	for _, e := range entries {
		if !known[e.Name()] {
			h.Errorf("%s lies among the snapshots and is none", e.Name())
		}
	}
}

// TestRehearsalOnACopyCancelled cancels rehearsals while the snapshot is taken, while it is loaded, and while the migration
// runs. The stage is gone then, and production has nothing of it any more, not even a session; its customers notice nothing.
func TestRehearsalOnACopyCancelled(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	h := newHouse(t)
	live := h.onACopy(patiently(onCopy()))
	customers := h.customersOf(h.status().Address)
	looking := h.connect()
	cancelled := func(id string) {
		must(h, h.client.Cancel(h.ctx(), id))
		if run := h.await(id); !run.Cancelled || run.Outcome == plan.Succeeded || run.Outcome == plan.NeedsOperator {
			h.Errorf("%s: %s, cancelled %v", run.Outcome, run.Reason, run.Cancelled)
		}
		if n := h.copying(looking); n > 0 {
			h.Errorf("%d sessions of it are in production still", n)
		}
		customers.wantFlawless(h, customers.cut())
		h.wantNoStage(3)
	}
	next := h.addsSince("v2")
	h.part(t, "while the snapshot is taken", func() {
		tx, err := h.connect().Begin(h.ctx())
		must(h, err)
		begun := h.rehearse(next)
		h.awaitStep(begun.ID, "stage")
		_, err = tx.Exec(h.ctx(), "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE") // which the snapshot has to wait for
		must(h, err)
		h.eventually("the snapshot waits", func() string {
			if h.copying(looking) == 0 {
				return "it does not"
			}
			return ""
		})
		cancelled(begun.ID)
		must(h, tx.Rollback(h.ctx()))
	})
	h.part(t, "while it is loaded", func() {
		begun := h.rehearse(next)
		h.awaitText(begun.ID, "loading it")
		cancelled(begun.ID)
	})
	h.part(t, "while the migration runs", func() {
		begun := h.rehearse(h.build(onCopy().as("v3", "SELECT pg_sleep(50)")))
		h.awaitText(begun.ID, "pg_sleep")
		cancelled(begun.ID)
	})
	h.wantSound(live)
}

// copying is how many sessions in production wait for the table of customers, or have a snapshot of it open.
func (h *house) copying(looking *pgx.Conn) (n int) {
	h.Helper()
	must(h, looking.QueryRow(h.ctx(), `SELECT count(DISTINCT pid) FROM pg_locks
		WHERE relation = 'customers'::regclass::oid AND mode = 'AccessShareLock' AND pid <> pg_backend_pid()`).Scan(&n))
	return n
}
