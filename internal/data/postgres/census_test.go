package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

func mustCensus(t testing.TB, d *Database) migration.Census {
	t.Helper()
	c, err := d.Census(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func countOf(t testing.TB, c migration.Census, table string) migration.Count {
	t.Helper()
	for _, n := range c.Tables {
		if n.Name == table {
			return n
		}
	}
	t.Fatalf("%s is not counted: %+v", table, c)
	return migration.Count{}
}

// TestCensusKnowsAllTypes: values of every kind are summed up, one that changes is seen, and no setting makes a difference.
func TestCensusKnowsAllTypes(t *testing.T) {
	t.Parallel()
	_, a, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TYPE mood AS ENUM ('fine', 'tired')", "CREATE TYPE pair AS (a int, b text)", "CREATE DOMAIN cents AS int CHECK (VALUE >= 0)", "CREATE TYPE span AS RANGE (subtype = int)")
	types := map[string][2]string{ // a value, and another one
		"smallint": {"1", "2"}, "bigint": {"9223372036854775807", "-1"}, "numeric(20,4)": {"1.5", "1.5001"}, "real": {"0.1", "0.2"}, "double precision": {"0.1", "0.10000000000000002"},
		"money": {"'1.50'", "'1.51'"}, "text": {"'a'", "'a '"}, "char(5)": {"'a'", "'b'"}, "varchar": {"''", "' '"}, "bytea": {`'\x00ff'`, `'\x00fe'`}, "boolean": {"true", "false"},
		"timestamp": {"'2020-01-01 00:00:00'", "'2020-01-01 00:00:00.000001'"}, "timestamptz": {"'2020-01-01 00:00:00Z'", "'2020-01-01 00:00:01Z'"}, "date": {"'2020-01-01'", "'infinity'"},
		"time": {"'10:00'", "'10:01'"}, "interval": {"'1 month'", "'30 days'"}, "uuid": {"'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"},
		"json": {`'{"a": 1}'`, `'{"a":1}'`}, "jsonb": {`'{"a": 1}'`, `'{"a": 2}'`}, "xml": {"'<a/>'", "'<b/>'"}, "inet": {"'10.0.0.1'", "'10.0.0.2'"}, "int[]": {"'{1,null}'", "'{1}'"}, "point": {"'(1,2)'", "'(1,3)'"},
		"mood": {"'fine'", "'tired'"}, "pair": {"ROW(1, 'x')", "ROW(NULL, NULL)"}, "pair[]": {"ARRAY[ROW(1, 'x')::pair]", "'{}'"}, "cents": {"1", "2"}, "span": {"'[1,2)'", "'[1,3)'"}, "tsvector": {"'a b'", "'a c'"}, "bit(3)": {"B'101'", "B'100'"},
	}
	var columns, values []string
	byColumn := map[string][2]string{}
	for name, v := range types {
		column := fmt.Sprintf("c%d", len(columns))
		byColumn[column] = v
		columns, values = append(columns, column+" "+name), append(values, v[0])
	}
	execute(t, db, "CREATE TABLE kinds ("+strings.Join(columns, ", ")+")", "INSERT INTO kinds VALUES ("+strings.Join(values, ", ")+")", "INSERT INTO kinds DEFAULT VALUES")
	before := mustCensus(t, d)
	for _, c := range countOf(t, before, "kinds").Columns {
		if c.Nulls != 1 || c.Sum == "0" {
			t.Errorf("%s has %+v", c.Type, c)
		}
	}
	for _, s := range []string{"DateStyle = 'German'", "TimeZone = 'Asia/Tokyo'", "IntervalStyle = 'iso_8601'", "extra_float_digits = -15", "bytea_output = 'escape'", "search_path = nowhere", "lc_monetary = 'C'"} {
		execute(t, db, "ALTER DATABASE "+quote(a.Database)+" SET "+s)
	}
	if diff := cmp.Diff(before, mustCensus(t, d)); diff != "" {
		t.Errorf("settings make a difference: %s", diff)
	}
	for column, v := range byColumn {
		execute(t, db, "UPDATE public.kinds SET "+column+" = "+v[1]+" WHERE "+column+" IS NOT NULL")
	}
	for i, c := range countOf(t, mustCensus(t, d), "kinds").Columns {
		if was := countOf(t, before, "kinds").Columns[i]; c == was {
			t.Errorf("a change of %s is not seen: %+v", c.Type, c)
		}
	}
}

// TestCensusCountsEveryRowOnce, whatever the tables are to one another; and all rows where a policy would hide some.
func TestCensusCountsEveryRowOnce(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE log (n int) PARTITION BY RANGE (n)", "CREATE TABLE log1 PARTITION OF log FOR VALUES FROM (0) TO (10)", "CREATE TABLE log2 PARTITION OF log FOR VALUES FROM (10) TO (20)",
		"INSERT INTO log VALUES (1), (2), (11)", "CREATE TABLE parent (n int)", "CREATE TABLE child () INHERITS (parent)", "INSERT INTO parent VALUES (1)", "INSERT INTO child VALUES (2), (3)",
		"CREATE SCHEMA billing", "CREATE UNLOGGED TABLE billing.parent (n int)", "INSERT INTO billing.parent SELECT generate_series(1, 7)",
		"CREATE MATERIALIZED VIEW seen AS SELECT 1", "CREATE TABLE nothing ()", "INSERT INTO nothing DEFAULT VALUES",
		"CREATE TABLE secret (n int)", "INSERT INTO secret VALUES (1), (2)", "ALTER TABLE secret ENABLE ROW LEVEL SECURITY", "ALTER TABLE secret FORCE ROW LEVEL SECURITY", "CREATE POLICY one ON secret USING (n = 1)")
	var got []string
	for _, c := range mustCensus(t, d).Tables {
		got = append(got, fmt.Sprintf("%s %d", c.Name, c.Rows))
	}
	if diff := cmp.Diff([]string{"billing.parent 7", "child 2", "log 3", "nothing 1", "parent 1", "secret 2"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestCensusOfAWideTable has more columns than one query can sum up.
func TestCensusOfAWideTable(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	var columns []string
	for i := range 1500 {
		columns = append(columns, fmt.Sprintf("c%d bool", i))
	}
	execute(t, open(t, d.URL()), "CREATE TABLE wide ("+strings.Join(columns, ", ")+")", "INSERT INTO wide (c7, c1499) VALUES (true, false)")
	c := countOf(t, mustCensus(t, d), "wide")
	filled := 0
	for _, column := range c.Columns {
		if column.Nulls == 0 {
			filled++
		}
	}
	if c.Rows != 1 || len(c.Columns) != 1500 || filled != 2 {
		t.Errorf("%d rows, %d columns, %d with a value", c.Rows, len(c.Columns), filled)
	}
}

// TestCensusFindsOrphans also where a key was validated, and somebody wrote with its triggers off.
func TestCensusFindsOrphans(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, `CREATE SCHEMA "S"`, `CREATE TABLE "S"."To" (a int, "B" text, PRIMARY KEY (a, "B"))`, `INSERT INTO "S"."To" VALUES (1, 'x')`,
		`CREATE TABLE many (a int, b text, c int UNIQUE, up int REFERENCES many (c), FOREIGN KEY (a, b) REFERENCES "S"."To")`,
		`INSERT INTO many VALUES (1, 'x', 1, 1)`, `ALTER TABLE many DISABLE TRIGGER ALL`,
		`INSERT INTO many VALUES (1, 'y', 2, 9), (2, NULL, 3, NULL), (3, 'x', 4, 8)`, `ALTER TABLE many ENABLE TRIGGER ALL`)
	want := []migration.Orphan{{Table: "many", Column: "a, b", Refers: "S.To.a, B", Rows: 2}, {Table: "many", Column: "up", Refers: "many.c", Rows: 2}}
	if diff := cmp.Diff(want, mustCensus(t, d).Orphans); diff != "" {
		t.Error(diff)
	}
}

// TestCensusTellsWhatAMigrationLost, from the first statement to the sentence.
func TestCensusTellsWhatAMigrationLost(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE people (id int PRIMARY KEY, name text, phone text, at timestamp, mail text)", "CREATE TABLE visits (id int, person int REFERENCES people ON DELETE CASCADE)", "CREATE TABLE old (id int)",
		"INSERT INTO people SELECT n, 'n' || n, CASE WHEN n > 2 THEN 'p' || n END, '2020-01-01', 'M' || n FROM generate_series(1, 40) n", "INSERT INTO visits SELECT n, 1 + n % 40 FROM generate_series(1, 100) n", "INSERT INTO old VALUES (1), (2)")
	before := mustCensus(t, d)
	mustRun(t, d, layout.Migrate, migrateFiles(t,
		"ALTER TABLE people DROP phone;\nALTER TABLE people ALTER at TYPE timestamptz, ALTER id TYPE bigint;\nUPDATE people SET mail = lower(mail);\nALTER TABLE people RENAME name TO full_name",
		"DELETE FROM visits WHERE person <= 10;\nDROP TABLE old;\nALTER TABLE visits DROP CONSTRAINT visits_person_fkey;\nUPDATE visits SET person = 77 WHERE person = 20;\nALTER TABLE visits ADD FOREIGN KEY (person) REFERENCES people NOT VALID"), false)
	after := mustCensus(t, d)
	lost, changed := migration.Compare(before, after)
	var got []string
	for _, l := range append(lost, changed...) {
		got = append(got, l.Table+": "+l.Text)
	}
	want := []string{"visits: 29 of 100 rows are gone", "old: the table is gone, with 2 rows", "people: the column phone is gone, with 38 values",
		"people: the column at changed its type from timestamp without time zone to timestamp with time zone, and its values are written another way now: compare 40 values by hand",
		"people: values of mail are not what they were, in up to 40 rows", "visits: 3 rows more refer in person to people.id, where nothing is"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCensusIsCancelled: the statement ends with it.
func TestCensusIsCancelled(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE people (id int)")
	clerk := locked(t, d, "LOCK TABLE people") // the census waits for it
	ctx, cancel := context.WithCancel(bounded(t))
	go func() {
		eventually(t, "it waits", func() bool {
			return query[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'greenroom' AND datname = current_database()") > 0
		})
		cancel()
	}()
	if _, err := d.Census(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it is answered with %v", err)
	}
	if _, err := clerk.Exec(bounded(t), "COMMIT"); err != nil {
		t.Error(err)
	}
}

// TestAskIsTheRoles: a query of the release's has no more rights than its role, and can't write by any way.
func TestAskIsTheRoles(t *testing.T) {
	t.Parallel()
	r := shared.get(t)
	a := Account{Role: unique(), Password: "x", Database: unique()}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	d, err := r.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, open(t, d.URL()), "CREATE TABLE people (id int)", "CREATE SEQUENCE numbers",
		"CREATE FUNCTION climb() RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SET TRANSACTION READ WRITE'; INSERT INTO people VALUES (1); RETURN 'x'; END $$")
	if who, err := d.Ask(bounded(t), "SELECT current_user || ' ' || current_setting('is_superuser')"); err != nil || who != a.Role+" off" {
		t.Errorf("it is asked by %s, %v", who, err)
	}
	for _, q := range []string{"SELECT nextval('numbers')", "SELECT climb()", "SELECT * FROM people FOR UPDATE", "SELECT pg_read_file('/etc/passwd')", "SELECT 1/0", "SELECT * INTO copied FROM people"} {
		if v, err := d.Ask(bounded(t), q); problem.From(err) == nil || problem.From(err).Code != problem.Fail {
			t.Errorf("%s: %q, %v", q, v, err)
		}
	}
	if n := countOf(t, mustCensus(t, d), "people").Rows; n != 0 {
		t.Errorf("%d rows were written", n)
	}
}

func BenchmarkCensus(b *testing.B) {
	r := shared.get(b)
	a := Account{Role: unique(), Password: "x", Database: unique(), Superuser: true}
	if err := r.EnsureDatabase(bounded(b), a); err != nil {
		b.Fatal(err)
	}
	d, err := r.Database(a)
	if err != nil {
		b.Fatal(err)
	}
	execute(b, open(b, d.URL()), "CREATE TABLE people AS SELECT n AS id, 'name ' || n AS name, md5(n::text) AS hash, now() AS at, n % 7 = 0 AS flag FROM generate_series(1, 200000) n")
	for b.Loop() {
		if _, err := d.Census(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(200000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
