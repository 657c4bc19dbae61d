package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"greenroom/internal/data"
	"greenroom/internal/data/datatest"
	"greenroom/internal/layout"
	"greenroom/internal/problem"
)

func TestConformance(t *testing.T) {
	for _, journal := range []string{"wal", "delete"} {
		t.Run(journal, func(t *testing.T) { datatest.Run(t, engine(journal)) })
	}
}

func engine(journal string) datatest.Engine {
	customers := `CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, note text DEFAULT 'x y')`
	orders := `CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer REFERENCES customers (id), paid integer CHECK (paid IN (0, 1)))`
	index := `CREATE INDEX orders_customer ON orders (customer_id)`
	view := `CREATE VIEW paid_orders AS SELECT id FROM orders WHERE paid = 1`
	trigger := `CREATE TRIGGER keep BEFORE DELETE ON customers WHEN old.name = 'Ada' BEGIN SELECT raise(ABORT, 'no'); END`
	return datatest.Engine{
		Fresh: func(t *testing.T) data.Database {
			return Open(filepath.Join(t.TempDir(), "an app's #1?.db"))
		},
		Connect: func(t testing.TB, d data.Database) *sql.DB {
			return open(t, d.(*Database).file, journal)
		},
		Base:     []string{customers, orders, index, view, trigger},
		Shuffled: []string{orders, customers, trigger, view, index},
		Changes: []datatest.Change{
			{Name: "add a column", SQL: `ALTER TABLE orders ADD COLUMN total integer`},
			{Name: "rename a column", SQL: `ALTER TABLE customers RENAME COLUMN note TO remark`},
			{Name: "drop a column", SQL: `ALTER TABLE customers DROP COLUMN remark`},
			{Name: "change a default", SQL: `DROP TABLE orders; CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer REFERENCES customers (id), paid integer DEFAULT 0 CHECK (paid IN (0, 1))); ` + index},
			{Name: "change a check", SQL: `DROP TABLE orders; CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer REFERENCES customers (id), paid integer CHECK (paid IN (0, 1, 2))); ` + index},
			{Name: "add an index", SQL: `CREATE INDEX orders_paid ON orders (paid)`},
			{Name: "drop an index", SQL: `DROP INDEX orders_customer`},
			{Name: "add a unique index", SQL: `CREATE UNIQUE INDEX one_name ON customers (name)`},
			{Name: "change a view", SQL: `DROP VIEW paid_orders; CREATE VIEW paid_orders AS SELECT id FROM orders WHERE paid = 0`},
			{Name: "change a trigger", SQL: `DROP TRIGGER keep; CREATE TRIGGER keep BEFORE DELETE ON customers WHEN old.name = 'ADA' BEGIN SELECT raise(ABORT, 'no'); END`},
			{Name: "add a table", SQL: `CREATE TABLE extra (n)`},
		},
		Neutral: []datatest.Change{
			{Name: "rows", SQL: `INSERT INTO customers (name) VALUES ('Ada')`},
			{Name: "statistics", SQL: `INSERT INTO customers (name) VALUES ('Grace'); ANALYZE`},
			{Name: "spelling", SQL: `DROP VIEW paid_orders; create view "paid_orders" /* again */ as select id -- no
				FROM  orders WHERE paid=1`},
			{Name: "vacuum", SQL: `VACUUM`},
		},
		Destroy: []string{`DROP VIEW paid_orders`, `DROP TABLE orders`, `CREATE TABLE added (n integer)`, `UPDATE customers SET name = 'gone'`},
	}
}

func open(t testing.TB, file, journal string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", address(file, map[string][]string{}))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec("PRAGMA journal_mode = " + journal); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestURL(t *testing.T) {
	if got := Open("/var/lib/shop/a b.db").URL(); got != "sqlite:///var/lib/shop/a%20b.db" {
		t.Error(got)
	}
}

