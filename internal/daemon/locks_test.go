package daemon

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// TestMigrationBehindAnIdleTransaction has somebody's forgotten transaction in front of a schema change (FAULTS.md, fact 7).
// The migration lets everybody else pass, names who is in its way, and goes through once he has gone: no customer notices.
func TestMigrationBehindAnIdleTransaction(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	h.live(withPostgres())
	customers := h.customersOf(h.status().Address)
	h.behindIdle(h.build(withPostgres().as("v2", "ALTER TABLE entries ADD COLUMN IF NOT EXISTS note text")))
	customers.wantFlawless(t, customers.cut())
}

// behindIdle promotes a release while somebody's forgotten transaction is in the way of its migration.
func (h *house) behindIdle(next release.Digest) {
	h.Helper()
	idle := h.connect()
	_, err := idle.Exec(h.ctx(), "SET application_name = 'a forgotten console'")
	must(h, err)
	tx, err := idle.Begin(h.ctx())
	must(h, err)
	_, err = tx.Exec(h.ctx(), "SELECT count(*) FROM entries")
	must(h, err)
	named := false
	done := h.follow(h.begin(next).ID, func(e api.Event) bool {
		if !named && strings.Contains(e.Text, "tried again") {
			named = true
			if !strings.Contains(e.Text, "a forgotten console") || !strings.Contains(e.Text, "idle in transaction") {
				h.Errorf("who is in its way is told as %q", e.Text)
			}
			must(h, tx.Rollback(h.ctx()))
		}
		return true
	})
	h.wantOutcome(done, plan.Succeeded)
	if !named {
		h.Error("the migration never waited")
	}
	h.wantSound(next)
}

// TestMigrationEndsWhoIsInItsWay where the definition says so: it is told and recorded who was ended, without what he asked for.
func TestMigrationEndsWhoIsInItsWay(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	ending := func(s sources) sources { return s.saying("dir: migrations", "dir: migrations, blockers: end") }
	first := ending(inFolder())
	h.live(first)
	idle := h.connect()
	for _, s := range []string{"SET application_name = 'a forgotten console'", "BEGIN", "SELECT count(*) FROM entries WHERE id = 'secret-4711'"} {
		_, err := idle.Exec(h.ctx(), s)
		must(h, err)
	}
	next := h.build(ending(inFolder().with("v2", "00002_note.sql", "-- +goose Up\nALTER TABLE entries ADD COLUMN note text;\n")))
	var told []string
	done := h.follow(h.begin(next).ID, func(e api.Event) bool {
		told = append(told, e.Text)
		return true
	})
	h.wantOutcome(done, plan.Succeeded)
	if err := idle.Ping(h.ctx()); err == nil {
		t.Error("who was in the way is still there")
	}
	recorded := h.recordedOfSessions(done.ID)
	if len(recorded) != 2 || recorded[0].Action != "session to be ended" || recorded[1].Action != "session ended" {
		t.Fatalf("recorded is %+v", recorded)
	}
	for _, e := range recorded {
		if !strings.Contains(e.Text, "a forgotten console") || !strings.Contains(e.Text, "entries") || strings.Contains(e.Text, "4711") {
			t.Errorf("recorded is %q", e.Text)
		}
	}
	all := strings.Join(told, "\n")
	if !strings.Contains(all, "ends a session in its way") || !strings.Contains(all, "a forgotten console") {
		t.Errorf("told was %s", all)
	}
	if strings.Contains(all, "4711") {
		t.Error("what the session had asked for is told")
	}
}

// recordedOfSessions is what the log says of sessions that a run was to end, the oldest first.
func (h *house) recordedOfSessions(run string) (all []api.HistoryEntry) {
	for _, e := range slices.Backward(h.history()) {
		if e.Run == run && strings.HasPrefix(e.Action, "session ") {
			all = append(all, e)
		}
	}
	return all
}

// TestEndingIsLost: Greenroom dies after it has recorded that it ends a session and before it knows what came of that. Nothing is
// told as done that nobody saw.
func TestEndingIsLost(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	ending := func(s sources) sources { return s.saying("dir: migrations", "dir: migrations, blockers: end") }
	h.live(ending(inFolder()))
	idle := h.connect()
	for _, s := range []string{"SET application_name = 'a forgotten console'", "BEGIN", "SELECT count(*) FROM entries"} {
		_, err := idle.Exec(h.ctx(), s)
		must(h, err)
	}
	backend := int(idle.PgConn().PID())
	must(h, syscall.Kill(backend, syscall.SIGSTOP)) // so that it can't end
	t.Cleanup(func() { _ = syscall.Kill(backend, syscall.SIGCONT) })
	next := h.build(ending(inFolder().with("v2", "00002_note.sql", "-- +goose Up\nALTER TABLE entries ADD COLUMN note text;\n")))
	run := h.begin(next)
	h.eventually("the ending is recorded", func() string {
		if len(h.recordedOfSessions(run.ID)) == 0 {
			return "nothing is"
		}
		return ""
	})
	h.killDaemon()
	must(h, syscall.Kill(backend, syscall.SIGCONT))
	h.start()
	h.wantOutcome(h.await(run.ID), plan.Succeeded)
	recorded := h.recordedOfSessions(run.ID)
	if len(recorded) < 2 || recorded[0].Action != "session to be ended" || recorded[1].Action != "session perhaps ended" ||
		!strings.Contains(recorded[1].Text, "Greenroom died") || !strings.Contains(recorded[1].Text, "a forgotten console") {
		t.Errorf("recorded is %+v", recorded)
	}
	if len(recorded)%2 != 0 {
		t.Errorf("of some it is not said what came of them: %+v", recorded)
	}
	h.wantSound(next)
}

// wantDatabase fails the test when production's database stands otherwise.
func (h *house) wantDatabase(state api.DatabaseState, says string) {
	h.Helper()
	d, err := h.client.Database(h.ctx(), appUnderTest, "production")
	must(h, err)
	if d.State != state || !strings.Contains(d.Says, says) {
		h.Errorf("the database is %s: %s; want %s, %s", d.State, d.Says, state, says)
	}
}
