package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// folder reads migrations as the tool lays them out.
func folder(t testing.TB, tool layout.Tool, files map[string]string) []layout.Migration {
	t.Helper()
	all := fstest.MapFS{}
	for name, content := range files {
		all[name] = &fstest.MapFile{Data: []byte(content)}
	}
	migrations, err := layout.Read(all, tool, layout.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	return migrations
}

func fresh(t testing.TB) *Database {
	t.Helper()
	return Open(filepath.Join(t.TempDir(), "an app's #1?.db"))
}

func runAll(t testing.TB, d *Database, o data.RunOptions) data.Ran {
	t.Helper()
	ran, err := d.Run(bounded(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return ran
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func text(t testing.TB, d *Database, query string) string {
	t.Helper()
	s, err := d.Ask(bounded(t), query)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// layouts are the same two migrations in each of the three layouts.
func layouts(second string) map[layout.Tool]map[string]string {
	const first = "CREATE TABLE orders (id integer PRIMARY KEY, total integer);"
	return map[layout.Tool]map[string]string{
		layout.Goose: {
			"00001_orders.sql": "-- +goose Up\n" + first + "\n-- +goose Down\nDROP TABLE orders;\n",
			"00002_rows.sql":   "-- +goose Up\n" + second + "\n-- +goose Down\nDELETE FROM orders;\n",
		},
		layout.Migrate: {
			"1_orders.up.sql": first, "1_orders.down.sql": "DROP TABLE orders;",
			"2_rows.up.sql": second, "2_rows.down.sql": "DELETE FROM orders;",
		},
		layout.Flyway: {
			"V1__orders.sql": first, "U1__orders.sql": "DROP TABLE orders;",
			"V2__rows.sql": second, "U2__rows.sql": "DELETE FROM orders;",
		},
	}
}

func TestRunUpAndDown(t *testing.T) {
	for tool, files := range layouts("INSERT INTO orders (total) VALUES (1); INSERT INTO orders (total) VALUES (2);") {
		t.Run(string(tool), func(t *testing.T) {
			d := fresh(t)
			all := folder(t, tool, files)
			if s, err := d.Applied(bounded(t), tool); err != nil || !s.Missing {
				t.Fatalf("%+v, %v", s, err)
			}
			ran := runAll(t, d, data.RunOptions{Tool: tool, Migrations: all})
			if diff := cmp.Diff([]string{all[0].File, all[1].File}, ran.Done); diff != "" || ran.Failed != "" {
				t.Fatalf("%s%+v", diff, ran)
			}
			s, err := d.Applied(bounded(t), tool)
			if err != nil || layout.Judge(all, s).Verdict != layout.Current {
				t.Errorf("%+v, %v", s, err)
			}
			if again := runAll(t, d, data.RunOptions{Tool: tool, Migrations: all}); len(again.Done) != 0 || again.Failed != "" {
				t.Errorf("done again: %+v", again)
			}
			if got := text(t, d, "SELECT sum(total) FROM orders"); got != "3" {
				t.Errorf("sum %s", got)
			}
			back := layout.Back(all, layout.State{Tool: tool}, s)
			if ran := runAll(t, d, data.RunOptions{Tool: tool, Migrations: back, Down: true}); len(ran.Done) != 2 || ran.Failed != "" {
				t.Fatalf("down: %+v", ran)
			}
			s, err = d.Applied(bounded(t), tool)
			if err != nil || s.Highest() != "" || text(t, d, "SELECT count(*) FROM sqlite_master WHERE name = 'orders'") != "0" {
				t.Errorf("after the way down: %+v, %v", s, err)
			}
			if ran := runAll(t, d, data.RunOptions{Tool: tool, Migrations: all}); len(ran.Done) != 2 {
				t.Errorf("up again: %+v", ran)
			}
		})
	}
}

func TestAMigrationThatFailsLeavesNothing(t *testing.T) {
	for tool, files := range layouts("INSERT INTO orders (total) VALUES (1);\n\nINSERT INTO missing VALUES (2);") {
		t.Run(string(tool), func(t *testing.T) {
			d := fresh(t)
			all := folder(t, tool, files)
			ran := runAll(t, d, data.RunOptions{Tool: tool, Migrations: all})
			line := 3
			if tool == layout.Goose {
				line = 4
			}
			if !strings.Contains(ran.Failed, "no such table: missing") || ran.File != all[1].File || ran.Line != line ||
				!strings.HasPrefix(ran.SQL, "INSERT INTO missing") || ran.Partial || len(ran.Done) != 1 {
				t.Errorf("%+v", ran)
			}
			s, err := d.Applied(bounded(t), tool)
			if st := layout.Judge(all, s); err != nil || st.Verdict != layout.Behind || st.Version != all[0].Version {
				t.Errorf("%+v, %v", st, err)
			}
			if got := text(t, d, "SELECT count(*) FROM orders"); got != "0" {
				t.Errorf("%s rows of a migration that failed", got)
			}
		})
	}
}

// TestOutsideATransaction has a migration whose first statement stays when its second fails.
func TestOutsideATransaction(t *testing.T) {
	d := fresh(t)
	execute(t, open(t, mustCreate(t, d), "wal"), "CREATE TABLE orders (n integer)")
	m := layout.Migration{Version: "1", Name: "n", File: "1_n.up.sql", NoTx: true, Up: []layout.Statement{{SQL: "INSERT INTO orders VALUES (1)", Line: 1}, {SQL: "INSERT INTO missing VALUES (1)", Line: 2}}}
	o := data.RunOptions{Tool: layout.Migrate, Migrations: []layout.Migration{m}}
	ran := runAll(t, d, o)
	if !ran.Partial || ran.Failed == "" || ran.Line != 2 {
		t.Fatalf("%+v", ran)
	}
	s, err := d.Applied(bounded(t), layout.Migrate)
	if err != nil || layout.Judge(o.Migrations, s).Verdict != layout.Half {
		t.Errorf("%+v, %v", s, err)
	}
	_, err = d.Run(bounded(t), o)
	if p := problem.From(err); err == nil || p.Code != problem.Blocked {
		t.Errorf("a half-migrated database was migrated on: %v", err)
	}
	t.Run("nothing done", func(t *testing.T) {
		d := fresh(t)
		o.Migrations[0].Up = []layout.Statement{{SQL: "INSERT INTO missing VALUES (1)", Line: 1}}
		if ran := runAll(t, d, o); ran.Partial || ran.Failed == "" {
			t.Errorf("%+v", ran)
		}
		if s, err := d.Applied(bounded(t), layout.Migrate); err != nil || s.Highest() != "" || len(s.Applied) != 0 {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("vacuum", func(t *testing.T) {
		d := fresh(t)
		o.Migrations[0].Up = []layout.Statement{{SQL: "CREATE TABLE a (n)", Line: 1}, {SQL: "VACUUM", Line: 2}}
		if ran := runAll(t, d, o); ran.Failed != "" || len(ran.Done) != 1 {
			t.Errorf("%+v", ran)
		}
	})
}

func mustCreate(t testing.TB, d *Database) string {
	t.Helper()
	if err := d.create(); err != nil {
		t.Fatal(err)
	}
	return d.file
}

// TestAStatementThatCommits is about a file that no reader of layouts would let through.
func TestAStatementThatCommits(t *testing.T) {
	d := fresh(t)
	m := layout.Migration{Version: "1", File: "1_n.up.sql", Up: []layout.Statement{{SQL: "CREATE TABLE a (n)", Line: 1}, {SQL: "COMMIT", Line: 2}, {SQL: "CREATE TABLE b (n)", Line: 3}}}
	ran := runAll(t, d, data.RunOptions{Tool: layout.Goose, Migrations: []layout.Migration{m}})
	if !ran.Partial || ran.Failed == "" {
		t.Errorf("%+v", ran)
	}
}

// TestTwoMigratorsAtOnce run the same migrations, which would fail the second time.
func TestTwoMigratorsAtOnce(t *testing.T) {
	for _, noTx := range []bool{false, true} {
		d := fresh(t)
		all := folder(t, layout.Goose, layouts("CREATE TABLE once (n integer);")[layout.Goose])
		for i := range all {
			all[i].NoTx = noTx
		}
		var group sync.WaitGroup
		var mu sync.Mutex
		var done []string
		for range 4 {
			group.Go(func() {
				ran, err := Open(d.file).Run(bounded(t), data.RunOptions{Tool: layout.Goose, Migrations: all})
				if err != nil || ran.Failed != "" {
					t.Errorf("%+v, %v", ran, err)
				}
				mu.Lock()
				done = append(done, ran.Done...)
				mu.Unlock()
			})
		}
		group.Wait()
		if len(done) != 2 {
			t.Errorf("run: %v", done)
		}
	}
}

// TestALockTimesOut holds the database as another process would, and lets go after the first time-out.
func TestALockTimesOut(t *testing.T) {
	for _, journal := range []string{"wal", "delete"} {
		t.Run(journal, func(t *testing.T) {
			d := fresh(t)
			db := open(t, d.file, journal)
			execute(t, db, "CREATE TABLE orders (id integer)", "BEGIN IMMEDIATE")
			all := folder(t, layout.Migrate, map[string]string{"1_n.up.sql": "INSERT INTO orders VALUES (1);"})
			o := data.RunOptions{Tool: layout.Migrate, Migrations: all, LockTimeout: 20 * time.Millisecond, Retries: 1, Pause: time.Millisecond}
			ran := runAll(t, d, o)
			if !strings.Contains(ran.Failed, "locked") || ran.Partial {
				t.Errorf("%+v", ran)
			}
			waits := make(chan struct{}, 1)
			o.Progress = func(m migration.Moment) {
				if m.Waits {
					select {
					case waits <- struct{}{}:
					default: // one is enough, and nobody reads the others
					}
				}
			}
			o.LockTimeout = 0
			finished := make(chan data.Ran)
			go func() {
				ran, err := d.Run(bounded(t), o)
				if err != nil {
					t.Error(err)
				}
				finished <- ran
			}()
			<-waits
			execute(t, db, "COMMIT")
			if ran := <-finished; ran.Failed != "" || len(ran.Done) != 1 {
				t.Errorf("%+v", ran)
			}
		})
	}
}

func TestRunCancelled(t *testing.T) {
	d := fresh(t)
	all := folder(t, layout.Migrate, map[string]string{
		"1_n.up.sql": "CREATE TABLE big AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000000000) SELECT n FROM c;",
	})
	ctx, cancel := context.WithCancel(bounded(t))
	o := data.RunOptions{Tool: layout.Migrate, Migrations: all, Progress: func(migration.Moment) { cancel() }}
	if _, err := d.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := text(t, d, "SELECT count(*) FROM sqlite_master WHERE name = 'big'"); got != "0" {
		t.Errorf("%s tables left of a migration that was called off", got)
	}
	o.Progress, o.Statement = nil, 20*time.Millisecond
	if ran := runAll(t, d, o); !strings.Contains(ran.Failed, "took longer than the 20 ms") {
		t.Errorf("%+v", ran)
	}
}

// TestATableThatOthersReferTo is rebuilt as SQLite's manual says (lang_altertable.html, 12 steps): with foreign keys in
// force, dropping the old one would delete the rows that refer to it.
func TestATableThatOthersReferTo(t *testing.T) {
	d := fresh(t)
	db := open(t, d.file, "wal")
	execute(t, db, "CREATE TABLE customers (id integer PRIMARY KEY, name text)",
		"CREATE TABLE orders (id integer PRIMARY KEY, customer integer NOT NULL REFERENCES customers ON DELETE CASCADE)",
		"INSERT INTO customers VALUES (1, 'a'), (2, 'b')", "INSERT INTO orders VALUES (1, 1), (2, 2)")
	all := folder(t, layout.Goose, map[string]string{"1_n.sql": `-- +goose Up
		CREATE TABLE customers_new (id integer PRIMARY KEY, name text NOT NULL);
		INSERT INTO customers_new SELECT id, name FROM customers;
		DROP TABLE customers;
		ALTER TABLE customers_new RENAME TO customers;`})
	w, err := d.Watch(bounded(t), data.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ran := runAll(t, d, data.RunOptions{Tool: layout.Goose, Migrations: all, Watch: w}); ran.Failed != "" {
		t.Fatalf("%+v", ran)
	}
	o, err := w.End(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, d, "SELECT count(*) FROM orders"); got != "2" {
		t.Errorf("%s orders", got)
	}
	c, err := d.Census(bounded(t))
	if err != nil || len(c.Orphans) != 0 {
		t.Errorf("%+v, %v", c.Orphans, err)
	}
	last := o.Locks[len(o.Locks)-1] // the first is the version table's making
	if len(o.Statements) != 4 || !o.Exact || last.Mode != stopsWriters || last.Statement != 0 || last.From > o.Statements[0].From {
		t.Errorf("%+v", o)
	}
	var rewritten, made []string
	for _, table := range o.Tables {
		if table.Rewritten {
			rewritten = append(rewritten, table.Name)
		}
		if table.Made {
			made = append(made, table.Name)
		}
	}
	if diff := cmp.Diff([]string{"customers"}, rewritten); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"goose_db_version"}, made); diff != "" {
		t.Error(diff)
	}
}

func TestTheFileOfAMigrationIsItsFoldersOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can give files away")
	}
	d := fresh(t)
	if err := os.Chown(filepath.Dir(d.file), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	runAll(t, d, data.RunOptions{Tool: layout.Goose, Migrations: folder(t, layout.Goose, layouts("SELECT 1;")[layout.Goose])})
	if uid, _, _, err := d.owner(); err != nil || uid != 65534 {
		t.Errorf("owner %d, %v", uid, err)
	}
}
