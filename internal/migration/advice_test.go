package migration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/internal/sqltext"
)

// TestAdvise writes down what is said of statements that stand in the way, and of those that don't.
func TestAdvise(t *testing.T) {
	statements := []string{
		"CREATE INDEX by_note ON orders (note)", "create unique index on \"Odd\".\"Or ders\" (id)", "CREATE INDEX CONCURRENTLY fine ON orders (note)", "CREATE INDEX ON made (id)",
		"DROP INDEX a, b", "DROP INDEX CONCURRENTLY a", "REINDEX TABLE orders", "REINDEX TABLE CONCURRENTLY orders",
		"REFRESH MATERIALIZED VIEW totals", "VACUUM FULL orders", "VACUUM (ANALYZE) orders", "CLUSTER orders USING by_note",
		"LOCK TABLE orders", "LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE", "LOCK TABLE orders IN ROW EXCLUSIVE MODE NOWAIT",
		"BEGIN; ALTER TYPE mood ADD VALUE 'new'; COMMIT", "ALTER TYPE mood ADD VALUE 'alone'",
		"DROP TABLE IF EXISTS orders", "DROP TABLE made", "ALTER TABLE orders RENAME TO old_orders", "ALTER TABLE orders RENAME COLUMN note TO remark", "ALTER TABLE orders RENAME CONSTRAINT a TO b",
		"ALTER TABLE orders DROP COLUMN note, DROP CONSTRAINT x, ADD COLUMN fine integer, ADD COLUMN also timestamptz NOT NULL DEFAULT now()",
		"ALTER TABLE orders ADD COLUMN number bigserial", "ALTER TABLE orders ADD g integer GENERATED ALWAYS AS (total * 2) STORED", "ALTER TABLE orders ADD i bigint GENERATED ALWAYS AS IDENTITY",
		"ALTER TABLE orders ADD COLUMN code varchar(10) DEFAULT 'x(y)' NOT NULL", "ALTER TABLE orders ADD COLUMN code numeric(10, 2) DEFAULT random() NOT NULL",
		"ALTER TABLE orders ALTER total TYPE bigint", "ALTER TABLE same ALTER total TYPE text",
		"ALTER TABLE orders ALTER COLUMN note SET NOT NULL", "ALTER TABLE checked VALIDATE CONSTRAINT c", "ALTER TABLE checked ALTER COLUMN note SET NOT NULL",
		"ALTER TABLE orders ADD CHECK (total > 0) NOT VALID", "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0)",
		"ALTER TABLE orders ADD PRIMARY KEY USING INDEX i", "ALTER TABLE orders ADD CONSTRAINT e EXCLUDE USING gist (r WITH &&)", "ALTER TABLE orders SET UNLOGGED",
		"UPDATE orders SET note = lower(note)", "UPDATE orders SET note = 'x'", "UPDATE orders o SET note = 'x'", "UPDATE orders SET note = 'x' WHERE id = 5", "UPDATE orders SET (a, b) = (1, 2)",
		"DELETE FROM orders WHERE id = 5", "DELETE FROM orders", "DELETE FROM orders USING old WHERE old.id = orders.id AND pg_sleep(0) IS NOT NULL",
		"DO $$ BEGIN UPDATE orders SET x = 1; END $$", "INSERT INTO orders VALUES ('CREATE INDEX; UPDATE x SET y = 1')", "SELECT 1 -- DROP TABLE orders\n", "/* LOCK TABLE x */ COMMIT",
		"CREATE INDEX cut_off ON orders (id, " + strings.Repeat("a", 2100),
	}
	o := Observation{Engine: "postgres", Exact: true, Tables: []Table{{Name: "made", Made: true}, {Name: "orders", Rewritten: true}, {Name: "same"}}}
	for _, s := range statements {
		took := time.Duration(0)
		if strings.Contains(s, "WHERE old.id") || strings.HasPrefix(s, "UPDATE orders SET note = 'x' WHERE") {
			took = 2 * time.Second
		}
		o.Statements = append(o.Statements, Statement{SQL: s, Took: took})
	}
	var b strings.Builder
	advice := Advise(o)
	for i, s := range statements {
		fmt.Fprintf(&b, "%s\n", cutLine(s))
		for _, a := range advice {
			if a.Statement == i {
				fmt.Fprintf(&b, "    %s\n        %s\n", a.Why, strings.ReplaceAll(a.Instead, "\n", "\n        "))
			}
		}
	}
	golden(t, "advice.golden", b.String())
}

