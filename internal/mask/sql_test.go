package mask

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/sqltext"
)

func TestLiterals(t *testing.T) {
	sql := `-- 'no'
CREATE FUNCTION f(a text DEFAULT 'first') RETURNS text LANGUAGE plpgsql AS $body$
BEGIN /* 'no' /* nested */ 'no' */
  RETURN 'it''s' || E'a\tb\'c\x41' || U&'\0041\+000042' || "no" || $q$select 'deep'$q$;
END $body$;
CREATE TABLE t (s text CHECK (s IN ('open', 'shut')) DEFAULT $$plain$$, n int DEFAULT 5);
CREATE TYPE e AS ENUM ('one');
SELECT 'x' ~ 'pattern', b$b$b$c;`
	want := []Quoted{
		{Text: "first"},
		{Text: "it's", Body: true}, {Text: "a\tb'cA", Body: true}, {Text: "AB", Body: true}, {Text: "deep", Body: true},
		{Text: "open", Compared: true}, {Text: "shut", Compared: true}, {Text: "plain"},
		{Text: "one", Compared: true},
		{Text: "x"}, {Text: "pattern", Compared: true},
	}
	if diff := cmp.Diff(want, Literals(sql, PostgreSQL)); diff != "" {
		t.Error(diff)
	}
	lite := "CREATE TABLE [a'b] (`c'd` text DEFAULT 'x', e DEFAULT \"f\") /* /* 'no' */"
	if diff := cmp.Diff([]Quoted{{Text: "x"}}, Literals(lite, SQLite)); diff != "" {
		t.Error(diff)
	}
}

func TestMaskSchema(t *testing.T) {
	key := testKey(7)
	email := maskerOf(t, 7, false, "email")
	text := maskerOf(t, 7, false, "text")
	seen := func(s string) bool { return s == "Blue door" || s == "shipped" }
	for _, c := range []struct {
		name, in, out string
		masked        int
	}{
		{"nothing personal", `SELECT 'paid', 'it''s', '%s has %d', '^[0-9]+$', 'YYYY-MM-DD', 1`, `SELECT 'paid', 'it''s', '%s has %d', '^[0-9]+$', 'YYYY-MM-DD', 1`, 0},
		{"comments", "a -- anna@mail.de\nb /* x /* y */ z */ c", "a  \nb   c", 0},
		{"an address in a text", `DEFAULT 'to anna@mail.de, ''now'''`, `DEFAULT 'to ` + email("anna@mail.de") + `, ''now'''`, 1},
		{"reserved addresses", `DEFAULT 'noreply@example.com'`, `DEFAULT 'noreply@example.com'`, 0},
		{"a body", `CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ -- anna
 SELECT 'anna@mail.de' $$`, `CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$  
 SELECT '` + email("anna@mail.de") + `' $$`, 1},
		{"a body in quotes", `CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ''anna@mail.de'' -- x'`, `CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ''` + email("anna@mail.de") + `''  '`, 1},
		{"a body in another language", `CREATE FUNCTION f() RETURNS text LANGUAGE plpython3u AS $$ x = "anna@mail.de" # 'it $$`, `CREATE FUNCTION f() RETURNS text LANGUAGE plpython3u AS $$ x = "` + email("anna@mail.de") + `" # 'it $$`, 1},
		{"a block", `DO $$ BEGIN PERFORM 'anna@mail.de'; END $$`, `DO $$ BEGIN PERFORM '` + email("anna@mail.de") + `'; END $$`, 1},
		{"escapes", `SELECT E'a\'b anna@mail.de\\'`, `SELECT E'a''b ` + email("anna@mail.de") + `\\'`, 1},
		{"a value of a masked column", `DEFAULT 'Blue door'`, `DEFAULT '` + text("Blue door") + `'`, 1},
		{"a code in a check, though it is a value too", `CHECK (s IN ('shipped', 'In Progress'))`, `CHECK (s IN ('shipped', 'In Progress'))`, 0},
		{"an address in a check", `CHECK (s IN ('anna@mail.de'))`, `CHECK (s IN ('` + email("anna@mail.de") + `'))`, 1},
		{"labels", `CREATE TYPE s AS ENUM ('Not Found', 'In Progress')`, `CREATE TYPE s AS ENUM ('Not Found', 'In Progress')`, 0},
		{"a name", `DEFAULT 'Anna Lastname'`, `DEFAULT '` + text("Anna Lastname") + `'`, 1},
		{"names in the database", `nextval('"Blue door"'::regclass)`, `nextval('"Blue door"'::regclass)`, 0},
		{"a quoted name", `SELECT "anna@mail.de"`, `SELECT "anna@mail.de"`, 0},
		{"bytes that are a text", `DEFAULT '\x616e6e61406d61696c2e6465'::bytea`, `DEFAULT '` + maskerOf(t, 7, false, "bytes")(`\x616e6e61406d61696c2e6465`) + `'::bytea`, 1},
		{"bytes", `DEFAULT '\x00ff'::bytea`, `DEFAULT '\x00ff'::bytea`, 0},
		{"another escape", `SELECT U&'anna!0040mail.de' UESCAPE '!'`, `SELECT U&'` + email("anna@mail.de") + `' UESCAPE '!'`, 1},
		{"a text that goes on in the next line", "SELECT 'to anna@' -- Anna\n 'mail.de', 'a' -- Anna\n'b', X'0' -- Anna\n'1'", `SELECT 'to ` + email("anna@mail.de") + `', 'ab', X'01'`, 1},
		{"two texts stay two", "SELECT 'a' /* Anna */\n'b'", "SELECT 'a' /**/\n'b'", 0},
		{"no end", `SELECT 'anna@mail.de`, `SELECT '` + email("anna@mail.de"), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, masked := MaskSchema([]byte(c.in), key, seen)
			if string(out) != c.out || masked != c.masked {
				t.Errorf("got %d\n%s\nwant %d\n%s", masked, out, c.masked, c.out)
			}
		})
	}
	if out, n := MaskSQL([]byte(`CREATE TABLE t (a DEFAULT "anna@mail.de", "b c")`), SQLite, key, nil); n != 1 || strings.Contains(string(out), "anna") || !strings.Contains(string(out), `"b c"`) {
		t.Errorf("SQLite: %d, %s", n, out)
	}
}

