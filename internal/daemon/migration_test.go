package daemon

import (
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// rehearsed is the app whose gate asks for a rehearsal.
func rehearsed() sources { return withPostgres().saying(exceptAll, "") }

// patient is a budget that is kept on a machine that has too much to do to look all the time.
const patient = "lock_timeout: 500ms, budget: {blocked_reads: 5s, blocked_writes: 5s}"

// decided rehearses a release to the end. Where the machine was too busy to look at the migration it is rehearsed again, as
// people would.
func (h *house) decided(r release.Digest) api.RunView {
	h.Helper()
	run := h.wantOutcome(h.await(h.rehearse(r).ID), plan.Succeeded)
	for again := 0; run.Verdict == evidence.Inconclusive && again < 3; again++ {
		h.Logf("%s could not decide", run.ID)
		run = h.wantOutcome(h.await(h.rehearse(r).ID), plan.Succeeded)
	}
	return run
}

// wantRehearsed rehearses a release, which passes.
func (h *house) wantRehearsed(r release.Digest) {
	h.Helper()
	run := h.decided(r)
	if run.Verdict != evidence.Pass {
		report, err := h.client.Report(h.ctx(), appUnderTest, run.ID)
		h.Fatalf("the verdict is %s: %+v, %v", run.Verdict, report.Results, err)
	}
}

// rehearsedLive makes the first release live, by the book.
func (h *house) rehearsedLive(s sources) release.Digest {
	h.Helper()
	h.up(s.saying("timeout: 1m}", "timeout: 1m, "+patient+"}"))
	r := h.build(s)
	h.wantRehearsed(r)
	h.wantOutcome(h.promote(r), plan.Succeeded)
	return r
}

// TestMigrationsThatLie has migrations whose exit codes say one thing in the rehearsal's schema and another in
// production's.
func TestMigrationsThatLie(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	live := h.rehearsedLive(rehearsed())

	h.part(t, "unrehearsed", func() {
		_, err := h.client.Start(h.ctx(), toProduction(h.build(rehearsed().as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))))
		wantProblem(h, err, problem.Blocked, "there is no evidence about it", "greenroom explain")
	})
	h.part(t, "exit code 0 and nothing done", func() {
		next := h.build(rehearsed().as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
		h.wantRehearsed(next)
		h.tell("lazy", "v2", "production")
		h.wantOutcome(h.promote(next), plan.RolledBack, "the migration says that it worked, but the schema", "is not the one that it made in the rehearsal")
		h.wantSound(live)
	})
	h.part(t, "exit code 2 and all done", func() {
		next := h.build(rehearsed().as("v3", "CREATE TABLE IF NOT EXISTS notes (note text)"))
		h.wantRehearsed(next)
		h.tell("migrate-exit", "v3", "2")
		h.wantOutcome(h.promote(next), plan.NeedsOperator, "half-migrated", "exit code 2")
		if _, state := h.recordedSchema(); state != "half-migrated" {
			h.Errorf("the schema is recorded as %s", state)
		}
		h.eventually("the old release answers", func() string { return wrongAnswer(h.status().Address, "v1") })
		// The schema is the one that its rehearsal made: whoever looks again finds it whole, and can go on.
		h.tell("migrate-exit", "v3", "")
		h.wantOutcome(h.promote(next), plan.Succeeded)
		h.wantSound(next)
	})
}

// TestForwardAfterGoingBack goes back from a release that changed the schema. The schema stays, further than what the live
// release's own migrations make, and the repaired release can be rehearsed and promoted on it all the same.
func TestForwardAfterGoingBack(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	live := h.rehearsedLive(rehearsed())
	worse := h.build(rehearsed().as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
	h.wantRehearsed(worse)
	h.wantOutcome(h.promote(worse), plan.Succeeded)
	run, err := h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: "production", Because: "the notes are lost"})
	must(t, err)
	h.wantOutcome(h.await(run.ID), plan.Succeeded)
	h.wantSound(live)

	for _, version := range []string{"v3", "v4"} { // without the change; the second time the live release found the schema as it is
		next := h.build(rehearsed().as(version, ""))
		h.wantRehearsed(next)
		h.wantOutcome(h.promote(next), plan.Succeeded)
		h.wantSound(next)
	}
}

// TestFailedMigrationShowsNoRow has a migration that fails on what production has, so that the server shows the row and the
// migrator prints it: it is told what failed, and the row stands nowhere outside production.
func TestFailedMigrationShowsNoRow(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	h.live(withPostgres())
	_, err := h.connect().Exec(h.ctx(), "INSERT INTO entries (id, release) VALUES ('no number', $1)", planted(1))
	must(t, err)
	run := h.wantOutcome(h.promote(h.build(withPostgres().as("v2", "SELECT release::integer FROM entries WHERE id = 'no number'"))), plan.RolledBack, "invalid input syntax")
	if strings.Contains(run.Reason, planted(1)) {
		t.Errorf("a row is shown: %s", run.Reason)
	}
	h.wantNothingLeakedBut(filepath.Join(string(h.home), "replicas", "app.production.db.server")) // what production's server says itself
}

// TestHalfMigrated has a migration that changes a part and fails, without a transaction: neither release is known to run
// on what it left. Nothing is promoted on it until a person has repaired it.
func TestHalfMigrated(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	live := h.live(withPostgres())
	half := withPostgres().as("v2", "CREATE TABLE half (note text);\nSELECT 1/0;\nCREATE TABLE whole (note text)")
	half.migrate = "-- apart\n" + half.migrate
	customers := h.customersOf(h.status().Address)

	run := h.wantOutcome(h.promote(h.build(half)), plan.NeedsOperator, "half-migrated", "division by zero")
	if !strings.Contains(run.Hint, "backup") || !strings.Contains(run.Hint, string(h.home)) {
		t.Errorf("what to do is %q", run.Hint)
	}
	if _, state := h.recordedSchema(); state != "half-migrated" {
		t.Errorf("the schema is recorded as %s", state)
	}
	err := h.client.RemoveCopy(h.ctx(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopyBackup, ID: run.ID})
	wantProblem(t, err, problem.Blocked, "half-migrated", "greenroom db status")
	if s := h.status(); s.Schema != "half-migrated" || s.Live.Digest != live {
		t.Errorf("told is %s, live is %s", s.Schema, s.Live.Digest.Short())
	}
	good := h.build(withPostgres().as("v3", ""))
	_, err = h.client.Start(h.ctx(), toProduction(good))
	wantProblem(t, err, problem.Blocked, "a migration of production began and did not end")
	customers.wantFlawless(t, customers.cut()) // this old release can live on it

	db := h.connect()
	_, err = db.Exec(h.ctx(), "DROP TABLE half")
	must(t, err)
	h.wantOutcome(h.promote(good), plan.Succeeded)
	h.wantSound(good)
	h.eventually("no port is kept for the release that could not be taken back", func() string { return h.wrongPorts(good) })
	customers.wantFlawless(t, customers.cut())
}
