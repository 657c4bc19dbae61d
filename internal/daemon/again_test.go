package daemon

import (
	"testing"

	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
)

// TestRevokedMeanwhile revokes the key that a promotion leans on while it migrates. Nobody is sent to the new release, what was
// done is taken back, and the release is not remembered as bad: rehearsed again it goes through.
func TestRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := demanding().saying("timeout: 1m", "timeout: 1m, "+patient)
	h.up(s)
	first := h.rehearsed(s)
	h.wantOutcome(h.promote(first), plan.Succeeded)
	second := h.rehearsed(s.as("v2", "SELECT pg_sleep(3);\nCREATE TABLE IF NOT EXISTS notes (note text);\n"))
	old, err := evidence.ParsePublic(h.ownKey())
	must(h, err)
	_, err = h.client.RotateKey(h.ctx(), "a test")
	must(h, err)

	run := h.begin(second)
	h.awaitStep(run.ID, "migrate")
	_, err = h.client.RevokeKey(h.ctx(), evidence.IDOf(old), "it was found in a car")
	must(h, err)
	ended := h.wantOutcome(h.await(run.ID), plan.RolledBack, "still counts", "does not take", "revoked")
	for _, e := range ended.Journal {
		if e.Step == "share-50" {
			h.Error("people were sent to a release that is not let in")
		}
	}
	h.wantSound(first)
	for _, m := range h.explain(second).Demands {
		if m.Name == "not known to be bad" && m.Answer != gate.Yes {
			h.Errorf("it is remembered as bad: %s", m.Reason)
		}
	}
	h.decided(second)
	h.wantOutcome(h.promote(second), plan.Succeeded)
	h.wantLogWhole()
}