func TestDetect(t *testing.T) {
	for text, want := range map[string]string{
		"anna@mail.de": "an e-mail address", "to <anna@mail.de>!": "an e-mail address", "noreply@example.com": "", "a@b": "",
		"https://anna:pw@host/x": "a web address with a user in it", "https://mail.de/x": "",
		"DE89370400440532013000": "a bank account", "DE89 3704 0044 0532 0130 00": "a bank account", "DE00370400440532013000": "",
		"4111 1111 1111 1111": "a card's number", "pay 4111111111111111 now": "a card's number", "4111 1111 1111 1112": "",
		"+49 170 1234567": "a phone number", "call (212) 555-1234": "a phone number", "0170/1234567 ": "a phone number", "12.345.678": "", "2026-11-26": "",
		"1970-01-01 00:00:00+00": "", "93.184.216.34": "a network address", "127.0.0.1": "", "1.2.3": "",
		"018f3a5c-1d2e-4f60-8a7b-0123456789ab": "a UUID", "sk_live_4eC39HqLyjWDarjtT1zdp7dc": "a secret", "idx_2024_01_orders_2024_02": "",
		"1234567890": "a long number", "1000000000": "", "Long Street 12": "an address", "Musterstraße 3a": "an address", "the street": "",
		"Anna Lastname": "a person's name", "paid": "", "in progress": "", "%s has %d": "", "": "",
	} {
		if got, ok := Detect(text); got != want || ok != (want != "") {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
}

func kindsOf(sql string, d Dialect) (kinds []sqltext.Kind) {
	for token := range sqltext.Tokens(sql, d) {
		if !token.Blank() {
			kinds = append(kinds, token.Kind)
		}
	}
	return kinds
}

// FuzzSQL: masked SQL is of the same tokens. A text in dollars may become one in quotes.
func FuzzSQL(f *testing.F) {
	for _, s := range []string{
		"select 'a''b', E'c\\'d', U&'\\0041', $x$y$x$, \"q\" -- z\n", "create function f() returns text as $$ begin return 'anna@mail.de'; end $$ language plpgsql;",
		"'anna@mail.de", "/* /* */", "$a$ $b$", "x'ff' b'01' [a] `b`", "do $$ $q$ 'x' $q$ $$",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, d := range []Dialect{PostgreSQL, SQLite} {
			out, _ := MaskSQL([]byte(in), d, testKey(1), func(s string) bool { return len(s)%2 == 0 })
			before, after := kindsOf(in, d), kindsOf(string(out), d)
			for i, kind := range before {
				if kind == sqltext.Dollar && i < len(after) && after[i] == sqltext.String {
					before[i] = sqltext.String
				}
			}
			if !slices.Equal(before, after) {
				t.Fatalf("%q becomes %q: other tokens", in, out)
			}
		}
	})
}
