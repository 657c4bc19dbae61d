package daemon

import (
	"maps"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
)

// inFolder is the app whose migrations are a folder as goose has it.
func inFolder() sources {
	s := withPostgres().saying("{run: bin/app migrate, timeout: 1m}", "{dir: migrations, timeout: 1m, "+patient+"}")
	s.folder = map[string]string{"00001_entries.sql": "-- +goose Up\nCREATE TABLE entries (id text NOT NULL, release text NOT NULL);\n-- +goose Down\nDROP TABLE entries;\n"}
	return s
}

// with is a release that has one more migration.
func (s sources) with(version, name, text string) sources {
	s = s.as(version, "")
	s.folder = maps.Clone(s.folder)
	s.folder[name] = text
	return s
}

// TestFolderOfMigrations has Greenroom run the migrations itself, from the rehearsal to the way down.
func TestFolderOfMigrations(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	first := h.live(inFolder())
	address := h.status().Address
	customers := h.customersOf(address)
	notes := inFolder().with("v2", "00002_notes.sql", "-- +goose Up\nALTER TABLE entries ADD COLUMN note text;\nCREATE TABLE notes (note text);\n"+
		"INSERT INTO notes VALUES ('as it was');\n-- +goose Down\nDROP TABLE notes;\nALTER TABLE entries DROP COLUMN note;\n")
	second := h.build(notes)

	h.part(t, "rehearsed", func() {
		_, found := h.found(second)
		m := found["migration"]
		if m.Verdict != evidence.Pass || m.Migration == nil || m.Schema == nil || m.Schema.Before == m.Schema.After {
			h.Fatalf("the migration: %s, %s, %+v", m.Verdict, m.Summary, m.Migration)
		}
		if b := m.Migration.Back; b == nil || !b.Possible || b.How != "the old release lives on the new schema" || !b.Up || len(b.Lost) == 0 {
			h.Errorf("the way back is %+v", b)
		}
		if n := len(m.Migration.Observation.Statements); n < 3 {
			h.Errorf("%d statements were seen: %+v", n, m.Migration.Observation)
		}
	})
	h.part(t, "a way down that is needed", func() {
		s := inFolder().with("v3", "00002_records.sql", "-- +goose Up\nALTER TABLE entries RENAME TO records;\n-- +goose Down\nALTER TABLE records RENAME TO entries;\n")
		s.table = "records"
		_, found := h.found(h.build(s))
		if v := found["old-on-new"]; v.Verdict != evidence.Fail {
			h.Errorf("old-on-new: %s, %s", v.Verdict, v.Summary)
		}
		m := found["migration"]
		if m.Migration == nil || m.Migration.Back == nil {
			h.Fatalf("the migration: %s, %s, %+v", m.Verdict, m.Summary, m.Migration)
		}
		if b := m.Migration.Back; !b.Possible || b.How != "the release's own way down" || !b.Up || !strings.HasPrefix(b.Until, "at any time") {
			h.Errorf("the way back is %+v", b)
		}
	})
	bad := h.build(inFolder().with("v4", "00002_bad.sql", "-- +goose Up\nCREATE TABLE bad (n int);\nINSERT INTO bad VALUES (1/0);\n"))
	h.part(t, "a file that fails", func() {
		_, found := h.found(bad)
		if m := found["migration"]; m.Verdict != evidence.Fail || !strings.Contains(m.Summary, "00002_bad.sql:3: ") || !strings.Contains(m.Summary, "division by zero") {
			h.Errorf("the migration: %s, %s", m.Verdict, m.Summary)
		}
		h.wantOutcome(h.promote(bad), plan.RolledBack, "left the schema as it was: 00002_bad.sql:3: ", "division by zero")
		h.wantSound(first)
		h.wantDatabase(api.DatabaseCurrent, "at version 1")
	})
	h.part(t, "promoted, behind an idle transaction", func() { h.behindIdle(second) })
	customers.wantFlawless(t, customers.cut())
	h.part(t, "where the database stands", func() {
		h.wantDatabase(api.DatabaseCurrent, "at version 2")
		db := h.connect()
		_, err := db.Exec(h.ctx(), "DELETE FROM goose_db_version WHERE version_id = 2")
		must(h, err)
		h.wantDatabase(api.DatabasePending, "00002_notes.sql")
		_, err = db.Exec(h.ctx(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true)")
		must(h, err)
		run, err := h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: "production", Because: "a test"})
		must(h, err)
		h.wantOutcome(h.await(run.ID), plan.Succeeded)
		h.wantSound(first)
		h.wantDatabase(api.DatabaseCurrent, "the schema of a later release, at version 2")
	})
	h.part(t, "forward again", func() {
		third := h.build(notes.with("v5", "00003_more.sql", "-- +goose Up\nCREATE TABLE more (n int);\n-- +goose Down\nDROP TABLE more;\n"))
		_, found := h.found(third)
		if m := found["migration"]; m.Verdict != evidence.Pass {
			h.Errorf("the migration: %s, %s", m.Verdict, m.Summary)
		}
		h.wantOutcome(h.promote(third), plan.Succeeded)
		h.wantSound(third)
		h.wantDatabase(api.DatabaseCurrent, "at version 3")
	})
	customers.wantFlawless(t, customers.cut())
}
