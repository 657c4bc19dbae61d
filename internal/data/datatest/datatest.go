// Package datatest is what every engine of package data has to do, as tests that run on a real database.
package datatest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"greenroom/internal/data"
)

// Engine is an engine under test. Base has to make at least the tables customers (id, name) and orders (id, customer_id),
// and a few more things for Changes to change.
type Engine struct {
	Fresh    func(t *testing.T) data.Database            // a new, empty database, gone with the test
	Connect  func(t testing.TB, d data.Database) *sql.DB // as an application does
	Base     []string                                    // statements that make a schema
	Shuffled []string                                    // that make the same schema in another order
	Changes  []Change                                    // one after the other on Base's schema: each makes one that was not there before
	Neutral  []Change                                    // one after the other before Changes: each leaves the schema as it is
	Destroy  []string                                    // a migration that destroys data of Base's and adds a table
}

// Change is one or several statements.
type Change struct {
	Name string
	SQL  string
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	beside(t, "Fingerprint", e.fingerprint)
	beside(t, "Backup", e.backup)
	beside(t, "Restore", e.restore)
	beside(t, "Use", e.use)
}

// beside runs a part of the suite beside the others: each has databases of its own.
func beside(t *testing.T, name string, part func(*testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		part(t)
	})
}

// timeout bounds every call of the suite; it says nothing about how fast one should be.
const timeout = time.Minute

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	t.Cleanup(cancel)
	return ctx
}

// base makes a database with Base's schema.
func (e Engine) base(t *testing.T) (data.Database, *sql.DB) {
	d := e.Fresh(t)
	db := e.Connect(t, d)
	run(t, db, e.Base...)
	return d, db
}

func run(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(bounded(t), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func count(t testing.TB, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(bounded(t), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func fingerprint(t testing.TB, d data.Database) string {
	t.Helper()
	f, err := d.Fingerprint(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func reconnect(t *testing.T, e Engine, d data.Database, db *sql.DB) *sql.DB {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return e.Connect(t, d)
}
