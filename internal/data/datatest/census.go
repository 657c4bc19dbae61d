package datatest

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// RunComparer runs the suite of data.Comparer. The databases of Fresh have to be Comparers. orphans are statements behind which
// the table visits (id, person) has exactly two rows whose person is not in people (id), to which it refers, and one with none.
func RunComparer(t *testing.T, e Engine, d layout.Dialect, orphans ...string) {
	c := comparing{e, d}
	beside(t, "Counts", c.counts)
	beside(t, "Order", c.order)
	beside(t, "Changes", c.changes)
	beside(t, "Names", c.names)
	beside(t, "OneMoment", c.oneMoment)
	beside(t, "Cancelled", c.cancelled)
	beside(t, "Orphans", func(t *testing.T) { c.orphans(t, orphans) })
	beside(t, "Ask", c.ask)
	beside(t, "AskRefuses", c.askRefuses)
}

type comparing struct {
	Engine
	dialect layout.Dialect
}

func (c comparing) fresh(t *testing.T, statements ...string) (data.Comparer, *sql.DB) {
	d := c.Fresh(t)
	db := c.Connect(t, d)
	run(t, db, statements...)
	return d.(data.Comparer), db
}

func census(t testing.TB, d data.Comparer) migration.Census {
	t.Helper()
	c, err := d.Census(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const people = "CREATE TABLE people (id integer PRIMARY KEY, name text, note text)"

func (c comparing) counts(t *testing.T) {
	d, db := c.fresh(t)
	if got := census(t, d); len(got.Tables) != 0 || len(got.Orphans) != 0 {
		t.Errorf("an empty database has %+v", got)
	}
	run(t, db, people, "CREATE TABLE blank (id integer)", "CREATE VIEW seen AS SELECT * FROM people",
		"INSERT INTO people (id, name, note) VALUES (1, 'a', 'x'), (2, 'b', NULL), (3, NULL, NULL)")
	got := census(t, d)
	if len(got.Tables) != 2 || got.Tables[0].Name != "blank" || got.Tables[1].Name != "people" || got.Tables[0].Rows != 0 || got.Tables[1].Rows != 3 {
		t.Fatalf("it counts %+v", got)
	}
	var columns []string
	for _, column := range got.Tables[1].Columns {
		columns = append(columns, fmt.Sprintf("%s %s %d", column.Name, strings.ToLower(column.Type), column.Nulls))
	}
	if want := []string{"id integer 0", "name text 1", "note text 2"}; !slices.Equal(columns, want) {
		t.Errorf("its columns are %q, not %q", columns, want)
	}
	if diff := cmp.Diff(got, census(t, d)); diff != "" {
		t.Errorf("twice the same database: %s", diff)
	}
}

// order: neither the rows' order nor the columns' makes a difference, nor where a row lies.
func (c comparing) order(t *testing.T) {
	one, _ := c.fresh(t, people, "INSERT INTO people (id, name, note) VALUES (1, 'a', 'x'), (2, 'b', NULL), (3, 'a', 'x')")
	other, _ := c.fresh(t, "CREATE TABLE people (note text, name text, id integer PRIMARY KEY)", "INSERT INTO people (id, name) VALUES (3, 'z'), (9, 'q')",
		"DELETE FROM people WHERE id = 9", "INSERT INTO people (id, name) VALUES (2, 'b')", "UPDATE people SET name = 'a', note = 'x' WHERE id = 3", "INSERT INTO people (id, name, note) VALUES (1, 'a', 'x')")
	if diff := cmp.Diff(census(t, one), census(t, other)); diff != "" {
		t.Error(diff)
	}
}

// changes: each of them is seen, and each in its column alone.
func (c comparing) changes(t *testing.T) {
	for _, change := range []struct{ column, set string }{
		{"name", "name = 'c' WHERE id = 1"}, {"name", "name = NULL WHERE id = 1"}, {"note", "note = '' WHERE id = 2"}, {"name", "name = 'a ' WHERE id = 1"},
		{"id", "id = 7 WHERE id = 3"}, {"name", "name = 'b' WHERE id = 3"},
	} {
		d, db := c.fresh(t, people, "INSERT INTO people (id, name, note) VALUES (1, 'a', 'x'), (2, 'b', NULL), (3, 'a', 'x')")
		before := census(t, d)
		run(t, db, "UPDATE people SET "+change.set)
		after := census(t, d)
		for i, column := range after.Tables[0].Columns {
			if same := column == before.Tables[0].Columns[i]; same != (column.Name != change.column) {
				t.Errorf("%s: the column %s is the same: %v", change.set, column.Name, same)
			}
		}
	}
}

// names: what has to be quoted is counted like everything else.
func (c comparing) names(t *testing.T) {
	d, _ := c.fresh(t, `CREATE TABLE "Größe ""x""; y" ("Select" integer, "a.b" text, "it's" text)`, `INSERT INTO "Größe ""x""; y" VALUES (1, 'x', NULL)`)
	got := census(t, d)
	if len(got.Tables) != 1 || got.Tables[0].Name != `Größe "x"; y` || got.Tables[0].Rows != 1 || len(got.Tables[0].Columns) != 3 {
		t.Errorf("it counts %+v", got)
	}
}

// oneMoment has somebody move rows between two tables meanwhile: together they always have as many.
func (c comparing) oneMoment(t *testing.T) {
	d, db := c.fresh(t, "CREATE TABLE here (id integer PRIMARY KEY)", "CREATE TABLE there (id integer PRIMARY KEY)")
	for i := range 20 {
		run(t, db, fmt.Sprintf("INSERT INTO here VALUES (%d)", i))
	}
	stop, moved := make(chan struct{}), make(chan error, 1)
	go func() { moved <- move(bounded(t), db, stop) }()
	for range 5 {
		got := census(t, d)
		if rows := got.Tables[0].Rows + got.Tables[1].Rows; rows != 20 {
			t.Errorf("together they have %d rows, not 20", rows)
		}
	}
	close(stop)
	if err := <-moved; err != nil {
		t.Error(err)
	}
}

// move moves one row after the other until stop is closed.
func move(ctx context.Context, db *sql.DB, stop <-chan struct{}) error {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		from, to := "here", "there"
		if i/20%2 == 1 {
			from, to = to, from
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for _, s := range []string{"INSERT INTO %[2]s SELECT id FROM %[1]s WHERE id = %[3]d", "DELETE FROM %[1]s WHERE id = %[3]d AND %[3]d IN (SELECT id FROM %[2]s)"} {
			if _, err := tx.ExecContext(ctx, fmt.Sprintf(s, from, to, i%20)); err != nil {
				_ = tx.Rollback()
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
}

func (c comparing) cancelled(t *testing.T) {
	d, _ := c.fresh(t, people)
	ctx, cancel := context.WithCancel(bounded(t))
	cancel()
	if _, err := d.Census(ctx); problem.From(err) == nil || problem.From(err).Code != problem.Interrupted {
		t.Errorf("a census that is stopped is answered with %v", err)
	}
}

func (c comparing) orphans(t *testing.T, statements []string) {
	d, db := c.fresh(t)
	for _, s := range statements {
		run(t, db, s)
	}
	want := []migration.Orphan{{Table: "visits", Column: "person", Refers: "people.id", Rows: 2}}
	if diff := cmp.Diff(want, census(t, d).Orphans); diff != "" {
		t.Error(diff)
	}
	run(t, db, "DELETE FROM visits")
	if got := census(t, d).Orphans; len(got) != 0 {
		t.Errorf("there are no rows, and %+v", got)
	}
}

func (c comparing) ask(t *testing.T) {
	d, _ := c.fresh(t, people, "INSERT INTO people (id, name, note) VALUES (1, 'a', ''), (2, 'b; c', NULL)")
	for query, want := range map[string]string{
		"SELECT count(*) FROM people":                     "2",
		"SELECT id, name FROM people ORDER BY id":         "1",
		"-- who\nSELECT name FROM people WHERE id = 2 ; ": "b; c",
		"SELECT id FROM people WHERE id = 3":              "",
		"SELECT note FROM people WHERE id = 2":            data.Null,
		"SELECT note FROM people WHERE id = 1":            data.Empty,
		"WITH x AS (SELECT 7 AS n) SELECT n FROM x":       "7",
		"VALUES ('x'), ('y')":                             "x",
	} {
		if got, err := d.Ask(bounded(t), query); err != nil || got != want {
			t.Errorf("%s: %q, %v, not %q", query, got, err, want)
		}
	}
}

// askRefuses: nothing is changed, and whoever asks is told what is wrong.
func (c comparing) askRefuses(t *testing.T) {
	d, _ := c.fresh(t, people, "INSERT INTO people (id) VALUES (1)")
	before := census(t, d)
	for query, code := range map[string]problem.Code{
		"":                            problem.Invalid,
		"SELECT 1; SELECT 2":          problem.Invalid,
		"SELECT 1; DROP TABLE people": problem.Invalid,
		"DELETE FROM people":          problem.Invalid,
		"UPDATE people SET id = 2":    problem.Invalid,
		"COMMIT":                      problem.Invalid,
		"SELECT 'x":                   problem.Invalid,
		"SELECT nonsense FROM people": problem.Fail,
		"SELECT 1 FROM nowhere":       problem.Fail,
		"WITH gone AS (DELETE FROM people RETURNING id) SELECT id FROM gone": problem.Fail,
	} {
		if got, err := d.Ask(bounded(t), query); problem.From(err) == nil || problem.From(err).Code != code {
			t.Errorf("%s: %q, %v", query, got, err)
		}
	}
	if diff := cmp.Diff(before, census(t, d)); diff != "" {
		t.Error(diff)
	}
}
