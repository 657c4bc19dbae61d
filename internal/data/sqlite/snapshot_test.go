package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

var key = mask.Key(bytes.Repeat([]byte{7}, 32))

// rulesFor masks every column by its kind, and keeps keys, booleans and times.
func rulesFor(t testing.TB, d *Database) mask.Rules {
	t.Helper()
	shape, err := d.Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	uses := map[mask.Kind]string{mask.KindText: "text", mask.KindNumber: "number", mask.KindBytes: "bytes", mask.KindJSON: "json", mask.KindXML: "xml", mask.KindUUID: "uuid"}
	r := mask.Rules{Tables: map[string]mask.TableRules{}}
	for _, table := range shape.Tables {
		columns := map[string]mask.Rule{}
		for _, c := range table.Columns {
			use := uses[c.Kind]
			if use == "" || c.Name == "state" || c.Name == "x1" || c.Name == "x2" || c.Key || c.Refers != "" {
				use = "keep"
			}
			if !c.Generated {
				columns[c.Name] = mask.Rule{Use: use}
			}
		}
		r.Tables[table.Name] = mask.TableRules{Columns: columns}
	}
	return r
}

func snapshot(t testing.TB, d *Database, r mask.Rules) (dir string, s data.Snapshot) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "snapshot")
	s, err := d.Snapshot(bounded(t), dir, data.SnapshotOptions{Rules: r, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

// plant is the n-th value that must not be found. No part of it stands in anything that a mask makes of something else.
func plant(n int) string { return fmt.Sprintf("Qz%dXv%dkW", n*7919+100003, n*104729+1000003) }

// plantNumber is the n-th number that must not be found.
func plantNumber(n int) int64 { return 7_203_411_000_000 + int64(n)*1_000_003 }

// forms are how a planted value may stand in a file.
func forms(n int) map[string][]byte {
	s := plant(n)
	low, high := utf16.Encode([]rune(s)), new(bytes.Buffer)
	_ = binary.Write(high, binary.LittleEndian, low)
	big := new(bytes.Buffer)
	_ = binary.Write(big, binary.BigEndian, low)
	number := binary.BigEndian.AppendUint64(nil, uint64(plantNumber(n)))
	return map[string][]byte{
		"text": []byte(s), "little": high.Bytes(), "big": big.Bytes(), "lower": []byte(strings.ToLower(s)),
		"hex": []byte(hex.EncodeToString([]byte(s))), "number": number[2:], "digits": fmt.Append(nil, plantNumber(n)),
	}
}

// planting is a database with values in everything that keeps some.
type planting struct {
	n            int
	encoding     string
	schema, rows []string
}

func (p *planting) text() string   { p.n++; return "'" + plant(p.n) + "'" }
func (p *planting) number() string { p.n++; return fmt.Sprint(plantNumber(p.n)) }
func (p *planting) blob() string   { p.n++; return "x'" + hex.EncodeToString([]byte(plant(p.n))) + "'" }

func (p *planting) add(format string, args ...any) {
	p.rows = append(p.rows, fmt.Sprintf(format, args...))
}

// columns are tables with a column for each kind, and values of every storage class in each.
func (p *planting) columns() {
	p.schema = append(p.schema,
		`CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, phone INTEGER, score REAL, photo BLOB, doc JSON, anything, born DATETIME,
			active BOOLEAN, code STRING, ref UUID, upper TEXT GENERATED ALWAYS AS (upper(name)) STORED, lower TEXT AS (lower(name)))`,
		`CREATE INDEX people_name ON people (name)`, `CREATE UNIQUE INDEX people_lower ON people (lower(name) || id)`,
		`CREATE TABLE keyed (a TEXT, b INTEGER, note TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID`,
		`CREATE TABLE exact (id INTEGER PRIMARY KEY, t TEXT, b BLOB, a ANY) STRICT`,
		`CREATE TABLE plain (a, b)`,
		`CREATE TABLE left_behind (a TEXT)`)
	for i := range 60 {
		p.add(`INSERT INTO people (name, phone, score, photo, doc, anything, born, active, code, ref) VALUES (%s, %s, %s, %s, '{"mail": "' || %s || '", "n": ' || %s || '}', %s, '2024-02-03 04:05:06', 1, %s, %s)`,
			p.text(), p.number(), p.number(), p.blob(), p.text(), p.number(), []string{p.text(), p.number(), p.blob()}[i%3], p.text(), p.text())
		// What does not belong into a column: only the first is masked by its rule.
		p.add(`INSERT INTO people (name, phone, score, photo, doc, anything, born, active, code) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)`,
			p.blob(), p.text(), p.text(), p.text(), p.blob(), p.text(), p.text(), p.text(), p.number())
		p.add(`INSERT INTO keyed VALUES ('k%d', %d, %s)`, i, i, p.text())
		p.add(`INSERT INTO exact (t, b, a) VALUES (%s, %s, %s)`, p.text(), p.blob(), p.number())
		p.add(`INSERT INTO plain VALUES (%s, %s)`, p.text(), p.number())
		p.add(`INSERT INTO left_behind VALUES (%s)`, p.text())
	}
	for range 40 { // rows that are gone, and values that were others once
		p.add(`INSERT INTO people (id, name, phone) VALUES (9999, %s, %s)`, p.text(), p.number())
		p.add(`DELETE FROM people WHERE id = 9999`)
		p.add(`UPDATE plain SET a = %s WHERE rowid = 1`, p.text())
	}
	p.add(`UPDATE plain SET a = 'x' WHERE rowid = 1`)
}

// virtual are virtual tables of every module.
func (p *planting) virtual() {
	p.schema = append(p.schema,
		`CREATE VIRTUAL TABLE own USING fts5(title, body UNINDEXED, tokenize = 'porter unicode61')`,
		`CREATE VIRTUAL TABLE outer_words USING fts5(name, content = 'people', content_rowid = 'id', prefix = '2 3')`,
		`CREATE TRIGGER people_words AFTER INSERT ON people BEGIN INSERT INTO outer_words (rowid, name) VALUES (new.id, new.name); END`,
		`CREATE VIRTUAL TABLE words_only USING fts5(body, content = '')`,
		`CREATE VIRTUAL TABLE vocabulary USING fts5vocab(own, row)`,
		`CREATE VIRTUAL TABLE boxes USING rtree(id, x1, x2, +label TEXT)`)
	for i := range 40 {
		p.add(`INSERT INTO own (rowid, title, body) VALUES (%d, %s, %s)`, 2*i+1, p.text(), p.text())
		p.add(`INSERT INTO words_only (rowid, body) VALUES (%d, %s)`, i+1, p.text())
		p.add(`INSERT INTO boxes VALUES (%d, %d, %d, %s)`, i+1, i, i+1, p.text())
	}
}

// plantAll makes the database, with statistics over all of it.
func (p *planting) plantAll(t *testing.T, d *Database, journal string) *sql.DB {
	t.Helper()
	if p.encoding != "" {
		db, err := sql.Open("sqlite", address(d.file, map[string][]string{}))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		execute(t, db, "PRAGMA encoding = '"+p.encoding+"'", "CREATE TABLE zero (n)")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, d.file, journal)
	execute(t, db, p.schema...)
	execute(t, db, "BEGIN")
	execute(t, db, p.rows...)
	execute(t, db, "COMMIT", "ANALYZE")
	return db
}

// search says which planted values stand in a folder's files.
func (p *planting) search(t *testing.T, dir string) (found []string) {
	t.Helper()
	const prefix = 6
	wanted := map[string][]byte{} // by what they begin with
	names := map[string]string{}
	for n := 1; n <= p.n; n++ {
		for form, b := range forms(n) {
			wanted[string(b)] = b
			names[string(b)] = fmt.Sprintf("%s of %d", form, n)
		}
	}
	begin := map[[prefix]byte][][]byte{}
	for _, b := range wanted {
		begin[[prefix]byte(b)] = append(begin[[prefix]byte(b)], b)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+prefix <= len(content); i++ {
			for _, b := range begin[[prefix]byte(content[i:])] {
				if bytes.HasPrefix(content[i:], b) {
					found = append(found, e.Name()+": "+names[string(b)])
				}
			}
		}
	}
	return found
}

// TestPlantedValues searches a snapshot, the database that is loaded from it, and what is made of that, for more than a
// thousand values of the source.
func TestPlantedValues(t *testing.T) {
	for _, c := range []struct{ journal, encoding string }{{"wal", ""}, {"delete", "UTF-16le"}, {"wal", "UTF-16be"}} {
		t.Run(c.journal+c.encoding, func(t *testing.T) {
			d := fresh(t)
			p := &planting{encoding: c.encoding}
			p.columns()
			p.virtual()
			p.literals()
			db := p.plantAll(t, d, c.journal)
			if p.n < 1000 {
				t.Fatalf("%d values", p.n)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if found := p.search(t, filepath.Dir(d.file)); len(found) < p.n/2 {
				t.Fatalf("only %d of %d planted values are found in the source", len(found), p.n)
			}
			r := rulesFor(t, d)
			r.Tables["left_behind"] = mask.TableRules{Rows: "none"}
			r.Tables["words_only"] = mask.TableRules{Rows: "none"}
			dir, s := snapshot(t, d, r)
			if found := p.search(t, dir); len(found) > 0 {
				t.Errorf("%d found in the snapshot, such as %v", len(found), found[:min(5, len(found))])
			}
			target := fresh(t)
			if _, err := target.Load(bounded(t), dir, data.LoadOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := target.Keep(bounded(t)); err != nil {
				t.Fatal(err)
			}
			if found := p.search(t, filepath.Dir(target.file)); len(found) > 0 {
				t.Errorf("%d found in what was loaded, such as %v", len(found), found[:min(5, len(found))])
			}
			if s.Canaries == 0 || s.Literals == 0 {
				t.Errorf("%d canaries, %d literals", s.Canaries, s.Literals)
			}
			p.same(t, d, target)
		})
	}
}

// literals are texts in the schema itself: that stand among the values, and that anybody would know for a person's.
func (p *planting) literals() {
	again := func() string { p.n++; p.add(`INSERT INTO people (name) VALUES ('%s')`, plant(p.n)); return plant(p.n) }
	p.schema = append(p.schema,
		fmt.Sprintf(`CREATE TABLE spoken (id INTEGER PRIMARY KEY, a TEXT DEFAULT '%s', b TEXT DEFAULT "%s", c TEXT DEFAULT %s, d BLOB DEFAULT x'%x',
			e TEXT CHECK (e <> 'x' OR e = 'adam.%s@mail.com'), state TEXT CHECK (state IN ('pending', 'not yet paid')),
			both TEXT GENERATED ALWAYS AS (state || '%s') STORED) -- %s`,
			again(), again(), again(), again(), p.bare(), again(), p.bare()),
		fmt.Sprintf(`CREATE VIEW said AS SELECT id, '%s' AS "Who Said" FROM spoken /* %s */ ORDER BY "Who Said"`, again(), p.bare()),
		fmt.Sprintf(`CREATE INDEX some ON spoken (a) WHERE a <> '%s'`, again()),
		fmt.Sprintf(`CREATE TRIGGER says AFTER DELETE ON spoken BEGIN INSERT INTO spoken (a) VALUES ('%s'); SELECT "%s"; END`, again(), again()))
	p.add(`INSERT INTO spoken (id, state) VALUES (1, 'pending'), (2, 'not yet paid')`)
}

func (p *planting) bare() string { p.n++; return plant(p.n) }

// same compares what has to be the same in the copy: how many rows, their storage classes, rowids, keys and duplicates.
func (p *planting) same(t *testing.T, source, target *Database) {
	t.Helper()
	for _, q := range []string{
		"SELECT count(*) || ' ' || count(DISTINCT name) || ' ' || sum(length(name)) FROM people",
		"SELECT group_concat(typeof(name) || typeof(phone) || typeof(score) || typeof(photo) || typeof(doc) || typeof(anything) || typeof(born) || typeof(active) || typeof(code)) FROM people",
		"SELECT group_concat(id) FROM (SELECT id FROM people ORDER BY id)", "SELECT group_concat(rowid || typeof(b)) FROM plain", "SELECT group_concat(a || b) FROM keyed",
		"SELECT group_concat(rowid) FROM own", "SELECT group_concat(id || x1 || x2) FROM boxes", "SELECT group_concat(rowid) FROM outer_words",
		"SELECT count(*) FROM people WHERE json_valid(doc)", "SELECT group_concat(active) FROM people WHERE typeof(active) = 'integer'",
		"SELECT group_concat(born) FROM people WHERE born LIKE '2024%'", "SELECT group_concat(typeof(t) || typeof(b) || typeof(a)) FROM exact",
		"SELECT seq FROM sqlite_sequence WHERE name = 'people'",
		"SELECT count(*) FROM people WHERE upper = upper(name)", "SELECT group_concat(state) FROM spoken",
	} {
		if a, b := text(t, source, q), text(t, target, q); a != b {
			t.Errorf("%s\n%.200s\n%.200s", q, a, b)
		}
	}
	for q, want := range map[string]string{
		"SELECT count(*) FROM left_behind": "0", "SELECT count(*) FROM words_only WHERE words_only MATCH 'x'": "0",
		"SELECT count(*) > 0 FROM sqlite_stat1": "1",
		"SELECT count(DISTINCT substr(both, length(state) + 1)) || min((SELECT instr(sql, substr(both, length(state) + 1)) > 0 FROM sqlite_master WHERE name = 'spoken')) FROM spoken": "11",
		// The indexes are of what is there now.
		"SELECT count(*) FROM people WHERE id IN (SELECT rowid FROM outer_words WHERE outer_words MATCH '\"' || (SELECT name FROM people WHERE id = 1) || '\"')": "1",
		"SELECT count(*) FROM own WHERE own MATCH '\"' || (SELECT title FROM own WHERE rowid = 1) || '\"'":                                                       "1",
	} {
		if got := text(t, target, q); got != want {
			t.Errorf("%s is %s, want %s", q, got, want)
		}
	}
}

// TestModuleThatNobodyKnows is refused: it may keep anything anywhere.
func TestModuleThatNobodyKnows(t *testing.T) {
	d := fresh(t)
	db := open(t, d.file, "wal")
	execute(t, db, "CREATE TABLE a (n)", "PRAGMA writable_schema = on",
		"INSERT INTO sqlite_master VALUES ('table', 'vectors', 'vectors', 0, 'CREATE VIRTUAL TABLE vectors USING vec0(embedding float[4])')")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := d.Snapshot(bounded(t), filepath.Join(t.TempDir(), "s"), data.SnapshotOptions{Key: key})
	if p := problem.From(err); err == nil || p.Code != problem.Blocked || !strings.Contains(p.Message, "vec0") {
		t.Errorf("got %v", err)
	}
}

func TestAnIndexWithoutItsTexts(t *testing.T) {
	d := fresh(t)
	execute(t, open(t, d.file, "wal"), "CREATE VIRTUAL TABLE words USING fts5(body, content = '')", "INSERT INTO words (rowid, body) VALUES (1, 'secret')")
	_, err := d.Snapshot(bounded(t), filepath.Join(t.TempDir(), "s"), data.SnapshotOptions{Key: key, Rules: rulesFor(t, d)})
	if p := problem.From(err); err == nil || p.Code != problem.Blocked || !strings.Contains(p.Hint, "words: none") {
		t.Errorf("got %v", err)
	}
}

// TestMasksThatDoNotFit are refused with the constraint's name and no value, and nothing is left.
func TestMasksThatDoNotFit(t *testing.T) {
	for _, c := range []struct{ name, schema, refused string }{
		{"a check of a code", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT CONSTRAINT known CHECK (a = 'AdamSecret'))`, "known"},
		{"a check of a length", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT CHECK (length(a) = 10))`, ""},
		{"an index of nothing", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE UNIQUE INDEX first ON t (substr(a, 1, 0))`, ""},
		{"a trigger that says no", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
			CREATE TRIGGER no BEFORE INSERT ON t WHEN new.a <> 'AdamSecret' BEGIN SELECT raise(ABORT, 'no'); END`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := fresh(t)
			execute(t, open(t, d.file, "wal"), c.schema, `INSERT INTO t (a) VALUES ('AdamSecret')`)
			parent := t.TempDir()
			_, err := d.Snapshot(bounded(t), filepath.Join(parent, "s"), data.SnapshotOptions{Key: key, Rules: rulesFor(t, d)})
			if c.refused == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if p := problem.From(err); err == nil || p.Code != problem.Fail || !strings.Contains(p.Message, c.refused) || strings.Contains(p.Message, "Secret") {
				t.Errorf("got %v", err)
			}
			if left, _ := os.ReadDir(parent); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// TestNamesOfAnyKind has tables and columns that are named with everything that SQL uses.
func TestNamesOfAnyKind(t *testing.T) {
	d := fresh(t)
	db := open(t, d.file, "wal")
	execute(t, db, `CREATE TABLE "select ""x"" 'y' ; -- é [z]" ("ro'w""id" TEXT, rowid TEXT, _rowid_ TEXT, [a b] INTEGER, "über" TEXT DEFAULT 'ä', "`+"`"+`" TEXT)`,
		`INSERT INTO "select ""x"" 'y' ; -- é [z]" VALUES ('one', 'two', 'three', 4, 'five', 'six'), (NULL, '', x'', 0, 'ü', ' ')`,
		`CREATE TABLE all_taken (rowid, oid, _rowid_)`, `INSERT INTO all_taken VALUES (1, 2, 3)`,
		`CREATE TABLE "sqlitexyz" (a)`, `INSERT INTO sqlitexyz VALUES (1)`, `CREATE TABLE "Über" (a REFERENCES "SELECT ""x"" 'y' ; -- é [z]" ("A B"))`)
	before, err := d.Census(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	r := rulesFor(t, d)
	for _, table := range r.Tables {
		for c := range table.Columns {
			table.Columns[c] = mask.Rule{Use: "keep"}
		}
	}
	dir, s := snapshot(t, d, r)
	target := fresh(t)
	if _, err := target.Load(bounded(t), dir, data.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	after, err := target.Census(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	if s.Schema != s.Masked {
		t.Error("a schema without texts is another one")
	}
}

func TestASnapshotOfNothing(t *testing.T) {
	dir, s := snapshot(t, fresh(t), mask.Rules{})
	if len(s.Tables) != 0 {
		t.Errorf("%+v", s)
	}
	target := fresh(t)
	if _, err := target.Load(bounded(t), dir, data.LoadOptions{}); err != nil {
		t.Error(err)
	}
}

// TestTheSettingsOfAFile travel with it: an app may keep its version in one.
func TestTheSettingsOfAFile(t *testing.T) {
	d := fresh(t)
	db, err := sql.Open("sqlite", address(d.file, map[string][]string{}))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	execute(t, db, "PRAGMA page_size = 8192", "PRAGMA auto_vacuum = incremental", "PRAGMA user_version = 42", "PRAGMA application_id = 77", "CREATE TABLE t (n)", "PRAGMA journal_mode = wal")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	dir, _ := snapshot(t, d, rulesFor(t, d))
	target := fresh(t)
	if _, err := target.Load(bounded(t), dir, data.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	for pragma, want := range map[string]string{"page_size": "8192", "auto_vacuum": "2", "user_version": "42", "application_id": "77", "journal_mode": "wal"} {
		if got := text(t, target, "SELECT * FROM pragma_"+pragma); got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
}

// TestTheMomentIsNotHeldForLonger has a rate that would take for ever.
func TestTheMomentIsNotHeldForLonger(t *testing.T) {
	d := fresh(t)
	execute(t, open(t, d.file, "wal"), "CREATE TABLE t (a)", "INSERT INTO t SELECT randomblob(1000) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 3000) SELECT n FROM c)")
	r := rulesFor(t, d)
	parent := t.TempDir()
	_, err := d.Snapshot(bounded(t), filepath.Join(parent, "s"), data.SnapshotOptions{Key: key, Rules: r, Rate: 1, Timeout: 100 * time.Millisecond})
	if p := problem.From(err); err == nil || p.Code != problem.Fail || !strings.Contains(p.Message, "100 ms") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(parent); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestRowsThatLoseTheirParents have two columns masked apart that SQLite joins by a key of both.
func TestRowsThatLoseTheirParents(t *testing.T) {
	d := fresh(t)
	execute(t, open(t, d.file, "wal"), "CREATE TABLE a (x TEXT, y TEXT, PRIMARY KEY (x, y))", "CREATE TABLE b (x TEXT, y TEXT, FOREIGN KEY (x, y) REFERENCES a)",
		"INSERT INTO a VALUES ('one', 'two')", "INSERT INTO b VALUES ('one', 'two')")
	r := rulesFor(t, d)
	r.Tables["b"].Columns["y"] = mask.Rule{Use: "text"}
	_, err := d.Snapshot(bounded(t), filepath.Join(t.TempDir(), "s"), data.SnapshotOptions{Key: key, Rules: r})
	if p := problem.From(err); err == nil || p.Code != problem.Fail || !strings.Contains(p.Message, "b") {
		t.Errorf("got %v", err)
	}
	orphaned := fresh(t)
	execute(t, open(t, orphaned.file, "wal"), "CREATE TABLE a (x INTEGER PRIMARY KEY)", "CREATE TABLE b (x INTEGER REFERENCES a)", "INSERT INTO b VALUES (7), (8)")
	snapshot(t, orphaned, rulesFor(t, orphaned)) // they were orphans before
	c, err := orphaned.Census(bounded(t))
	if err != nil || len(c.Orphans) != 1 || c.Orphans[0].Rows != 2 || c.Orphans[0].Refers != "a.x" || c.Orphans[0].Column != "x" {
		t.Errorf("%+v, %v", c.Orphans, err)
	}
}

func TestSnapshotProgress(t *testing.T) {
	d := fresh(t)
	execute(t, open(t, d.file, "wal"), "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)", "CREATE TABLE u (a)")
	var last data.Progress
	_, err := d.Snapshot(bounded(t), filepath.Join(t.TempDir(), "s"), data.SnapshotOptions{Key: key, Rules: rulesFor(t, d), Progress: func(p data.Progress) { last = p }})
	if err != nil || last.Tables != 2 || last.Of != 2 || last.Rows != 1 || last.Bytes != 8 || last.Table != "u" {
		t.Errorf("%+v, %v", last, err)
	}
}

// TestSnapshotOfALockedDatabase comes to an end with the caller's patience.
func TestSnapshotOfALockedDatabase(t *testing.T) {
	d := fresh(t)
	db := open(t, d.file, "delete")
	execute(t, db, "CREATE TABLE t (a)")
	r := rulesFor(t, d)
	execute(t, db, "BEGIN EXCLUSIVE")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.Snapshot(ctx, filepath.Join(t.TempDir(), "s"), data.SnapshotOptions{Key: key, Rules: r}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestAValueThatGotThrough has one in a place where no rule reaches and nothing looks personal: the copy is thrown away.
func TestAValueThatGotThrough(t *testing.T) {
	d := fresh(t)
	execute(t, open(t, d.file, "wal"), "CREATE TABLE t (a TEXT, b TEXT AS ('the word of Zed7Quillon9'))", "INSERT INTO t VALUES ('Zed7Quillon9')")
	parent := t.TempDir()
	_, err := d.Snapshot(bounded(t), filepath.Join(parent, "s"), data.SnapshotOptions{Key: key, Rules: rulesFor(t, d)})
	if p := problem.From(err); err == nil || p.Code != problem.Fail || !strings.Contains(p.Message, "t.a") || strings.Contains(p.Message, "Quillon") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(parent); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestComputedColumns has expressions whose texts say how they compute.
func TestComputedColumns(t *testing.T) {
	d := fresh(t)
	execute(t, open(t, d.file, "wal"), `CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER, doc JSON,
		day TEXT NOT NULL GENERATED ALWAYS AS (strftime('%Y-%m-%d', at, 'unixepoch')) STORED,
		kind TEXT NOT NULL AS (json_extract(doc, '$.settings.kind')), CHECK (json_extract(doc, '$.settings.kind') <> 'no such kind'))`,
		`CREATE INDEX kinds ON t (kind)`, `INSERT INTO t (at, doc) VALUES (1700000000, '{"settings": {"kind": "Zebra"}}')`)
	r := rulesFor(t, d)
	r.Tables["t"].Columns["at"] = mask.Rule{Use: "keep"}
	dir, _ := snapshot(t, d, r)
	target := fresh(t)
	if _, err := target.Load(bounded(t), dir, data.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := text(t, target, "SELECT day || length(kind) || (kind <> 'Zebra') FROM t"); got != "2023-11-1451" {
		t.Error(got)
	}
}
