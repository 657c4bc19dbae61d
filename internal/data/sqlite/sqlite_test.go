package sqlite

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"greenroom/internal/data"
	"greenroom/internal/data/datatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
			{Name: "drop a column", SQL: `ALTER TABLE customers DROP COLUMN note`},
			{Name: "rename a column", SQL: `ALTER TABLE customers RENAME COLUMN note TO remark`},
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
