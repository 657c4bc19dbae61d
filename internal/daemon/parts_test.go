package daemon

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/driver"
	"greenroom/internal/plan"
	"greenroom/internal/proc"
)

// TestPartsKilled kills everything that carries the traffic, one part after the other. Requests may fail in that instant,
// but what was acknowledged stays, and within one reconciliation all is as it was.
func TestPartsKilled(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	live := h.live(withPostgres())
	address := h.status().Address
	customers := h.customersOf(address)
	web, db := h.replica("web"), h.replica("db")
	for _, part := range []struct {
		name string
		pid  func() int
	}{
		{"replica", func() int { return h.replica("web").PID }},
		{"supervisor", func() int { return h.processWith("supervise", filepath.Join(string(h.home.Replicas()), web.ID)) }},
		{"edge", func() int { return h.processWith(string(h.home), "edge") }},
		{"database server", func() int { return h.replica("db").PID }},
		{"database server's supervisor", func() int { return h.processWith("supervise", filepath.Join(string(h.home.Replicas()), db.ID)) }},
		{"control plane and edge at once", func() int {
			h.killDaemon()
			return h.processWith(string(h.home), "edge")
		}},
	} {
		h.part(t, part.name, func() {
			pid := part.pid()
			id, err := proc.Identify(pid)
			must(h, err)
			must(h, id.Signal(syscall.SIGKILL))
			h.eventually("it is gone", func() string {
				if id.Alive() {
					return fmt.Sprintf("process %d lives", pid)
				}
				return ""
			})
			if h.process == nil {
				h.start()
			}
			h.eventually("the app answers", func() string { return wrongAnswer(address, "v1") })
			h.wantSound(live)
			customers.wantRecorded(h, customers.cut())
			customers.wantAnswered(h, 20)
		})
	}
}

// part runs f as a part of the test.
func (h *house) part(t *testing.T, name string, f func()) {
	t.Helper()
	t.Run(name, func(part *testing.T) {
		h.TB = part
		f()
	})
	h.TB = t
	if t.Failed() {
		t.FailNow() // what comes next would only tell of the same
	}
}

// replica is the first of a service.
func (h *house) replica(service string) driver.Status {
	h.Helper()
	for _, s := range h.replicas() {
		if s.Service == service && s.Environment == "production" {
			return s
		}
	}
	h.Fatalf("no %s runs", service)
	return driver.Status{}
}

// processWith is the process of this house whose command line has all of these words.
func (h *house) processWith(words ...string) int {
	h.Helper()
	for _, p := range h.processes() {
		command, all := commandOf(p.PID), true
		for _, w := range words {
			all = all && strings.Contains(command, "\x00"+w+"\x00")
		}
		if all {
			return p.PID
		}
	}
	h.Fatalf("no process is called with %v", words)
	return 0
}

// wrongAnswer says what is wrong when the app is asked, nothing when this version answers.
func wrongAnswer(address, version string) string {
	body, err := readAll(http.Get(address))
	switch {
	case err != nil:
		return err.Error()
	case body != version:
		return body + " answers, not " + version
	}
	return ""
}

// TestKilledWhileMigrating kills the control plane while the migration waits for a lock, in a session that would commit
// long after. The next control plane ends the migrator and its session before it begins anew.
func TestKilledWhileMigrating(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	// It is not ended for having waited, so that the one that is seen to wait is there to be looked at.
	s := withPostgres().saying("timeout: 1m}", "timeout: 10m, lock_timeout: 5m, budget: {blocked_reads: 5m, blocked_writes: 5m}}")
	h.live(s)
	next := h.build(s.as("v2", "ALTER TABLE entries ADD COLUMN IF NOT EXISTS note text"))

	ctx := h.ctx()
	db, reader := h.connect(), h.connect()
	_, err := reader.Exec(ctx, "BEGIN; SELECT count(*) FROM entries") // and goes away for coffee
	must(t, err)

	run := h.begin(next)
	waiting := func(not int) (backend int) {
		h.eventually("the migration waits", func() string {
			backend = 0
			err := db.QueryRow(ctx, `SELECT coalesce(max(pid), 0) FROM pg_stat_activity
				WHERE application_name = $1 AND wait_event_type = 'Lock' AND pid <> $2`, "greenroom-"+run.ID, not).Scan(&backend)
			must(h, err)
			if backend == 0 {
				return "it does not"
			}
			return ""
		})
		return backend
	}
	first := waiting(0)
	migrator := h.processWith("migrate")
	h.killDaemon()
	if _, err := proc.Identify(migrator); err != nil {
		t.Fatalf("the migrator did not outlive the control plane, so nothing is tested: %v", err)
	}
	h.start()
	second := waiting(first)
	if again := h.processWith("migrate"); again == migrator {
		t.Error("the first migrator lives")
	}
	var left int
	must(t, db.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", first).Scan(&left))
	if left > 0 || first == second {
		t.Errorf("the first migrator's session %d lives beside the second's, %d", first, second)
	}
	_, err = reader.Exec(ctx, "ROLLBACK")
	must(t, err)
	h.wantOutcome(h.await(run.ID), plan.Succeeded)
	h.wantSound(next)
}

// TestCrashLoop has the control plane die at the same step whenever it begins it. It does not do so for ever.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	live := h.live(withPostgres())
	customers := h.customersOf(h.status().Address)
	h.dieAt("after do/start")
	run := h.begin(h.build(withPostgres().as("v2", "")))
	for range plan.Attempts - 1 {
		h.awaitDeath()
		h.dieAt("after do/start")
		h.launch() // it may die before it answers
	}
	h.awaitDeath()
	h.start()
	h.wantOutcome(h.await(run.ID), plan.RolledBack, "was interrupted 5 times")
	h.wantSound(live)
	customers.wantFlawless(t, customers.cut())
}

// connect is a session in production's database.
func (h *house) connect() *pgx.Conn {
	h.Helper()
	conn, err := pgx.Connect(h.ctx(), h.databaseURL())
	must(h, err)
	h.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone
	return conn
}
