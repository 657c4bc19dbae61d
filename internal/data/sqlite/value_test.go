package sqlite

import (
	"bytes"
	"database/sql/driver"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"greenroom/internal/mask"
	"greenroom/internal/sqltext"
)

func TestKindOf(t *testing.T) {
	for declared, want := range map[string]mask.Kind{
		"": mask.KindText, "TEXT": mask.KindText, "varchar(80)": mask.KindText, "NVARCHAR (10)": mask.KindText, "CLOB": mask.KindText, "STRING": mask.KindText,
		"INTEGER": mask.KindNumber, "unsigned big int": mask.KindNumber, "DECIMAL(10,2)": mask.KindNumber, "double precision": mask.KindNumber, "NUMERIC": mask.KindNumber,
		"BOOLEAN": mask.KindBoolean, "bool": mask.KindBoolean, "DATETIME": mask.KindTime, "timestamp with time zone": mask.KindTime, "DATE": mask.KindTime,
		"BLOB": mask.KindBytes, "varbinary(16)": mask.KindBytes, "bytea": mask.KindBytes, "JSON": mask.KindJSON, "jsonb": mask.KindJSON, "UUID": mask.KindUUID,
		"uniqueidentifier": mask.KindUUID, "xml": mask.KindXML, "inet": mask.KindNetwork, "INTERVAL": mask.KindText, "POINT": mask.KindText, "ANY": mask.KindText,
	} {
		if got := kindOf(declared); got != want {
			t.Errorf("%q is %s, want %s", declared, got, want)
		}
	}
	for declared, want := range map[string]int{"varchar(80)": 80, "CHARACTER VARYING ( 7 )": 7, "nchar(3)": 3, "TEXT": 0, "DECIMAL(10,2)": 0, "varchar(99999999999)": 0} {
		if got := lengthIn(declared); got != want {
			t.Errorf("%q takes %d, want %d", declared, got, want)
		}
	}
}

// TestFits says what may stay where a rule keeps a column. What is not sure is a stray.
func TestFits(t *testing.T) {
	cases := []struct {
		kind mask.Kind
		yes  []driver.Value
		no   []driver.Value
	}{
		{mask.KindNumber, []driver.Value{int64(7), 1.5, nil}, []driver.Value{"Ada", "+49 170 12", []byte("x"), ""}},
		{mask.KindBoolean, []driver.Value{int64(0), int64(1), "true", "F", nil}, []driver.Value{int64(2), 0.5, "maybe", []byte{1}}},
		{mask.KindTime, []driver.Value{int64(1700000000), 2460000.5, "2024-02-03", "2024-02-03 04:05:06", "2024-02-03T04:05:06.123Z", "2024-02-03 04:05:06.123456+02:00",
			"2024-02-03 04:05:06.1 +0100 CET", "2024-02-03 04:05:06.1 +0000 UTC m=+0.123", "04:05", "20240203", "20240203T040506Z", "03.02.2024", "2/3/2024"},
			[]driver.Value{"Ada", "078-05-1120", "+49 170 1234567", "2024-02-03 call Ada", "1234567890", "2024-02-03 +49 170 1", []byte("2024-02-03"), ""}},
		{mask.KindUUID, []driver.Value{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "{6BA7B8109DAD11D180B400C04FD430C8}", bytes.Repeat([]byte{1}, 16)}, []driver.Value{"Ada", int64(7), []byte{1}}},
		{mask.KindText, []driver.Value{"Ada", int64(7), 1.5, []byte("Ada")}, []driver.Value{[]byte{0xff, 0xfe}}},
		{mask.KindBytes, []driver.Value{"Ada", int64(7), []byte{0xff}}, nil},
		{mask.KindNetwork, []driver.Value{"10.0.0.1"}, []driver.Value{int64(7), []byte{1}}},
	}
	for _, c := range cases {
		for _, v := range c.yes {
			if !fits(c.kind, v) {
				t.Errorf("%v is no %s", v, c.kind)
			}
		}
		for _, v := range c.no {
			if fits(c.kind, v) {
				t.Errorf("%v is a %s", v, c.kind)
			}
		}
	}
}

func drawValue(t *rapid.T) driver.Value {
	return rapid.OneOf(
		rapid.Map(rapid.Int64(), func(n int64) driver.Value { return n }),
		rapid.Map(rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }), func(f float64) driver.Value { return f }),
		rapid.Map(rapid.String(), func(s string) driver.Value { return s }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) driver.Value { return append([]byte{}, b...) }),
	).Draw(t, "v")
}

// TestWrittenAndRead has values that a mask leaves as they are: they come back in the class that they had.
func TestWrittenAndRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawValue(t)
		if b, ok := v.([]byte); ok && bytes.HasPrefix(b, []byte(`\x`)) {
			t.Skip("a text in bytes that looks like bytes in a text")
		}
		for _, kind := range []mask.Kind{mask.KindText, mask.KindBytes} {
			if got := reread(written([]byte{}, kind, v), v); !reflect.DeepEqual(got, v) {
				t.Fatalf("%T %v came back as %T %v", v, v, got, got)
			}
		}
	})
}

func TestReread(t *testing.T) {
	for _, c := range []struct {
		text string
		from driver.Value
		want driver.Value
	}{
		{"17", int64(3), int64(17)}, {"1.5", int64(3), 1.5}, {"abc", int64(3), "abc"}, {"99999999999999999999", int64(3), 1e20}, {"17", 3.5, 17.0},
		{"NaN", 3.5, "NaN"}, {"17", "3", "17"}, {`\x41`, []byte("b"), []byte("A")}, {`\xzz`, []byte("b"), []byte(`\xzz`)}, {"", "x", ""}, {"", []byte("x"), []byte{}},
	} {
		if got := reread([]byte(c.text), c.from); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q of %v is %T %v, want %v", c.text, c.from, got, got, c.want)
		}
	}
	if reread(nil, "x") != nil {
		t.Error("null is something")
	}
}

