package daemon

import (
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
)

// TestMigrationBehindAnIdleTransaction has somebody's forgotten transaction in front of a schema change (FAULTS.md, fact 7).
// The migration lets everybody else pass, names who is in its way, and goes through once he has gone: no customer notices.
func TestMigrationBehindAnIdleTransaction(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	h.live(withPostgres())
	customers := h.customersOf(h.status().Address)

	idle := h.connect()
	_, err := idle.Exec(h.ctx(), "SET application_name = 'a forgotten console'")
	must(t, err)
	tx, err := idle.Begin(h.ctx())
	must(t, err)
	_, err = tx.Exec(h.ctx(), "SELECT count(*) FROM entries")
	must(t, err)

	next := h.build(withPostgres().as("v2", "ALTER TABLE entries ADD COLUMN IF NOT EXISTS note text"))
	run := h.begin(next)
	named := false
	done := h.follow(run.ID, func(e api.Event) bool {
		if !named && strings.Contains(e.Text, "tried again") {
			named = true
			if !strings.Contains(e.Text, "a forgotten console") || !strings.Contains(e.Text, "idle in transaction") {
				t.Errorf("who is in its way is told as %q", e.Text)
			}
			must(t, tx.Rollback(h.ctx()))
		}
		return true
	})
	h.wantOutcome(done, plan.Succeeded)
	if !named {
		t.Error("the migration never waited")
	}
	customers.wantFlawless(t, customers.cut())
	h.wantSound(next)
}
