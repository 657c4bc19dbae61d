package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// outside are two statements that run outside a transaction, as each tool has them; golang-migrate takes one such to a file.
func outside(t testing.TB, tool layout.Tool, statements ...string) []layout.Migration {
	t.Helper()
	sql := strings.Join(statements, ";\n") + ";\n"
	files := fstest.MapFS{}
	switch tool {
	case layout.Goose:
		files["1_x.sql"] = file("-- +goose NO TRANSACTION\n-- +goose Up\n" + sql)
	case layout.Migrate:
		files["1_x.up.sql"] = file(sql)
	case layout.Flyway:
		files["V1__x.sql"] = file(sql)
		files["V1__x.sql.conf"] = file("executeInTransaction=false")
	}
	return readFolder(t, files, tool)
}

func invalidIndexes(t testing.TB, d *Database) int {
	t.Helper()
	return query[int](t, open(t, d.URL()), "SELECT count(*) FROM pg_index WHERE NOT indisvalid")
}

// TestIndexThatFails: what it leaves is dropped, and told of. The tools' tables say what the tools would.
func TestIndexThatFails(t *testing.T) {
	t.Parallel()
	for _, tool := range []layout.Tool{layout.Goose, layout.Migrate, layout.Flyway} {
		t.Run(string(tool), func(t *testing.T) {
			_, _, d := account(t)
			execute(t, open(t, d.URL()), "CREATE TABLE people (name text)", "INSERT INTO people VALUES ('a'), ('a')")
			all := outside(t, tool, "CREATE UNIQUE INDEX CONCURRENTLY people_name ON people (name)")
			o := data.RunOptions{Migrator: "greenroom migrate test", Tool: tool, Migrations: all}
			ran, err := d.Run(bounded(t), o)
			if err != nil || ran.Partial || len(ran.Done) != 0 || len(ran.Notes) != 1 {
				t.Fatalf("%v, %+v", err, ran)
			}
			mustContain(t, ran.Failed, "could not create unique index", "(name)=(a)")
			mustContain(t, ran.Notes[0], "public.people_name", "dropped")
			if n := invalidIndexes(t, d); n != 0 {
				t.Errorf("%d indexes are left unusable", n)
			}
			st := layout.Judge(all, mustApplied(t, d, tool))
			if want := map[layout.Tool]layout.Verdict{layout.Goose: layout.Behind, layout.Migrate: layout.Half, layout.Flyway: layout.Half}[tool]; st.Verdict != want {
				t.Errorf("it is %s, not %s", st.Verdict, want)
			}
		})
	}
}

// TestIndexLeftByAnEarlierRun: with IF NOT EXISTS the statement would pass and change nothing.
func TestIndexLeftByAnEarlierRun(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE people (name text)", "INSERT INTO people VALUES ('a'), ('a')")
	if _, err := db.ExecContext(bounded(t), `CREATE UNIQUE INDEX CONCURRENTLY "By Name" ON people (name)`); err == nil {
		t.Fatal("it was built")
	}
	execute(t, db, "DELETE FROM people")
	ran := mustRun(t, d, layout.Goose, outside(t, layout.Goose, `CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "By Name" ON people (name)`), false)
	if len(ran.Notes) != 1 || !strings.Contains(ran.Notes[0], `public."By Name"`) {
		t.Errorf("it says %+v", ran)
	}
	if n := query[int](t, db, `SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid = '"By Name"'::regclass`); n != 1 {
		t.Error("the index is not there, or not usable")
	}
}