// TestSum is the same in any order, and another for one row more, less or other.
func TestSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return string(exact(nil, drawValue(t))) }), 1, 8).Draw(t, "rows")
		other := rapid.Permutation(rows).Draw(t, "other")
		var a, b, more sum
		for i := range rows {
			a.add([]byte(rows[i]))
			b.add([]byte(other[i]))
			more.add([]byte(rows[i]))
		}
		if a.String() != b.String() || len(a.String()) != 32 {
			t.Fatalf("%s and %s", a, b)
		}
		more.add([]byte(rows[0])) // a duplicate
		if more == a {
			t.Fatal("a duplicate is nothing")
		}
	})
}

// TestExact writes no two different rows the same.
func TestExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := func(name string) (values []driver.Value, text []byte) {
			n := rapid.IntRange(0, 3).Draw(t, name)
			for range n {
				v := drawValue(t)
				values, text = append(values, v), exact(text, v)
			}
			return values, text
		}
		a, textA := row("a")
		b, textB := row("b")
		if len(a) == len(b) && bytes.Equal(textA, textB) != reflect.DeepEqual(a, b) {
			t.Fatalf("%v and %v are %q and %q", a, b, textA, textB)
		}
	})
}

func TestPlain(t *testing.T) {
	known := map[string]bool{"a": true, "b c": true, "t": true}
	for _, c := range []struct{ in, want string }{
		{`CREATE TABLE t (a DEFAULT "Ada")`, `CREATE TABLE t (a DEFAULT 'Ada')`},
		{`CREATE TABLE t (a DEFAULT Ada)`, `CREATE TABLE t (a DEFAULT 'Ada')`},
		{`CREATE TABLE t (a DEFAULT /* why */ "it's")`, `CREATE TABLE t (a DEFAULT /* why */ 'it''s')`},
		{`CREATE TABLE t (a DEFAULT NULL, b DEFAULT x'41', c DEFAULT -1, d DEFAULT (1), e DEFAULT 'x')`, `CREATE TABLE t (a DEFAULT NULL, b DEFAULT x'41', c DEFAULT -1, d DEFAULT (1), e DEFAULT 'x')`},
		{`CREATE TABLE t (a CHECK (a <> "Ada"))`, `CREATE TABLE t (a CHECK (a <> 'Ada'))`},
		{`CREATE TABLE t ("b c" CHECK ("b c" <> "B C"))`, `CREATE TABLE t ("b c" CHECK ("b c" <> "B C"))`},
		{`CREATE VIEW "v" AS SELECT a AS "Who" FROM t ORDER BY "Who"`, `CREATE VIEW "v" AS SELECT a AS "Who" FROM t ORDER BY "Who"`},
		{`CREATE VIEW v AS WITH "w" AS (SELECT 1) SELECT "Ada", "w".* FROM "w"`, `CREATE VIEW v AS WITH "w" AS (SELECT 1) SELECT 'Ada', "w".* FROM "w"`},
		{`INSERT INTO t DEFAULT VALUES`, `INSERT INTO t DEFAULT VALUES`},
	} {
		if got := plain(c.in, known); got != c.want {
			t.Errorf("%s\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}

func TestVirtualContent(t *testing.T) {
	for statement, want := range map[string]content{
		`CREATE VIRTUAL TABLE a USING fts5(b, c)`:                                own,
		`CREATE VIRTUAL TABLE a USING FTS5 (b, "content" UNINDEXED)`:             own,
		`CREATE VIRTUAL TABLE "using" USING "fts5"(b, content='x')`:              elsewhere,
		`CREATE VIRTUAL TABLE a USING fts5(content=x, b)`:                        elsewhere,
		`CREATE VIRTUAL TABLE a USING fts5(b, content = "")`:                     unreadable,
		`CREATE VIRTUAL TABLE a USING fts5(b, Content='', contentless_delete=1)`: unreadable,
		`CREATE VIRTUAL TABLE a USING rtree(id, x, y)`:                           own,
		`CREATE VIRTUAL TABLE a USING fts5vocab(b, row)`:                         nothing,
		`CREATE VIRTUAL TABLE a USING vec0(x)`:                                   unknown,
		`CREATE VIRTUAL TABLE a USING fts4(x)`:                                   unknown,
	} {
		if got, _ := virtualContent(statement); got != want {
			t.Errorf("%s: %d, want %d", statement, got, want)
		}
	}
	if moduleOf("CREATE TABLE virtual (using)") != "" {
		t.Error("a table is a virtual one")
	}
}

// FuzzStatement has text that no statement is.
func FuzzStatement(f *testing.F) {
	f.Add(`CREATE TABLE "a" (b DEFAULT "x", c CHECK (c <> 'it''s')) -- why`)
	f.Add("CREATE VIRTUAL TABLE a USING fts5(content='")
	f.Fuzz(func(t *testing.T, s string) {
		if got := sqltext.Rewrite(s, sqltext.SQLite, func(t sqltext.Token) string { return t.Text }); got != s {
			t.Fatalf("%q became %q", s, got)
		}
		e := entry{kind: "table", name: "t", sql: s}
		e.literals()
		virtualContent(s)
		withoutComments(s)
		once := plain(s, nil)
		if len(s) > 0 && once == "" {
			t.Fatalf("%q became nothing", s)
		}
		maskBytes(s, nil)
		_ = askable(s)
	})
}
