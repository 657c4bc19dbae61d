package daemon

import (
	"fmt"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
)

// TestNoWayBack has a production whose schema can't be known to carry the release of before, and then one that is
// half-migrated. Nothing is done about either, and the ways out are told with what they lose.
func TestNoWayBack(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	first := h.live(withPostgres())
	second := h.build(withPostgres().as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
	promoted := h.wantOutcome(h.promote(second), plan.Succeeded)
	_, err := h.connect().Exec(h.ctx(), "INSERT INTO notes SELECT n::text FROM generate_series(1, 7) AS n")
	must(t, err)

	h.part(t, "with a backup", func() {
		h.eventually("the rows are counted", func() string { // the server's numbers lag behind
			if err := h.noWayBack(); !strings.Contains(problem.From(err).Hint, "notes: 7 inserted") {
				return problem.From(err).Hint
			}
			return ""
		})
		wantProblem(h, h.noWayBack(), problem.Blocked, "production can't go back: "+first.Short()+": the schema changed since it was live",
			"go forward: greenroom build", fmt.Sprintf("greenroom backup restore %s --environment production, which brings %s back and loses everything written since",
				promoted.ID, first.Short()), "(less than a minute)", "entries: ", "0 updated, 0 deleted")
		code, out := h.greenroom("rollback", "production", "--app", appUnderTest, "--because", "a test")
		if want := problem.ExitCode(problem.New(problem.Blocked, "")); code != want || !strings.Contains(out, "backup restore "+promoted.ID) {
			h.Errorf("rollback ends with %d, not %d:\n%s", code, want, out)
		}
	})
	h.part(t, "with one that a restore would refuse", func() {
		h.edit(fmt.Sprintf("INSERT INTO known_bad (app, release, reason, at) VALUES ('%s', '%s', 'it was slow', 1)", appUnderTest, first))
		wantProblem(h, h.noWayBack(), problem.Blocked, first.Short()+": it is known to be bad: it was slow", "there is no backup from before it of a release that is not")
		h.edit("DELETE FROM known_bad")
	})
	h.part(t, "without one", func() {
		backups, err := h.client.Copies(h.ctx(), appUnderTest, "production", api.CopyBackup)
		must(h, err)
		for _, b := range backups {
			must(h, h.client.RemoveCopy(h.ctx(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopyBackup, ID: b.ID}))
		}
		wantProblem(h, h.noWayBack(), problem.Blocked, "production can't go back", "go forward", "there is no backup from before it")
	})
	h.wantSound(second)
	h.part(t, "half-migrated", func() {
		half := withPostgres().as("v3", "CREATE TABLE half (note text);\nSELECT 1/0;\nCREATE TABLE whole (note text)")
		half.migrate = "-- apart\n" + half.migrate
		run := h.wantOutcome(h.promote(h.build(half)), plan.NeedsOperator, "half-migrated")
		told := func() {
			code, out := h.greenroom("db", "status", "--app", appUnderTest)
			for _, want := range []string{"half-migrated", "table public.half", "finish what it began, or take it back, by hand",
				"greenroom backup restore " + run.ID + " --environment production"} {
				if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
					h.Errorf("db status says nothing of %q:\n%s", want, out)
				}
			}
			if code != problem.ExitCode(problem.New(problem.Fail, "")) {
				h.Errorf("its exit code is %d", code)
			}
		}
		told()
		wantProblem(h, h.noWayBack(), problem.Blocked, "the schema is half-migrated")

		h.failCandidate("v2")
		h.wantOutcome(h.await(h.restore(run.ID).ID), plan.RolledBack, "the customer can't buy")
		h.tell("fail-journey", "v2", "")
		if _, state := h.recordedSchema(); state != "half-migrated" {
			h.Errorf("a restore failed, and the schema is recorded as %s", state)
		}
		told()
		h.wantOutcome(h.await(h.restore(run.ID).ID), plan.Succeeded)
		h.wantSound(second)
	})
}

// noWayBack is what a rollback is refused with.
func (h *house) noWayBack() error {
	h.Helper()
	_, err := h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: "production", Because: "a test"})
	if err == nil {
		h.Fatal("production goes back")
	}
	return err
}
