package postgres

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// plantedValue is how every planted value looks in small letters.
var plantedValue = regexp.MustCompile(`quib\d{4}leson`)

// findPlanted looks for a planted value in any case, and for one as hexadecimal digits. -1 is none.
func findPlanted(text []byte) int {
	text = bytes.ToLower(text)
	for from := 0; ; {
		at := bytes.Index(text[from:], []byte("quib"))
		if at < 0 {
			break
		}
		at += from
		if plantedValue.Match(text[at:min(len(text), at+13)]) {
			return at
		}
		from = at + 1
	}
	return max(bytes.Index(text, fmt.Appendf(nil, "%x", "quib")), bytes.Index(text, fmt.Appendf(nil, "%x", "Quib")))
}

// plant puts a thousand different values into every kind of column, and into whatever else keeps texts: comments, bodies,
// defaults, the planner's statistics, rows that are gone, a table of changes, an outbox.
func plant(t *testing.T, d *Database) {
	t.Helper()
	db := open(t, d.URL())
	execute(t, db, "CREATE EXTENSION hstore", "CREATE EXTENSION citext",
		`CREATE TYPE person AS (first text, last text)`, `CREATE DOMAIN label AS varchar(80) CHECK (VALUE <> '')`,
		`CREATE TABLE people (id integer PRIMARY KEY, name text, mail varchar(80) UNIQUE, ci citext, fixed char(40), nm name, j json, jb jsonb, arr text[], arrs varchar(40)[][],
			b bytea, x xml, h hstore, c person, cs person[], d label, ds label[], ts tsvector, tq tsquery, ip inet, note text, born date, amount numeric)`,
		`INSERT INTO people SELECT g, v, lower(v) || '@private-mail.com', v, v, v, json_build_object('who', v, 'more', ARRAY[v]), jsonb_build_object('deep', jsonb_build_object('who', v)),
			ARRAY[v, 'other ' || v], ARRAY[ARRAY[v], ARRAY[v || ', "' || v || '"']], convert_to(v, 'UTF8'), xmlelement(name person, xmlattributes(v AS who), v),
			hstore(v, v), ROW(v, v)::person, ARRAY[ROW(v, v)::person], v, ARRAY[v::label], to_tsvector('simple', v), plainto_tsquery('simple', v), '203.0.113.77', E'a\tnote \\ of\n' || v, '1980-01-01', g
			FROM (SELECT g, 'Quib' || lpad(g::text, 4, '0') || 'leson' AS v FROM generate_series(0, 999) g) AS s`,
		`CREATE TABLE audit (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), old jsonb, new jsonb, line text)`,
		`INSERT INTO audit (old, new, line) SELECT to_jsonb(p) - 'h', jsonb_build_array(p.name, p.mail), 'changed: ' || p.name || ' <' || p.mail || '>' FROM people p`,
		`CREATE TABLE outbox (id bigserial, payload text, raw bytea)`,
		`INSERT INTO outbox (payload, raw) SELECT row_to_json(p)::text, convert_to(row_to_json(p)::text, 'UTF8') FROM people p`,
		`CREATE TABLE parts (id integer, who text) PARTITION BY RANGE (id)`, `CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (2000)`,
		`INSERT INTO parts SELECT id, name FROM people`,
		`CREATE MATERIALIZED VIEW seen AS SELECT name, mail FROM people`, `CREATE INDEX ON people (lower(name))`, `CREATE STATISTICS both_columns (mcv) ON name, mail FROM people`,
		`COMMENT ON TABLE people IS 'Quib0001leson complained'`, `COMMENT ON COLUMN people.name IS 'as Quib0002leson'`,
		`ALTER TABLE people ALTER name SET DEFAULT 'Quib0003leson'`,
		`CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql AS $$ BEGIN -- ask Quib0004leson
			RETURN 'Quib0005leson'; END $$`,
		`CREATE FUNCTION mail() RETURNS text LANGUAGE sql AS 'SELECT ''quib0006leson@private-mail.com'''`,
		`CREATE VIEW of_one AS SELECT id FROM people WHERE name = 'Quib0007leson'`, `CREATE INDEX ON people (id) WHERE name = 'Quib0008leson'`,
		`ANALYZE`, `UPDATE people SET note = note || '!'`, `DELETE FROM people WHERE id % 3 = 0`)
	if n := query[int](t, db, `SELECT count(*) FROM pg_stats WHERE concat(most_common_vals::text, histogram_bounds::text) ILIKE '%quib%leson%' AND schemaname = 'public' AND tablename = 'parts'`); n == 0 {
		t.Fatal("the statistics hold nothing: there is nothing to test")
	}
}

