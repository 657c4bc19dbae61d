package daemon

import (
	"fmt"
	"testing"

	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// TestRoom builds more releases than are kept. After a run has ended those that nothing names are gone, which is told with the way
// to get one back, and that works; the way back to what was live is there.
func TestRoom(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := withPostgres()
	first := h.live(s)
	never := h.build(s.as("never", ""))
	bundle := h.bundle(never)
	var newest release.Digest
	for i := range 20 {
		newest = h.build(s.as(fmt.Sprint("n", i), ""))
	}
	h.wantOutcome(h.promote(newest), plan.Succeeded)
	gone := func(what string) {
		h.eventually(what, func() string {
			_, err := h.client.Plan(h.ctx(), toProduction(never))
			if err == nil {
				return "it can still be promoted"
			}
			wantProblem(h, err, problem.NotFound, "the files of "+never.Short()+" are not kept any more", "greenroom release import FILE")
			return ""
		})
	}
	gone("a release that nothing names")
	_, err := h.client.Start(h.ctx(), toProduction(never))
	wantProblem(h, err, problem.NotFound, never.Short())
	_, err = h.client.Bundle(h.ctx(), appUnderTest, string(never))
	wantProblem(h, err, problem.NotFound, never.Short())

	taken, err := h.takeBundle(bundle)
	must(h, err)
	if !taken.Known {
		h.Error("what was known of it is gone")
	}
	back := h.ask(toProduction(first)) // whose end sweeps again
	h.wantOutcome(h.await(back.ID), plan.Succeeded)
	h.end()
	h.start() // and so does a start
	must(h, h.upAgain())
	h.wantOutcome(h.promote(never), plan.Succeeded)
	h.wantSound(never)
}
