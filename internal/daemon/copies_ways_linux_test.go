package daemon

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/run"
)

// TestRehearsalOnACopyAtStart rehearses a release that migrates as it starts on a masked copy.
func TestRehearsalOnACopyAtStart(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	h := newHouse(t)
	s := patiently(onCopy()).saying("blocked_reads: 5s, blocked_writes: 5s", "blocked_reads: 2s, blocked_writes: 2s").saying("down: bin/app migrate-down, ", "").saying("run: bin/app migrate,", "at: start,").
		saying("      CONTROL: CONTROL_FOLDER\n", "      CONTROL: CONTROL_FOLDER\n      MIGRATE: start\n")
	h.onACopy(s)
	next := h.build(s.as("v2", "ALTER TABLE customers ADD COLUMN IF NOT EXISTS since date"))
	report, found := h.found(next)
	m := found["migration"]
	if report.Verdict != evidence.Pass || m.Migration == nil || !strings.Contains(m.Migration.Data, "a masked copy of production") {
		t.Fatalf("it ends %s: %+v, %+v", report.Verdict, report.Results, m.Migration)
	}
	if m.Schema == nil || m.Schema.Before == m.Schema.After || len(m.Migration.Lost)+len(m.Migration.Changed) > 0 {
		t.Errorf("the migration: %+v, %+v", m.Schema, m.Migration)
	}
	if m.Migration.Observation.Guessed {
		t.Error("which sessions are its own was guessed")
	}
	// Its sessions have a name of their own, and are known by who is at their other end.
	own := s.saying("      MIGRATE: start\n", "      MIGRATE: start\n"+namesItself)
	_, found = h.found(h.build(own.as("v3", "ALTER TABLE customers ADD COLUMN IF NOT EXISTS until date;\nSELECT pg_sleep(4)")))
	if m := found["migration"]; m.Verdict != evidence.Fail || !strings.Contains(m.Summary, "reads of customers and writes to it would have stood still") || m.Migration.Observation.Guessed {
		t.Errorf("the one that holds everybody up: %s, %s", m.Verdict, m.Summary)
	}
	h.toStaging(next)
	h.wantOutcome(h.promote(next), plan.Succeeded)
	h.wantSound(next)
	h.wantNoStage(3)
}

// TestRehearsalOnACopyOfSQLite rehearses on a masked copy of a database that is a file, the first release of it as well.
func TestRehearsalOnACopyOfSQLite(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	h := newHouse(t)
	s := withSQLite().saying(exceptAll, "").saying("environments:\n", "environments:\n  staging:\n    data: {from: production, mask: mask.yaml}\n    rollout: {watch: 200ms}\n").
		saying("  production:\n    rollout", "  production:\n    after: staging\n    rollout")
	s = s.saying("{at: start,", "{at: start, "+patient+",") // its one lock is that of the whole database
	s.migrate += "CREATE TABLE IF NOT EXISTS customers (id integer PRIMARY KEY, email text);\nINSERT OR IGNORE INTO customers VALUES (1, 'planted-0001@canary-farm.test');\n"
	s.mask = "tables:\n  entries: {id: keep, release: keep}\n  customers: {id: keep, email: email}\n"
	h.up(s)
	live := h.build(s)
	h.wantRehearsed(live)
	h.toStaging(live)
	h.wantOutcome(h.promote(live), plan.Succeeded)
	address := h.status().Address
	for i := range 20 {
		_, err := readAll(http.Post(fmt.Sprintf("%s/write?id=e%d", address, i), "", nil))
		must(t, err)
	}
	customers := h.customersOf(address)

	safe := h.build(s.as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
	report, found := h.found(safe)
	m := found["migration"]
	if report.Verdict != evidence.Pass || m.Schema == nil || m.Schema.Before == m.Schema.After {
		t.Fatalf("it ends %s: %+v", report.Verdict, report.Results)
	}
	if report.Isolation == nil || !report.Isolation.Isolated {
		t.Errorf("the stage is isolated as %v", report.Isolation)
	}
	if m.Migration != nil && !strings.Contains(m.Migration.Data, "a masked copy of production") {
		t.Errorf("it was measured on %s", m.Migration.Data)
	}
	dry, err := h.client.Plan(h.ctx(), api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(safe)})
	must(t, err)
	begun := h.dieAround(dry.Plan.Steps, []run.Point{run.AfterDo}, func() api.RunView { return h.rehearse(safe) })
	h.wantOutcome(h.await(begun.ID), plan.Succeeded)
	again, err := h.client.Report(h.ctx(), appUnderTest, begun.ID)
	must(t, err)
	if want, got := findings(report), findings(again); !maps.Equal(want, got) {
		t.Errorf("undisturbed it finds\n%v\nand killed at every step\n%v\n%+v", want, got, again.Results)
	}
	_, found = h.found(h.build(s.as("v3", "DELETE FROM entries WHERE id = 'e7'")))
	if m := found["migration"]; m.Verdict != evidence.Fail || m.Migration == nil || len(m.Migration.Lost) == 0 {
		t.Errorf("the one that loses: %s, %s, %+v", m.Verdict, m.Summary, m.Migration)
	}
	h.wantNoStage(3)
	customers.wantFlawless(t, customers.cut())
	h.toStaging(safe)
	h.wantOutcome(h.promote(safe), plan.Succeeded)
	h.wantLive(safe, "v2")
	customers.wantFlawless(t, customers.cut())
}
