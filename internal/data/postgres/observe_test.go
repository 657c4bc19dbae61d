package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/data/datatest"
	"greenroom/internal/migration"
)

const migratorName = "greenroom-migrate-1"

// session is a connection with an application name.
func connection(t testing.TB, d *Database, app string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["application_name"] = app
	conn, err := pgx.ConnectConfig(bounded(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func do(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := conn.Exec(bounded(t), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// orders is a database with a table that is large enough for work on it to be seen.
func orders(t testing.TB, rows int) *Database {
	t.Helper()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, `CREATE TABLE orders (id integer PRIMARY KEY, customer integer NOT NULL, total integer, note text)`,
		fmt.Sprintf(`INSERT INTO orders SELECT g, g %% 1000, g, repeat('x', 100) FROM generate_series(1, %d) g`, rows),
		`ANALYZE orders`)
	return d
}

func watching(t testing.TB, d *Database, o data.WatchOptions) data.Watch {
	t.Helper()
	if o.Migrator == "" {
		o.Migrator = migratorName
	}
	w, err := d.Watch(bounded(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func ended(t testing.TB, w data.Watch) migration.Observation {
	t.Helper()
	o, err := w.End(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d looks, gap %s, %d statements, %d locks, %d waits", o.Samples, o.Gap, len(o.Statements), len(o.Locks), len(o.Waits))
	return o
}

// use has sessions of an application use the database until the returned function is called, each query again and again.
func use(t testing.TB, d *Database, queries ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, q := range queries {
		conn := connection(t, d, "checkout")
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := conn.Exec(context.Background(), q); err != nil {
					t.Errorf("%s: %v", q, err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

const (
	reading = "SELECT total FROM orders WHERE id = 17 AND note <> 'secret'"
	writing = "UPDATE orders SET total = total + 1 WHERE id = 4711"
)

func findLock(o migration.Observation, table, mode string) (migration.Lock, bool) {
	i := slices.IndexFunc(o.Locks, func(l migration.Lock) bool { return l.Table == table && l.Mode == mode })
	if i < 0 {
		return migration.Lock{}, false
	}
	return o.Locks[i], true
}

// TestWatchSeesWhatStandsStill runs changes of a table while an application reads and writes it.
func TestWatchSeesWhatStandsStill(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sql, mode  string
		readers, writers bool
		rewritten        bool
		indexed          bool
	}{
		{"an index", "CREATE INDEX orders_note ON orders (note, customer)", "Share", false, true, false, true},
		{"another type", "ALTER TABLE orders ALTER COLUMN customer TYPE bigint", "AccessExclusive", true, true, true, false},
		{"an index beside", "CREATE INDEX CONCURRENTLY orders_note ON orders (note, customer)", "ShareUpdateExclusive", false, false, false, true},
		{"a key again", "REINDEX INDEX orders_pkey", "AccessExclusive", true, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := orders(t, 300_000)
			w := watching(t, d, data.WatchOptions{Load: "journeys"})
			stop := use(t, d, reading, writing)
			do(t, connection(t, d, migratorName), c.sql)
			stop()
			o := ended(t, w)

			if len(o.Statements) != 1 || o.Statements[0].SQL != c.sql || o.Statements[0].Took <= 0 {
				t.Fatalf("statements: %+v", o.Statements)
			}
			l, ok := findLock(o, "orders", c.mode)
			if !ok || l.Statement != 0 || l.Made || l.Until <= l.From {
				t.Errorf("no lock as expected: %+v in %+v", l, o.Locks)
			}
			readers, writers := false, false
			for _, x := range o.Waits {
				if x.Who != "checkout" || x.Table != "orders" || strings.Contains(x.Query, "secret") || x.Until < x.From {
					t.Errorf("a wait: %+v", x)
				}
				readers, writers = readers || !x.Write, writers || x.Write
			}
			if readers != c.readers || writers != c.writers {
				t.Errorf("readers waited: %t, want %t; writers: %t, want %t", readers, c.readers, writers, c.writers)
			}
			if len(o.Tables) != 1 || o.Tables[0].Name != "orders" || o.Tables[0].Rewritten != c.rewritten || o.Tables[0].Rows < 290_000 ||
				(o.Tables[0].IndexAfter > o.Tables[0].IndexBefore+1<<20) != c.indexed {
				t.Errorf("tables: %+v", o.Tables)
			}
			if o.WAL <= 0 || o.Load != "journeys" || o.Exact || o.Guessed || o.Engine != "postgres" {
				t.Errorf("%+v", o)
			}
			still := migration.StoodStill(o)
			if (len(still) > 0 && still[0].Reads.Took() > 0) != c.readers || (len(still) > 0 && still[0].Writes.Took() > 0) != c.writers {
				t.Errorf("stood still: %+v", still)
			}
			t.Log(migration.Judge(o, migration.Budget{}))
		})
	}
}

func TestWatchConformance(t *testing.T) {
	t.Parallel()
	shared.get(t)
	datatest.RunWatched(t, datatest.Watched{
		Fresh: func(t *testing.T) data.Database {
			_, _, d := account(t)
			return d
		},
		Connect: func(t testing.TB, d data.Database) *sql.DB { return open(t, d.URL()) },
		Migrate: func(t testing.TB, d data.Database, app string, statements ...string) {
			do(t, connection(t, d.(*Database), app), statements...)
		},
		Base:   []string{"CREATE TABLE orders (id integer, total integer)", "INSERT INTO orders SELECT g, g FROM generate_series(1, 100000) g"},
		Change: []string{"BEGIN", "ALTER TABLE orders ALTER total TYPE bigint", "CREATE TABLE made AS SELECT * FROM orders", "CREATE INDEX ON made (total)", "COMMIT"},
		Table:  "orders",
	})
}
