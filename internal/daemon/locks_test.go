package daemon

import (
	"strings"
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

// wantDatabase fails the test when production's database stands otherwise.
func (h *house) wantDatabase(state api.DatabaseState, says string) {
	h.Helper()
	d, err := h.client.Database(h.ctx(), appUnderTest, "production")
	must(h, err)
	if d.State != state || !strings.Contains(d.Says, says) {
		h.Errorf("the database is %s: %s; want %s, %s", d.State, d.Says, state, says)
	}
}