// TestPlantedValues is the promise of a snapshot: with the rules that are proposed for this structure, none of a thousand
// values in any kind of column is found in the snapshot, in the database that was filled from it, in a single byte of its
// server's folder, in its statistics, its log, or in what was told meanwhile.
func TestPlantedValues(t *testing.T) {
	t.Parallel()
	_, _, source := account(t)
	plant(t, source)
	shape, err := source.Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	rules, _ := mask.Propose(shape)
	var told []string
	progress := func(p data.Progress) { told = append(told, fmt.Sprintf("%+v", p)) }
	dir := filepath.Join(t.TempDir(), "snapshot")
	s, err := source.Snapshot(bounded(t), dir, data.SnapshotOptions{Rules: rules, Key: testKey, Progress: progress})
	if err != nil {
		t.Fatalf("%v\n%s", err, problem.From(err).Hint)
	}
	if s.Canaries < 1000 || s.Literals == 0 {
		t.Errorf("%d canaries and %d texts of the schema", s.Canaries, s.Literals)
	}
	target, targetServer := serverOfItsOwn(t)
	if _, err := target.Load(bounded(t), dir, data.LoadOptions{Progress: progress}); err != nil {
		t.Fatalf("%v\n%s", err, problem.From(err).Hint)
	}
	db := open(t, target.URL())
	checkpoint(t, target)
	if n := query[int](t, db, "SELECT count(*) FROM people JOIN parts USING (id) WHERE name IS NOT NULL"); n != 666 {
		t.Errorf("%d rows arrived", n)
	}
	statistics := query[string](t, db, `SELECT string_agg(concat(most_common_vals::text, histogram_bounds::text), ' ') FROM pg_stats`)
	var dump bytes.Buffer
	_, err = target.tool(bounded(t), tool{argv: []string{target.programs.path("pg_dump"), "--inserts"}, stdout: &dump}, target.name)
	if err != nil || !strings.Contains(dump.String(), "INSERT") {
		t.Fatal(err)
	}
	searchText(t, "the statistics", []byte(statistics))
	searchText(t, "a dump", dump.Bytes())
	searchText(t, "the log", []byte(targetServer.log.String()))
	searchText(t, "what was told", []byte(strings.Join(told, "\n")))
	searchFolder(t, dir)
	targetServer.end(syscall.SIGINT)
	searchFolder(t, targetServer.Dir)
}

// TestCanaries has a value that is masked in one column stand in another that is kept: in the whole of it, which is a
// person's decision, and in a part of it, which nobody decided.
func TestCanaries(t *testing.T) {
	t.Parallel()
	_, _, source := account(t)
	db := open(t, source.URL())
	execute(t, db, "CREATE TABLE people (id integer PRIMARY KEY, mail text)", "CREATE TABLE log (line text)",
		"INSERT INTO people SELECT g, 'Somebody.' || md5(g::text) || '@private-mail.com' FROM generate_series(1, 500) g",
		"INSERT INTO log SELECT mail FROM people")
	rules := keepAll(t, source)
	rules.Tables["people"].Columns["mail"] = mask.Rule{Use: "email"}
	if _, s := take(t, source, rules); s.Shared["people.mail"] == 0 {
		t.Errorf("nothing says that mails stand in the log too: %+v", s.Shared)
	}

	execute(t, db, "INSERT INTO log SELECT 'sent to ' || mail FROM people")
	execute(t, db, "DELETE FROM log WHERE line NOT LIKE 'sent%'")
	parent := t.TempDir()
	_, err := source.Snapshot(bounded(t), filepath.Join(parent, "snapshot"), data.SnapshotOptions{Rules: rules, Key: testKey})
	p := problem.From(err)
	if p == nil || p.Code != problem.Fail || strings.Contains(p.Message+p.Hint, "@") {
		t.Fatalf("got %v, want a problem without the value", err)
	}
	mustContain(t, p.Message, "people.mail", "the table log", "line")
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// serverOfItsOwn is a database in a server that no other test has, and that is gone with the test.
func serverOfItsOwn(t *testing.T) (*Database, *running) {
	t.Helper()
	r, err := boot(bounded(t), newServer(programs(t), filepath.Join(folder(t), "server")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(syscall.SIGINT) })
	a := Account{Role: "shop", Password: "shop", Database: "shop"}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	d, err := r.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

// checkpoint has the server write everything into its files.
func checkpoint(t *testing.T, d *Database) {
	t.Helper()
	err := d.with(bounded(t), d.name, func(conn *pgx.Conn) error {
		_, err := conn.Exec(bounded(t), "CHECKPOINT")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func searchText(t *testing.T, where string, text []byte) {
	t.Helper()
	if len(text) == 0 {
		t.Errorf("%s is empty: there is nothing to search", where)
	}
	if at := findPlanted(text); at >= 0 {
		t.Errorf("in %s at %d: %q", where, at, text[max(0, at-40):min(len(text), at+40)])
	}
}

// searchFolder searches every file, as it is and decompressed.
func searchFolder(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil || len(text) == 0 {
			return err
		}
		files++
		searchText(t, name, text)
		if strings.HasSuffix(name, ".zst") {
			z, err := decompressor(bytes.NewReader(text))
			if err != nil {
				return err
			}
			defer z.Close()
			if text, err = io.ReadAll(z); err != nil {
				return err
			}
			if len(text) > 0 {
				searchText(t, name+" decompressed", text)
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files in %s: %v", files, dir, err)
	}
}
