package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/migration"
)

// TestAdviceIsTheSame runs statements, and what is advised in their place, on two databases: both come out with the same
// schema and the same rows.
func TestAdviceIsTheSame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sql, rows string
		rewritten       bool
		leaves          string // what the safer way leaves behind, and that is advised of
	}{
		{"index", "CREATE INDEX IF NOT EXISTS by_note ON orders USING btree (note DESC) WHERE total > 0", "", false, ""},
		{"unique index", `CREATE UNIQUE INDEX "By Id" ON public.orders (id, note)`, "", false, ""},
		{"index without a name", "CREATE INDEX ON orders (lower(note))", "", false, ""},
		{"drop index", "DROP INDEX IF EXISTS orders_total, public.nothing", "", false, ""},
		{"reindex", "REINDEX TABLE orders", "", false, ""},
		{"reindex with options", "REINDEX (VERBOSE) INDEX orders_total", "", false, ""},
		{"refresh", "REFRESH MATERIALIZED VIEW totals", "SELECT string_agg(t::text, ',' ORDER BY t::text) FROM totals t", false, ""},
		{"vacuum", "VACUUM (FULL, ANALYZE) orders", "", false, ""},
		{"not null", "ALTER TABLE orders ALTER COLUMN note SET NOT NULL", "", false, ""},
		{"not null, quoted", `ALTER TABLE "Odd é" ALTER "Some 'Column""" SET NOT NULL`, "", false, ""},
		{"foreign key", "ALTER TABLE ONLY orders ADD FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE", "", false, ""},
		{"foreign key by name", "ALTER TABLE orders ADD CONSTRAINT whose FOREIGN KEY (customer) REFERENCES customers", "", false, ""},
		{"check", "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0 AND note <> ';')", "", false, ""},
		{"unique", "ALTER TABLE orders ADD UNIQUE (id, customer) DEFERRABLE INITIALLY DEFERRED", "", false, ""},
		{"unique by name", "ALTER TABLE orders ADD CONSTRAINT one UNIQUE (id) INCLUDE (note)", "", false, ""},
		{"primary key", "ALTER TABLE orders ADD PRIMARY KEY (id)", "", false, ""},
		{"type", "ALTER TABLE orders ALTER COLUMN total TYPE bigint", "SELECT string_agg(total::text, ',' ORDER BY id) FROM orders", true, ""},
		{"type by an expression", `ALTER TABLE orders ALTER total SET DATA TYPE numeric(12, 2) USING (orders.total + customer) / 100.0`,
			"SELECT string_agg(total::text, ',' ORDER BY id) FROM orders", true, ""},
		{"type, quoted", `ALTER TABLE "Odd é" ALTER "Some 'Column""" TYPE varchar(40) COLLATE "C" USING upper("Some 'Column""")`,
			`SELECT string_agg("Some 'Column""", ',' ORDER BY 1) FROM "Odd é"`, true, ""},
		{"volatile default", "ALTER TABLE orders ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()", "SELECT count(DISTINCT token)::text FROM orders", true, ""},
		{"unique column", "ALTER TABLE orders ADD COLUMN code varchar(10) UNIQUE", "", false, ""},
		{"update", "UPDATE orders SET note = 'was ' || customer, total = 7", "SELECT string_agg(note || total, ',' ORDER BY id) FROM orders", false, ""},
		{"delete", "DELETE FROM orders", "SELECT count(*)::text FROM orders", false, ""},
		{"detach", "ALTER TABLE parts DETACH PARTITION part", "", false, "constraint public.part part_id_check CHECK (((id IS NOT NULL) AND (id = 1)))\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			plain, safe := advised(t), advised(t)
			do(t, connection(t, plain, migratorName), c.sql)
			o := migration.Observation{Engine: "postgres", Exact: true, Statements: []migration.Statement{{SQL: c.sql}},
				Tables: []migration.Table{{Name: "orders", Rewritten: c.rewritten}}}
			advice := migration.Advise(o)
			if len(advice) != 1 {
				t.Fatalf("%+v", advice)
			}
			conn := connection(t, safe, migratorName)
			if c.name == "detach" && serverMajor(conn) < 14 {
				t.Skip("SKIPPED: PostgreSQL 13 can't detach a partition beside others")
			}
			for s := range strings.SplitSeq(advice[0].Instead, ";\n") {
				if _, err := conn.Exec(bounded(t), s, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Fatalf("%s: %v\n%s", s, err, advice[0].Instead)
				}
			}
			want, got := described(t, plain), strings.Replace(described(t, safe), c.leaves, "", 1)
			if want != got {
				t.Errorf("%s\ngave\n%s\nand in its place\n%s", advice[0].Instead, want, got)
			}
			if c.rows != "" {
				if want, got := query[string](t, open(t, plain.URL()), c.rows), query[string](t, open(t, safe.URL()), c.rows); want != got {
					t.Errorf("%s\ngave\n%s\nand in its place\n%s", advice[0].Instead, want, got)
				}
			}
		})
	}
}

func advised(t *testing.T) *Database {
	t.Helper()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE customers (id integer PRIMARY KEY)", "INSERT INTO customers SELECT generate_series(1, 20)",
		"CREATE TABLE orders (id integer NOT NULL, customer integer NOT NULL, total integer, note text)",
		"INSERT INTO orders SELECT g, g % 20 + 1, g * 3, 'note ' || g FROM generate_series(1, 200) g", "CREATE INDEX orders_total ON orders (total)",
		"CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) AS n FROM orders GROUP BY customer", "CREATE UNIQUE INDEX ON totals (customer)",
		"INSERT INTO orders VALUES (201, 1, 5, 'late')", `CREATE TABLE "Odd é" ("Some 'Column""" text)`, `INSERT INTO "Odd é" SELECT 'v' || generate_series(1, 9)`,
		"CREATE TABLE parts (id integer) PARTITION BY LIST (id)", "CREATE TABLE part PARTITION OF parts FOR VALUES IN (1)")
	if strings.Contains(t.Name(), "/type") {
		execute(t, open(t, d.URL()), "DROP INDEX orders_total") // which the advice leaves to a person
	}
	return d
}

func described(t *testing.T, d *Database) string {
	t.Helper()
	text, err := d.Describe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return text
}
