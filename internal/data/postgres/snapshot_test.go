package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

var testKey = mask.Key(bytes.Repeat([]byte{1}, 32))

// keepAll are rules that keep every value of a database.
func keepAll(t testing.TB, d *Database) mask.Rules {
	t.Helper()
	s, err := d.Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	r := mask.Rules{Tables: map[string]mask.TableRules{}}
	for _, table := range s.Tables {
		columns := map[string]mask.Rule{}
		for _, c := range table.Columns {
			if !c.Generated {
				columns[c.Name] = mask.Rule{Use: "keep"}
			}
		}
		r.Tables[table.Name] = mask.TableRules{Columns: columns}
	}
	return r
}

// take takes a snapshot with rules.
func take(t testing.TB, d *Database, r mask.Rules) (string, data.Snapshot) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "snapshot")
	s, err := d.Snapshot(bounded(t), dir, data.SnapshotOptions{Rules: r, Key: testKey, Jobs: 2})
	if err != nil {
		t.Fatalf("%v (%s)", err, problem.From(err).Hint)
	}
	return dir, s
}

func load(t testing.TB, d *Database, dir string) data.Loaded {
	t.Helper()
	l, err := d.Load(bounded(t), dir, data.LoadOptions{Jobs: 2, ReadBack: true})
	if err != nil {
		t.Fatalf("%v (%s)", err, problem.From(err).Hint)
	}
	return l
}

// script runs statements that stand one after the other in a file of this package's testdata.
func script(t testing.TB, db *sql.DB, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	sql := string(text)
	if query[int](t, db, "SELECT current_setting('server_version_num')") < 140000 {
		sql = strings.ReplaceAll(sql, "int4multirange", "text")
		sql = regexp.MustCompile(`(?m)^CREATE FUNCTION .* BEGIN ATOMIC;.*$`).ReplaceAllString(sql, "")
	}
	execute(t, db, split(sql)...)
}

// contents is every row of every table, view and sequence, as one text for each.
func contents(t testing.TB, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(bounded(t), `SELECT format('%I.%I', n.nspname, c.relname), c.relkind = 'S'
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'm', 'v', 'S')
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	sequences := map[string]bool{}
	for rows.Next() {
		var name string
		var sequence bool
		if err := rows.Scan(&name, &sequence); err != nil {
			t.Fatal(err)
		}
		sequences[name] = sequence
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name, sequence := range sequences {
		columns := "t::text"
		if sequence {
			columns = "format('%s %s', t.last_value, t.is_called)"
		}
		all[name] = query[string](t, db, fmt.Sprintf(`SELECT count(*) || ' ' || coalesce(md5(string_agg(x, ';' ORDER BY x)), '') FROM (SELECT %s AS x FROM %s t) AS y`, columns, name))
	}
	return all
}

// TestEverythingTravels copies a database in which everything is odd, twice: the second copy is one of the first, so
// that what a load makes is as good as what was there.
func TestEverythingTravels(t *testing.T) {
	t.Parallel()
	_, _, source := account(t)
	db := open(t, source.URL())
	script(t, db, "odd.sql")
	want, fingerprint := contents(t, db), mustFingerprint(t, source)
	for i := range 2 {
		rules := keepAll(t, source)
		rules.Tables["remote"] = mask.TableRules{Rows: "none"}
		dir, s := take(t, source, rules)
		// The comment in a function's body is gone after the first time.
		if masked := map[int]string{1: fingerprint}[i]; s.Schema != fingerprint || s.Masked != masked {
			t.Errorf("the fingerprints are %s and %s, want %s and %s", s.Schema, s.Masked, fingerprint, masked)
		}
		_, _, target := account(t)
		l := load(t, target, dir)
		if diff := cmp.Diff(want, contents(t, open(t, target.URL()))); diff != "" {
			t.Fatal(diff)
		}
		if got := mustFingerprint(t, target); got != l.Schema || (got == fingerprint) != (i == 1) {
			t.Errorf("the fingerprint is %s, Load says %s, the source's is %s", got, l.Schema, fingerprint)
		}
		source, fingerprint = target, l.Schema
	}
}

func mustFingerprint(t testing.TB, d *Database) string {
	t.Helper()
	f, err := d.Fingerprint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return f
}
