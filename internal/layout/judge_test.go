package layout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// files are three versions, and for Flyway one that repeats.
func judged(tool Tool) []Migration {
	all := []Migration{{Version: "1", Name: "a", File: "1_a.sql", Checksum: "11"}, {Version: "2", Name: "b", File: "2_b.sql", Checksum: "22", Before: "1"}, {Version: "10", Name: "c", File: "10_c.sql", Checksum: "33", Before: "2"}}
	if tool == Flyway {
		all = append(all, Migration{Name: "view", File: "R__view.sql", Checksum: "44", Repeating: true})
	}
	return all
}

// row is a row of a version table: version, name, checksum, kind, and whether it is as it should be.
func row(version, name, sum, kind string, yes bool) Row {
	return Row{Version: version, Name: name, Checksum: sum, At: "2026-11-26T10:00:00.5Z", Kind: kind, Yes: yes}
}

func TestJudge(t *testing.T) {
	view := row("", "view", "44", "SQL", true)
	for _, c := range []struct {
		name string
		tool Tool
		rows []Row // nil: there is no table
		want Standing
	}{
		{"no table", Goose, nil, Standing{Verdict: Fresh, Pending: []string{"1_a.sql", "2_b.sql", "10_c.sql"}, Text: "no table goose_db_version: goose has never run here, and 3 migrations would"}},
		{"goose at its beginning", Goose, []Row{row("0", "", "", "", true)}, Standing{Verdict: Behind, Pending: []string{"1_a.sql", "2_b.sql", "10_c.sql"}, Text: "at no version yet, 3 pending: 1_a.sql, 2_b.sql, 10_c.sql"}},
		{"goose behind", Goose, []Row{row("0", "", "", "", true), row("1", "", "", "", true), row("2", "", "", "", true)}, Standing{Verdict: Behind, Version: "2", Pending: []string{"10_c.sql"}, Text: "at version 2, 1 pending: 10_c.sql"}},
		{"goose current", Goose, []Row{row("1", "", "", "", true), row("2", "", "", "", true), row("10", "", "", "", true)}, Standing{Verdict: Current, Version: "10", Text: "at version 10, nothing is pending"}},
		{"goose taken back, as old ones recorded it", Goose, []Row{row("1", "", "", "", true), row("2", "", "", "", true), row("2", "", "", "", false)}, Standing{Verdict: Behind, Version: "1", Pending: []string{"2_b.sql", "10_c.sql"}, Text: "at version 1, 2 pending: 2_b.sql, 10_c.sql"}},
		{"goose ahead", Goose, []Row{row("1", "", "", "", true), row("2", "", "", "", true), row("10", "", "", "", true), row("11", "", "", "", true)}, Standing{Verdict: Ahead, Version: "11", Ahead: []string{"11"}, Text: "at version 11, newer than the release, which lacks 11"}},
		{"goose with one that came late", Goose, []Row{row("1", "", "", "", true), row("10", "", "", "", true)}, Standing{Verdict: Diverged, Version: "10", Late: []string{"2_b.sql"}, Text: "at version 10, but what was applied is not what the folder holds: 2_b.sql came late, below the version, and never ran"}},
		{"goose with one gone", Goose, []Row{row("1", "", "", "", true), row("2", "", "", "", true), row("5", "", "", "", true)}, Standing{Verdict: Diverged, Version: "5", Gone: []string{"5"}, Pending: []string{"10_c.sql"}, Text: "at version 5, but what was applied is not what the folder holds: applied and gone from the folder: 5"}},
		{"golang-migrate with an empty table", Migrate, []Row{}, Standing{Verdict: Behind, Pending: []string{"1_a.sql", "2_b.sql", "10_c.sql"}, Text: "at no version yet, 3 pending: 1_a.sql, 2_b.sql, 10_c.sql"}},
		{"golang-migrate behind", Migrate, []Row{row("2", "", "", "", false)}, Standing{Verdict: Behind, Version: "2", Pending: []string{"10_c.sql"}, Text: "at version 2, 1 pending: 10_c.sql"}},
		{"golang-migrate dirty", Migrate, []Row{row("2", "", "", "", true)}, Standing{Verdict: Half, Version: "2", Failed: "2", Pending: []string{"10_c.sql"}, Text: "half-migrated: schema_migrations says that version 2 began and did not come to its end"}},
		{"golang-migrate dirty on its way to none", Migrate, []Row{row("-1", "", "", "", true)}, Standing{Verdict: Half, Failed: "none", Pending: []string{"1_a.sql", "2_b.sql", "10_c.sql"}, Text: "half-migrated: schema_migrations says that version none began and did not come to its end"}},
		{"golang-migrate ahead", Migrate, []Row{row("20", "", "", "", false)}, Standing{Verdict: Ahead, Version: "20", Ahead: []string{"20"}, Text: "at version 20, newer than the release, which lacks 20"}},
		{"golang-migrate at one that is gone", Migrate, []Row{row("5", "", "", "", false)}, Standing{Verdict: Diverged, Version: "5", Gone: []string{"5"}, Pending: []string{"10_c.sql"}, Text: "at version 5, but what was applied is not what the folder holds: applied and gone from the folder: 5"}},
		{"flyway current", Flyway, []Row{row("", "<< Flyway Schema Creation >>", "", "SCHEMA", true), row("1", "a", "11", "SQL", true), row("2", "b", "22", "SQL", true), row("10", "c", "33", "SQL", true), view}, Standing{Verdict: Current, Version: "10", Text: "at version 10, nothing is pending"}},
		{"flyway's version spelt otherwise", Flyway, []Row{row("1.0", "a", "11", "SQL", true), row("2", "b", "22", "SQL", true), row("10", "c", "33", "SQL", true), view}, Standing{Verdict: Current, Version: "10", Text: "at version 10, nothing is pending"}},
		{"flyway with a view that changed", Flyway, []Row{row("1", "a", "11", "SQL", true), row("2", "b", "22", "SQL", true), row("10", "c", "33", "SQL", true), view, row("", "view", "45", "SQL", true)}, Standing{Verdict: Behind, Version: "10", Pending: []string{"R__view.sql"}, Text: "at version 10, 1 pending: R__view.sql"}},
		{"flyway failed", Flyway, []Row{row("1", "a", "11", "SQL", true), row("2", "b", "22", "SQL", false)}, Standing{Verdict: Half, Version: "2", Failed: "2", Pending: []string{"10_c.sql", "R__view.sql"}, Text: "half-migrated: flyway_schema_history says that version 2 began and did not come to its end"}},
		{"flyway's view failed", Flyway, []Row{row("1", "a", "11", "SQL", true), row("2", "b", "22", "SQL", true), row("10", "c", "33", "SQL", true), row("", "view", "44", "SQL", false)}, Standing{Verdict: Half, Version: "10", Failed: "view", Pending: []string{"R__view.sql"}, Text: "half-migrated: flyway_schema_history says that version view began and did not come to its end"}},
		{"flyway repaired", Flyway, []Row{row("1", "a", "11", "SQL", true), row("2", "b", "22", "SQL", true), row("2", "b", "", "DELETE", true)}, Standing{Verdict: Behind, Version: "1", Pending: []string{"2_b.sql", "10_c.sql", "R__view.sql"}, Text: "at version 1, 3 pending: 2_b.sql, 10_c.sql, R__view.sql"}},
		{"flyway undone", Flyway, []Row{row("1", "a", "11", "SQL", true), row("2", "b", "22", "SQL", true), row("2", "b", "99", "UNDO_SQL", true), view}, Standing{Verdict: Behind, Version: "1", Pending: []string{"2_b.sql", "10_c.sql"}, Text: "at version 1, 2 pending: 2_b.sql, 10_c.sql"}},
		{"flyway undone and done again", Flyway, []Row{row("1", "a", "11", "SQL", true), row("1", "a", "99", "UNDO_SQL", true), row("1", "a", "11", "SQL", true), view}, Standing{Verdict: Behind, Version: "1", Pending: []string{"2_b.sql", "10_c.sql"}, Text: "at version 1, 2 pending: 2_b.sql, 10_c.sql"}},
		{"flyway edited", Flyway, []Row{row("1", "a", "12", "SQL", true), row("2", "b", "22", "SQL", true), row("10", "c", "33", "SQL", true), view}, Standing{Verdict: Diverged, Version: "10", Edited: []string{"1_a.sql"}, Text: "at version 10, but what was applied is not what the folder holds: 1_a.sql edited after it was applied"}},
		{"flyway began with a baseline", Flyway, []Row{row("2", "<< Flyway Baseline >>", "", "BASELINE", true), row("10", "c", "33", "SQL", true), view}, Standing{Verdict: Current, Version: "10", Text: "at version 10, nothing is pending"}},
		{"flyway began with a baseline above", Flyway, []Row{row("5", "<< Flyway Baseline >>", "", "BASELINE", true)}, Standing{Verdict: Behind, Version: "5", Pending: []string{"10_c.sql", "R__view.sql"}, Text: "at version 5, 2 pending: 10_c.sql, R__view.sql"}},
		{"flyway in Java has no checksum", Flyway, []Row{row("1", "a", "", "JDBC", true), row("2", "b", "22", "SQL", true), row("10", "c", "33", "SQL", true), view}, Standing{Verdict: Current, Version: "10", Text: "at version 10, nothing is pending"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := VersionTable(c.tool, Postgres, "public").State(c.rows)
			s.Missing = c.rows == nil
			got := Judge(judged(c.tool), s)
			if wants := c.want.Verdict != Behind && c.want.Verdict != Current; (got.Next != "") != wants {
				t.Errorf("what to do is %q", got.Next)
			}
			got.Next = ""
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBack(t *testing.T) {
	files := judged(Flyway)
	table := VersionTable(Flyway, Postgres, "")
	before := table.State([]Row{row("1", "a", "11", "SQL", true)})
	now := table.State([]Row{row("1", "a", "11", "SQL", true), row("2", "b", "22", "SQL", true), row("10", "c", "33", "SQL", true), row("", "view", "44", "SQL", true)})
	var got []string
	for _, m := range Back(files, before, now) {
		got = append(got, m.Version)
	}
	if diff := cmp.Diff([]string{"10", "2"}, got); diff != "" {
		t.Error(diff)
	}
	if got := Back(files, now, now); len(got) != 0 {
		t.Errorf("nothing was done, and %v has to be taken back", got)
	}
}

// TestRecordedIsApplied has a version table as a list of rows: whatever was run counts as applied, whatever was taken back
// does not, and both ways the next thing to run follows.
func TestRecordedIsApplied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tool := rapid.SampledFrom([]Tool{Goose, Flyway, Migrate}).Draw(t, "tool")
		files := judged("")
		table := VersionTable(tool, Postgres, "")
		var rows []Row
		at := 0
		for range rapid.IntRange(0, 12).Draw(t, "moves") {
			up := rapid.Bool().Draw(t, "up")
			switch {
			case up && at < len(files):
				m := files[at]
				rows = recorded(rows, tool, m, false)
				at++
			case !up && at > 0:
				at--
				rows = recorded(rows, tool, files[at], true)
			}
		}
		s := table.State(rows)
		st := Judge(files, s)
		if len(st.Pending) != len(files)-at || len(st.Ahead)+len(st.Gone)+len(st.Late)+len(st.Edited) != 0 {
			t.Errorf("%d were run, and it says %+v of %+v", at, st, rows)
		}
		for i, m := range files {
			if s.Has(m) != (i < at) {
				t.Errorf("%s is applied: %v", m.File, s.Has(m))
			}
		}
	})
}

// recorded is what a tool's rows are after a migration.
func recorded(rows []Row, tool Tool, m Migration, down bool) []Row {
	switch {
	case tool == Migrate && down && m.Before == "":
		return nil
	case tool == Migrate && down:
		return []Row{row(m.Before, "", "", "", false)}
	case tool == Migrate:
		return []Row{row(m.Version, "", "", "", false)}
	case tool == Flyway && down:
		return append(rows, row(m.Version, m.Name, "", "UNDO_SQL", true))
	case tool == Flyway:
		return append(rows, row(m.Version, m.Name, m.Checksum, "SQL", true))
	case down:
		var left []Row
		for _, r := range rows {
			if r.Version != m.Version {
				left = append(left, r)
			}
		}
		return left
	}
	return append(rows, row(m.Version, "", "", "", true))
}

// TestTables pins what is written, by Flyway's own text where the tool can't be had for a test.
func TestTables(t *testing.T) {
	m := Migration{Version: "1.2", Name: strings.Repeat("ü", 201), File: "V1_2__x.sql", Checksum: "-7", DownFile: "U1_2__x.sql", DownChecksum: "8", Before: "1"}
	name := strings.Repeat("ü", 197) + "..."
	const insert = `INSERT INTO "s""x"."flyway_schema_history" ("installed_rank", "version", "description", "type", "script", "checksum", "installed_by", "execution_time", "success")
 VALUES ((SELECT coalesce(max("installed_rank"), 0) + 1 FROM "s""x"."flyway_schema_history"), $1, $2, $3, $4, $5, $6, $7, $8)`
	flyway := VersionTable(Flyway, Postgres, `s"x`)
	for _, c := range []struct {
		got, want []Query
	}{
		{flyway.Before(m, Record{}), nil},
		{flyway.After(m, Record{By: "clerk", Took: 1234567890}), []Query{{insert, []any{"1.2", name, "SQL", "V1_2__x.sql", int64(-7), "clerk", int64(1234), true}}}},
		{flyway.After(m, Record{Failed: true}), []Query{{insert, []any{"1.2", name, "SQL", "V1_2__x.sql", int64(-7), "", int64(0), false}}}},
		{flyway.After(m, Record{Down: true}), []Query{{insert, []any{"1.2", name, "UNDO_SQL", "U1_2__x.sql", int64(8), "", int64(0), true}}}},
		{flyway.After(Migration{Name: "v", File: strings.Repeat("d/", 600) + "R__v.sql", Repeating: true, Checksum: "9"}, Record{}),
			[]Query{{insert, []any{any(nil), "v", "SQL", "..." + strings.Repeat("/d", 600)[1200-988:] + "/R__v.sql", int64(9), "", int64(0), true}}}},
		{VersionTable(Migrate, SQLite, "").Before(Migration{Version: "2", Before: "1"}, Record{}), []Query{{SQL: `DELETE FROM "schema_migrations"`}, {`INSERT INTO "schema_migrations" (version, dirty) VALUES (?, ?)`, []any{int64(2), true}}}},
		{VersionTable(Migrate, SQLite, "").After(Migration{Version: "2", Before: "1"}, Record{Down: true}), []Query{{SQL: `DELETE FROM "schema_migrations"`}, {`INSERT INTO "schema_migrations" (version, dirty) VALUES (?, ?)`, []any{int64(1), false}}}},
		{VersionTable(Migrate, SQLite, "").After(Migration{Version: "1"}, Record{Down: true}), []Query{{SQL: `DELETE FROM "schema_migrations"`}}},
		{VersionTable(Migrate, SQLite, "").Before(Migration{Version: "1"}, Record{Down: true}), []Query{{SQL: `DELETE FROM "schema_migrations"`}, {`INSERT INTO "schema_migrations" (version, dirty) VALUES (?, ?)`, []any{int64(-1), true}}}},
		{VersionTable(Goose, SQLite, "").After(Migration{Version: "3"}, Record{Failed: true}), nil},
		{VersionTable(Goose, SQLite, "").After(Migration{Version: "3"}, Record{Down: true}), []Query{{`DELETE FROM "goose_db_version" WHERE version_id=?`, []any{int64(3)}}}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	file := strings.Repeat("INSERT INTO people (id, name) VALUES (1, 'a; ''b'''); -- a comment\n", 10_000)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if all, err := Split(file, Postgres); err != nil || len(all) != 10_000 {
			b.Fatal(err)
		}
	}
}