func TestMissingFileIsAnEmptyDatabaseThatNobodyMakes(t *testing.T) {
	dir := t.TempDir()
	d := Open(filepath.Join(dir, "app.db"))
	if err := d.Ping(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := d.Fingerprint(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := d.Backup(context.Background(), filepath.Join(t.TempDir(), "backup")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("made %v, %v", left, err)
	}
	if err := Open(filepath.Join(dir, "missing", "app.db")).Ping(context.Background()); err == nil {
		t.Error("a folder that does not exist answered")
	}
}

// TestRestoreOverAKilledWriter restores where a write-ahead log was left that is not in the database yet. SQLite would
// play it into whatever stands under the database's name.
func TestRestoreOverAKilledWriter(t *testing.T) {
	dir := t.TempDir()
	live := filepath.Join(dir, "live.db")
	db := open(t, live, "wal")
	execute(t, db, "CREATE TABLE kept (n integer)", "INSERT INTO kept VALUES (1)")
	d := Open(filepath.Join(dir, "app.db"))
	file := filepath.Join(t.TempDir(), "backup")
	if _, err := Open(live).Backup(context.Background(), file); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "INSERT INTO kept VALUES (2)", "CREATE TABLE extra (n integer)")
	for _, suffix := range []string{"", "-wal", "-shm"} { // as they stand in the instant of a kill
		if err := copyFile(live+suffix, d.file+suffix, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Restore(context.Background(), file); err != nil {
		t.Fatal(err)
	}
	restored := open(t, d.file, "wal")
	var sum, tables int
	if err := restored.QueryRow("SELECT sum(n), (SELECT count(*) FROM sqlite_master) FROM kept").Scan(&sum, &tables); err != nil || sum != 1 || tables != 1 {
		t.Errorf("sum %d in %d tables, %v; the backup holds 1 in 1", sum, tables, err)
	}
}

// TestTheFilesStayTheirOwners does everything as root on a database of another user's, who must be able to go on.
func TestTheFilesStayTheirOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can give files away")
	}
	const nobody = 65534
	dir := t.TempDir()
	d := Open(filepath.Join(dir, "app.db"))
	db := open(t, d.file, "wal")
	execute(t, db, "CREATE TABLE kept (n integer)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, d.file} {
		if err := os.Chown(name, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(d.file, 0o640); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			if st := info.Sys().(*syscall.Stat_t); st.Uid != nobody || info.Mode().Perm() != 0o640 {
				t.Errorf("after %s %s belongs to %d with %v", what, e.Name(), st.Uid, info.Mode())
			}
		}
	}
	_, err := d.Fingerprint(context.Background())
	check("Fingerprint", err)
	err = d.with(context.Background(), func(conn *sql.Conn) error {
		_, err := conn.ExecContext(context.Background(), "INSERT INTO kept VALUES (1)")
		check("a write", err) // its log is there now
		return nil
	})
	check("with", err)
	_, err = d.Backup(context.Background(), file)
	check("Backup", err)
	check("Restore", d.Restore(context.Background(), file))
	if err := os.Remove(d.file); err != nil {
		t.Fatal(err)
	}
	if err := d.Restore(context.Background(), file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.file); err != nil || info.Sys().(*syscall.Stat_t).Uid != nobody {
		t.Errorf("a database restored where there was none belongs to %+v, %v", info, err)
	}
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func BenchmarkFingerprint100Tables(b *testing.B) {
	d := Open(filepath.Join(b.TempDir(), "app.db"))
	db := open(b, d.file, "wal")
	for i := range 100 {
		if _, err := db.Exec(fmt.Sprintf("CREATE TABLE t%[1]d (id integer PRIMARY KEY, name text NOT NULL DEFAULT '', parent integer REFERENCES t%[1]d (id), a, b, c, CHECK (a > b)); CREATE INDEX t%[1]d_parent ON t%[1]d (parent)", i)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := d.Fingerprint(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMigratorConformance(t *testing.T) {
	for _, journal := range []string{"wal", "delete"} {
		t.Run(journal, func(t *testing.T) { datatest.RunMigrator(t, engine(journal), layout.SQLite) })
	}
}

func TestCopiesConformance(t *testing.T) {
	for _, journal := range []string{"wal", "delete"} {
		t.Run(journal, func(t *testing.T) { datatest.RunCopies(t, engine(journal)) })
	}
}

func TestComparerConformance(t *testing.T) {
	for _, journal := range []string{"wal", "delete"} {
		t.Run(journal, func(t *testing.T) {
			datatest.RunComparer(t, engine(journal), layout.SQLite,
				"CREATE TABLE people (id integer PRIMARY KEY)", "CREATE TABLE visits (id integer PRIMARY KEY, person integer REFERENCES people (id))",
				"INSERT INTO people VALUES (1)", "INSERT INTO visits VALUES (1, 1), (2, 7), (3, 8), (4, NULL)")
		})
	}
}

// TestLocked has what SQLite says to whoever does not wait.
func TestLocked(t *testing.T) {
	d := fresh(t)
	db := open(t, d.file, "delete")
	execute(t, db, "CREATE TABLE t (n)", "BEGIN EXCLUSIVE")
	err := connect(bounded(t), address(d.file, url.Values{}), func(conn *sql.Conn) error {
		return run(bounded(t), conn, "PRAGMA busy_timeout = 0", "SELECT count(*) FROM sqlite_master")
	})
	if p := problem.From(locked(d.file, err)); p == nil || p.Code != problem.Unavailable || !strings.Contains(p.Hint, d.file) {
		t.Errorf("%v is told as %+v", err, p)
	}
	if err := locked(d.file, context.Canceled); !errors.Is(err, context.Canceled) || problem.From(err).Code != problem.Interrupted {
		t.Errorf("something else is told as %v", err)
	}
}
