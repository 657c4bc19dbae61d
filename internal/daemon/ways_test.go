package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// The other ways in which a release comes to production: with downtime, with requests that wait, and with migrations that
// the service makes itself.

// TestDowntime promotes a release on whose schema the old one can't live.
func TestDowntime(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := rehearsed().saying("drain: 30s}", "drain: 30s, downtime: accept}")
	s.definition += "gates: {production: {except: {old-on-new: {because: downtime is accepted, until: 2099-12-31}}}}\n"
	live := h.rehearsedLive(s)
	renamed := func(version string) release.Digest {
		next := s.as(version, "ALTER TABLE entries RENAME TO records")
		next.migrate = "ALTER TABLE entries RENAME TO records" // the tables are there
		next.table = "records"
		return h.build(next)
	}
	address := h.status().Address
	customers := h.customersOf(address)

	h.part(t, "taken back", func() {
		next := renamed("v2")
		h.decided(next)
		steps := h.steps(next, func(plan.Step) bool { return true })
		for _, want := range []string{"maintenance", "stop-old", "open"} {
			if !slices.ContainsFunc(steps, func(s plan.Step) bool { return s.Name == want }) {
				h.Fatalf("the plan is %v, without %s", steps, want)
			}
		}
		h.dieAt("after do/start")
		h.tell("sick", "v2", "") // healthy, and its journey fails before the page is taken away
		h.failCandidate("v2")
		run := h.begin(next)
		h.awaitDeath()
		h.start()
		h.wantOutcome(h.await(run.ID), plan.RolledBack, "the customer can't buy")
		h.wantSound(live)
		seen := customers.cut()
		if customers.wantOnlyTheMaintenancePage(h, seen); len(seen.failed) == 0 { // it was there while the control plane was dead
			h.Error("nobody saw the page")
		}
		h.eventually("the old release answers", func() string { return wrongAnswer(address, "v1") })
	})
	h.part(t, "done", func() {
		next := renamed("v3")
		h.decided(next)
		h.wantOutcome(h.promote(next), plan.Succeeded)
		h.wantSound(next)
		customers.wantOnlyTheMaintenancePage(h, customers.cut())
		customers.wantAnswered(h, 20)
	})
	h.part(t, "no way back", func() {
		_, err := h.client.Plan(h.ctx(), api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: "production"})
		wantProblem(h, err, "blocked", "production can't go back", live.Short())
	})
}

// failCandidate has the journey of a version fail at whatever address.
func (h *house) failCandidate(version string) {
	h.Helper()
	h.tell("fail-journey", version, "everywhere")
}

// wantOnlyTheMaintenancePage fails the test when a request failed in another way than by the page, or when a write that
// was acknowledged is lost.
func (c *customers) wantOnlyTheMaintenancePage(h *house, b *batch) {
	h.Helper()
	for _, f := range b.failed {
		if !strings.Contains(f, "503") || !strings.Contains(f, "We are updating app") {
			h.Fatalf("a request failed otherwise: %s", f)
		}
	}
	c.wantRecorded(h, b)
}

const composeWithSQLite = `services:
  web:
    build: .
    ports: ["8080:8080"]
    environment: {CONTROL: CONTROL_FOLDER, MIGRATE: start}
    stop_grace_period: 3s
    x-greenroom: {files: [bin/app, VERSION, TABLE, migrate.sql], run: bin/app serve, sqlite: app.db}
`

// withSQLite is the app with a database in a file, which it migrates as it starts.
func withSQLite() sources {
	s := withPostgres().saying("{run: bin/app migrate, timeout: 1m}", "{at: start, timeout: 1m}")
	s.compose = composeWithSQLite
	return s
}

// TestRequestsWait promotes an app that must not run twice: its requests wait at the edge, and none fails, whichever
// step the control plane dies at.
func TestRequestsWait(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := withSQLite()
	h.up(s)
	live := h.build(s)
	h.wantOutcome(h.promote(live), plan.Succeeded)
	address := h.status().Address
	customers := h.customersOf(address)
	next := h.build(s.as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))

	h.part(t, "taken back", func() {
		h.tell("fail-journey", "v2", address)
		h.wantOutcome(h.promote(next), plan.RolledBack, "the customer can't buy")
		h.tell("fail-journey", "v2", "")
		h.wantLive(live, "v1")
		customers.wantFlawless(h, customers.cut())
	})
	for _, step := range []string{"hold", "stop-old", "migrate", "share-100", "resume"} {
		h.part(t, "killed after "+step, func() {
			h.dieAt("after do/" + step)
			run := h.begin(next)
			h.awaitDeath()
			h.start()
			h.wantOutcome(h.await(run.ID), plan.Succeeded)
			h.wantLive(next, h.versions(next))
			customers.wantFlawless(h, customers.cut())
			live, next = next, live
		})
	}
}

// TestMigratesItselfAtStart promotes a release that migrates when it starts: one replica does, alone. One that fails is
// taken back, and nothing of it runs on.
func TestMigratesItselfAtStart(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := withPostgres().
		saying("{run: bin/app migrate, timeout: 1m}", "{at: start, timeout: 1m}").
		saying("      CONTROL: CONTROL_FOLDER\n", "      CONTROL: CONTROL_FOLDER\n      MIGRATE: start\n")
	live := h.live(s)
	customers := h.customersOf(h.status().Address)

	h.part(t, "fails", func() {
		next := h.build(s.as("v2", "CREATE TABLE notes (note text);\nSELECT 1/0"))
		h.wantOutcome(h.promote(next), plan.RolledBack, "left the schema as it was", "division by zero")
		for _, r := range h.replicas() {
			if r.Release == string(next) {
				h.Errorf("%s still runs", r.ID)
			}
		}
		h.wantSound(live)
		customers.wantFlawless(h, customers.cut())
	})
	h.part(t, "works", func() {
		next := h.build(s.as("v3", "CREATE TABLE IF NOT EXISTS notes (note text)"))
		before := h.readSchema()
		h.dieAt("after do/migrate")
		run := h.begin(next)
		h.awaitDeath()
		h.start()
		h.wantOutcome(h.await(run.ID), plan.Succeeded)
		h.wantSound(next)
		if h.readSchema() == before {
			h.Error("the schema is as it was")
		}
		customers.wantFlawless(h, customers.cut())
	})
}

// wantLive fails the test when another release is live than this one, of this version.
func (h *house) wantLive(r release.Digest, version string) {
	h.Helper()
	s := h.status()
	if s.Live == nil || s.Live.Digest != r {
		h.Fatalf("live is %v, want %s", s.Live, r.Short())
	}
	if wrong := wrongAnswer(s.Address, version); wrong != "" {
		h.Fatal(wrong)
	}
	h.eventually("what runs is what is recorded", func() string {
		all := h.replicas()
		if wrong := h.wrongReplicas(all, r); wrong != "" {
			return wrong
		}
		return h.wrongProcesses(all)
	})
}

// versions is the version that a release's files say.
func (h *house) versions(r release.Digest) string {
	h.Helper()
	b, err := os.ReadFile(filepath.Join(h.home.Files(), r.Short(), "web", "VERSION"))
	must(h, err)
	return string(b)
}
