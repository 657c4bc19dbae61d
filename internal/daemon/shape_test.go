package daemon

import (
	"testing"

	"greenroom/internal/problem"
)

// TestShapeNeedsADatabaseThatRuns: what is not there is named, and a question starts no server.
func TestShapeNeedsADatabaseThatRuns(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	_, err := h.client.Shape(h.ctx(), "nothing", "")
	wantProblem(t, err, problem.NotFound, "nothing")
	h.up(withPostgres())
	_, err = h.client.Shape(h.ctx(), appUnderTest, "nowhere")
	wantProblem(t, err, problem.NotFound, "nowhere")
	_, err = h.client.Shape(h.ctx(), appUnderTest, "")
	wantProblem(t, err, problem.Unavailable, "nothing is live in production", "greenroom promote latest production")
	h.live(withPostgres())
	h.down()
	_, err = h.client.Shape(h.ctx(), appUnderTest, "")
	wantProblem(t, err, problem.Unavailable, "production of app does not run", "greenroom up production")
	for _, s := range h.replicas() {
		if s.Service == "db" && s.PID != 0 {
			t.Errorf("the question started %+v", s)
		}
	}
}