// TestIndexWaitsForOldTransactions: nobody stands behind it, so it waits longer than the lock time-out.
func TestIndexWaitsForOldTransactions(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE people (name text)")
	clerk := locked(t, d, "INSERT INTO people VALUES ('a')")
	o := data.RunOptions{Migrator: "greenroom migrate test", Tool: layout.Goose, Migrations: outside(t, layout.Goose, "CREATE INDEX CONCURRENTLY by_name ON people (name)"), LockTimeout: 50 * time.Millisecond}
	o.Blockers = func([]migration.Blocker) []int {
		// It was seen to wait: others read and write meanwhile.
		execute(t, db, "INSERT INTO people VALUES ('b')", "SELECT * FROM people")
		if _, err := clerk.Exec(bounded(t), "COMMIT"); err != nil {
			t.Error(err)
		}
		return nil
	}
	o.Migrations[0].Up = append([]layout.Statement{{SQL: "SELECT pg_sleep(0.1)", Line: 1}}, o.Migrations[0].Up...)
	ran, err := d.Run(bounded(t), o)
	if err != nil || ran.Failed != "" {
		t.Errorf("%v, %+v", err, ran)
	}
}

// TestSomeOfItStays: what ran outside a transaction before the statement that fails is told of, and recorded as the tool does.
func TestSomeOfItStays(t *testing.T) {
	t.Parallel()
	for _, tool := range []layout.Tool{layout.Goose, layout.Flyway} {
		_, _, d := account(t)
		all := outside(t, tool, "CREATE TABLE stays (id int)", "VACUUM nowhere")
		ran, err := d.Run(bounded(t), data.RunOptions{Migrator: "greenroom migrate test", Tool: tool, Migrations: all})
		if err != nil || !ran.Partial || !strings.Contains(ran.SQL, "VACUUM") || ran.Failed == "" {
			t.Errorf("%v, %+v", err, ran)
		}
		if !query[bool](t, open(t, d.URL()), "SELECT to_regclass('stays') IS NOT NULL") {
			t.Error("it is gone")
		}
		if st := layout.Judge(all, mustApplied(t, d, tool)); tool == layout.Flyway && (st.Verdict != layout.Half || st.Failed != "1") {
			t.Errorf("it is %+v", st)
		}
	}
}

// TestTransactionsOfItsOwn: a file that begins and ends transactions itself goes to the server whole, as the tool sends it.
func TestTransactionsOfItsOwn(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	all := migrateFiles(t, "BEGIN;\nCREATE TABLE one (id int);\nCOMMIT;\nBEGIN;\nCREATE TABLE two (id int);\nSELECT 1/0;\nCOMMIT;\n")
	ran, err := d.Run(bounded(t), migrateOptions(all))
	if err != nil || !ran.Partial || !strings.Contains(ran.Failed, "division by zero") {
		t.Errorf("%v, %+v", err, ran)
	}
	if !query[bool](t, db, "SELECT to_regclass('one') IS NOT NULL AND to_regclass('two') IS NULL") {
		t.Error("it did something else than the tool")
	}
	if s := mustApplied(t, d, layout.Migrate); len(s.Applied) != 1 || !s.Applied[0].Failed || s.Highest() != "1" {
		t.Errorf("it stands at %+v", s)
	}
}

// TestStoppedOutsideATransaction: an index that can't be dropped, because somebody might still use it, is named.
// golang-migrate's flag says afterwards that the migration began.
func TestStoppedOutsideATransaction(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE people (name text)")
	all := outside(t, layout.Migrate, "CREATE INDEX CONCURRENTLY by_name ON people (name)")
	ctx, cancel := context.WithCancel(bounded(t))
	locked(t, d, "INSERT INTO people VALUES ('a')")
	o := migrateOptions(all)
	o.Blockers = func([]migration.Blocker) []int {
		cancel() // it is stopped while it waits for the clerk
		return nil
	}
	ran, err := d.Run(ctx, o)
	if !errors.Is(err, context.Canceled) || ran.Failed == "" || !ran.Partial || len(ran.Notes) != 1 {
		t.Fatalf("%v, %+v", err, ran)
	}
	mustContain(t, ran.Notes[0], "left unusable", "DROP INDEX CONCURRENTLY public.by_name")
	if n := invalidIndexes(t, d); n != 1 {
		t.Errorf("%d indexes are left unusable", n)
	}
	_, err = d.Run(bounded(t), migrateOptions(all))
	if p := problem.From(err); p == nil || p.Code != problem.Blocked || !strings.Contains(p.Hint, "migrate force") {
		t.Errorf("it is dirty, and to run again is answered with %v", err)
	}
}