func cutLine(s string) string {
	if line := []rune(oneLine(s)); len(line) > 120 {
		return string(line[:119]) + "…"
	}
	return oneLine(s)
}

func TestAdviseOnTheWhole(t *testing.T) {
	o := Observation{Engine: "postgres", Statements: []Statement{{SQL: "ALTER TABLE orders ADD x integer", Took: 5 * ms}, {SQL: "SELECT fill()", From: 5 * ms, Took: 3 * time.Second}},
		Locks: []Lock{lockOf("orders", "AccessExclusive", 0, 0, 3005*ms)}}
	got := Advise(o)
	if len(got) != 2 || got[0].Statement != -1 || got[0].Why != "the lock on orders was held for 3 s after the statement that needed it, until its transaction ended" ||
		!strings.Contains(got[1].Instead, "lock_timeout") {
		t.Errorf("%+v", got)
	}
	o.Statements = append(o.Statements, Statement{SQL: "SET LOCAL lock_timeout TO '1s'"})
	o.Locks[0].Until = 10 * ms
	if got := Advise(o); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	o.Engine, o.Statements = "sqlite", []Statement{{SQL: "DROP TABLE orders"}, {SQL: "CREATE INDEX a ON orders (b)"}, {SQL: "UPDATE orders SET a = 1"}, {SQL: "ALTER TABLE [Our Orders] DROP COLUMN `a b`"}}
	if got := Advise(o); len(got) != 2 || got[0].Statement != 0 || !strings.HasPrefix(got[1].Why, "the release that is live uses `a b` of [Our Orders]") {
		t.Errorf("%+v", got)
	}
}

// TestAdviseTakesAnything gives it pieces of statements in any order.
func TestAdviseTakesAnything(t *testing.T) {
	words := []string{"ALTER", "TABLE", "ADD", "CONSTRAINT", "COLUMN", "TYPE", "USING", "INDEX", "(", ")", ",", ";", "\"a", "\"b\"", "'", "$$", "$x$", "/*", "*/", "--", "UPDATE", "SET", "=",
		"WHERE", "DELETE", "FROM", "CREATE", "UNIQUE", "ON", "DEFAULT", "NOT", "NULL", "é", "\x00", "\xff", ".", "orders", "FULL", "VACUUM", "REINDEX", "LOCK", "IN", "MODE", "DROP", "CHECK", "INCLUDE", "PRIMARY", "KEY", "E'\\"}
	rapid.Check(t, func(t *rapid.T) {
		sql := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 14).Draw(t, "words"), rapid.SampledFrom([]string{" ", ""}).Draw(t, "between"))
		Advise(Observation{Engine: "postgres", Statements: []Statement{{SQL: sql}}})
		growth(sql, sqltext.PostgreSQL)
	})
}

func TestLiterals(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT * FROM a WHERE b = 'secret' AND c = 42":              "SELECT * FROM a WHERE b = '…' AND c = 0",
		"SELECT  'it''s'\n\t, E'a\\'b', $$x$$, $t$a$$b$t$ -- secret": "SELECT '…' , '…', '…', '…'",
		"/* by=secret */ SELECT \"it's\" FROM t1 WHERE x = $1":       `SELECT "it's" FROM t1 WHERE x = $1`,
		"UPDATE a SET b = 'secret that is cut off":                   "UPDATE a SET b = '…'",
		"SELECT 1.5e3, -7, x'ff', u&'d'":                             "SELECT 0, -0, x'…', u&'…'",
		"":                                                           "",
	} {
		if got := Literals(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// FuzzLiterals looks for a value that comes through, for a text that grows, and for one that is not read to its end.
func FuzzLiterals(f *testing.F) {
	f.Add("SELECT 'a' || \"b\" || $$c$$ -- d\n/* e /* f */ g */ 1", "x")
	f.Fuzz(func(t *testing.T, sql, value string) {
		end := 0
		for _, tok := range scan(sql, sqltext.PostgreSQL) {
			if tok.At < end || tok.End() <= tok.At || tok.End() > len(sql) {
				t.Fatalf("%q: %+v", sql, tok)
			}
			end = tok.End()
		}
		statements(sql, sqltext.PostgreSQL)
		quoted := "'" + strings.ReplaceAll(value, "'", "''") + "'"
		if got := Literals("SELECT " + quoted + ", 1"); got != "SELECT '…', 0" {
			t.Fatalf("%q became %q", quoted, got)
		}
	})
}
