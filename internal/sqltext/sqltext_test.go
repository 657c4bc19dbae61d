package sqltext

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var dialects = []Dialect{PostgreSQL, Psql, SQLite}

var kindNames = []string{"space", "comment", "word", "number", "parameter", "string", "escape", "unicode", "dollar", "bits", "name", "command", "sign"}

// told is a text's tokens with their kinds, one a line, without space.
func told(sql string, d Dialect) string {
	var lines []string
	for t := range Tokens(sql, d) {
		if t.Kind == Space {
			continue
		}
		line := kindNames[t.Kind] + " " + t.Text
		if t.Open {
			line = "open " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, " | ")
}

func TestTokens(t *testing.T) {
	for _, c := range []struct {
		dialect   Dialect
		sql, want string
	}{
		{PostgreSQL, "SELECT größe, a$b$, _x FROM t1", "word SELECT | word größe | sign , | word a$b$ | sign , | word _x | word FROM | word t1"},
		{PostgreSQL, "1 1.5e3 .5 1e-5 0xff 1..10 1_000", "number 1 | number 1.5e3 | sign . | number 5 | number 1e | sign - | number 5 | number 0xff | number 1 | sign . | sign . | number 10 | number 1_000"},
		{PostgreSQL, "'it''s' 'a\\' E'it\\'s' e'\\\\' N'x'", `string 'it''s' | string 'a\' | escape E'it\'s' | escape e'\\' | word N | string 'x'`},
		{PostgreSQL, "U&'d\\0061' u&\"n\"\"\" U & 'x' b'01' X'ff' date'x'", `unicode U&'d\0061' | name u&"n""" | word U | sign & | string 'x' | bits b'01' | bits X'ff' | word date | string 'x'`},
		{PostgreSQL, "$$a$$ $t$ $$ $T$ $t$ $1 $1a $a $ä$x$ä$ 1$$x$$", "dollar $$a$$ | dollar $t$ $$ $T$ $t$ | parameter $1 | parameter $1 | word a | sign $ | word a | dollar $ä$x$ä$ | number 1 | dollar $$x$$"},
		{PostgreSQL, "a -- b\rc --d\n/* e /* f */ g */ h */*i*/", "word a | comment -- b | word c | comment --d | comment /* e /* f */ g */ | word h | sign * | comment /*i*/"},
		{PostgreSQL, "'a'\n'b' 'a' 'b' 'a' -- c\n -- d\n 'b' E'a'\r'\\'' U&\"a\"\n\"b\"", "string 'a'\n'b' | string 'a' | string 'b' | string 'a' -- c\n -- d\n 'b' | escape E'a'\r'\\'' | name U&\"a\" | name \"b\""},
		{PostgreSQL, "'a' /* c */\n'b' $$a$$\n'b' X'0'\n'1'", "string 'a' | comment /* c */ | string 'b' | dollar $$a$$ | string 'b' | bits X'0'\n'1'"},
		{PostgreSQL, "a[1]::\"b\" `", "word a | sign [ | number 1 | sign ] | sign : | sign : | name \"b\" | sign `"},
		{PostgreSQL, "\\x 'y'", `sign \ | word x | string 'y'`},
		{PostgreSQL, "'a", "open string 'a"}, {PostgreSQL, "'a''", "open string 'a''"}, {PostgreSQL, "'a'\n'", "open string 'a'\n'"},
		{PostgreSQL, `E'a\'`, `open escape E'a\'`}, {PostgreSQL, `E'\`, `open escape E'\`}, {PostgreSQL, "$a$ $b$", "open dollar $a$ $b$"},
		{PostgreSQL, `"a`, `open name "a`}, {PostgreSQL, "/* /* */", "open comment /* /* */"}, {PostgreSQL, "/*/", "open comment /*/"},
		{PostgreSQL, "$", "sign $"}, {PostgreSQL, "U&", "word U | sign &"}, {PostgreSQL, "-", "sign -"},
		{Psql, "\\restrict a'b\nSELECT 1 \\\n\\.", "command \\restrict a'b\n | word SELECT | number 1 | sign \\ | command \\."},
		{SQLite, "[a'b] `c``d` \"e\"\"f\" 'g''h' x'00' b'0' E'\\'", "name [a'b] | name `c``d` | name \"e\"\"f\" | string 'g''h' | bits x'00' | word b | string '0' | word E | string '\\'"},
		{SQLite, "$a a$b ?1 /* /* */ b -- c\rd\n'a'\n'b'", "word $a | word a$b | sign ? | number 1 | comment /* /* */ | word b | comment -- c\rd | string 'a' | string 'b'"},
		{SQLite, "/* a", "comment /* a"}, {SQLite, "[a", "open name [a"}, {SQLite, "U&'a'", "word U | sign & | string 'a'"},
	} {
		if got := told(c.sql, c.dialect); got != c.want {
			t.Errorf("%s %q:\n%s\nwant\n%s", c.dialect, c.sql, got, c.want)
		}
	}
}

func TestDepth(t *testing.T) {
	depths := ""
	for t := range Tokens("a(b(c)'(')d)e(f", PostgreSQL) {
		depths += string(rune('0' + t.Depth))
	}
	if depths != "0011211000001" {
		t.Error(depths)
	}
}

func TestIs(t *testing.T) {
	for sql, want := range map[string]bool{"LIKES": true, "likes": true, "li\u212Aes": false, "like\u017F": false, `"LIKES"`: false, "'LIKES'": false, "LIKE": false} {
		for got := range Tokens(sql, PostgreSQL) {
			if got.Is("LIKES") != want {
				t.Errorf("%s is LIKES: %v", sql, !want)
			}
		}
	}
}

func TestStatements(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		script  string
		want    []Statement
	}{
		{PostgreSQL, " ;; -- ;\n /* ; */", nil},
		{PostgreSQL, "a; /* x */ b -- y\n; c", []Statement{{"a", 0}, {"b", 11}, {"c", 20}}},
		{PostgreSQL, "a ';' \";\" $$;$$ E'\\';'; b", []Statement{{"a ';' \";\" $$;$$ E'\\';'", 0}, {"b", 24}}},
		{PostgreSQL, "a (;(;)); b ); c", []Statement{{"a (;(;))", 0}, {"b )", 10}, {"c", 15}}},
		{PostgreSQL, "CREATE PROCEDURE begin() BEGIN /**/ atomic a; CASE WHEN (CASE b END) THEN c END; END; d",
			[]Statement{{"CREATE PROCEDURE begin() BEGIN /**/ atomic a; CASE WHEN (CASE b END) THEN c END; END", 0}, {"d", 86}}},
		{PostgreSQL, "BEGIN; a; END; x BEGIN ATOMIC; b", []Statement{{"BEGIN", 0}, {"a", 7}, {"END", 10}, {"x BEGIN ATOMIC", 15}, {"b", 31}}},
		{PostgreSQL, "a; /* b", []Statement{{"a", 0}, {"/* b", 3}}},
		{Psql, "\\restrict x;\na;\n\\unrestrict x\n", []Statement{{"a", 13}}},
		{SQLite, "CREATE TRIGGER a BEGIN b; CASE c END; \"END\"; END; d", []Statement{{"CREATE TRIGGER a BEGIN b; CASE c END; \"END\"; END", 0}, {"d", 50}}},
		{SQLite, "explain create temporary trigger a; end; b", []Statement{{"explain create temporary trigger a; end", 0}, {"b", 41}}},
		{SQLite, "CREATE TABLE trigger (a); CREATE TEMP; b", []Statement{{"CREATE TABLE trigger (a)", 0}, {"CREATE TEMP", 26}, {"b", 39}}},
	} {
		if diff := cmp.Diff(c.want, slices.Collect(Statements(c.script, c.dialect))); diff != "" {
			t.Errorf("%s %q: %s", c.dialect, c.script, diff)
		}
	}
}

// piece is a token that holds semicolons, quotes and signs of comments, and ends.
func piece(t *rapid.T, d Dialect) string {
	inside := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{";", "'", `"`, "`", "]", "$$", "$a$", "--", "/*", "*/", "\n", `\`, "(", ")", "é", "END", " "}), 0, 6).Draw(t, "inside"), "")
	double := func(quote string) string { return strings.ReplaceAll(inside, quote, quote+quote) }
	all := []string{"'" + double("'") + "'", `"` + double(`"`) + `"`}
	if d == SQLite {
		all = append(all, "`"+double("`")+"`", "["+strings.ReplaceAll(inside, "]", "")+"]", "/*"+strings.ReplaceAll(inside, "*/", "")+"*/", "--"+strings.ReplaceAll(inside, "\n", "")+"\n")
	} else {
		all = append(all, "E'"+strings.ReplaceAll(double("'"), `\`, `\\`)+"'", "e'"+strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(inside)+"'", "U&'"+double("'")+"'",
			"$q$"+inside+"$q$", "$$"+strings.ReplaceAll(inside, "$", "")+"$$", "--"+strings.ReplaceAll(inside, "\n", "")+"\n", "(;)")
	}
	return rapid.SampledFrom(all).Draw(t, "piece")
}

// TestNoStatementEndsInALiteral puts statements together of pieces with anything in them, and gets them back.
func TestNoStatementEndsInALiteral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom(dialects).Draw(t, "dialect")
		var want, got []string
		for range rapid.IntRange(0, 5).Draw(t, "statements") {
			s := "SELECT"
			for range rapid.IntRange(0, 6).Draw(t, "pieces") {
				s += " " + piece(t, d)
			}
			want = append(want, s+" x")
		}
		for s := range Statements(strings.Join(want, ";"), d) {
			got = append(got, s.Text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// mustHold is what is true of any text.
func mustHold(t interface{ Fatalf(string, ...any) }, sql string, d Dialect) {
	all := slices.Collect(Tokens(sql, d))
	at := 0
	for i, token := range all {
		if token.At != at || token.Text == "" || !strings.HasPrefix(sql[at:], token.Text) || token.Depth < 0 {
			t.Fatalf("%s %q: token %d is %+v, expected at %d", d, sql, i, token, at)
		}
		if at = token.End(); token.Open && at != len(sql) {
			t.Fatalf("%s %q: %q has no end, and is not the last", d, sql, token.Text)
		}
		if inside := token.Opening() + token.Inside(); !strings.HasPrefix(token.Joined().Text, inside) {
			t.Fatalf("%s %q: %q is in one piece %q", d, sql, token.Text, token.Joined().Text)
		}
		token.Value()
	}
	if at != len(sql) {
		t.Fatalf("%s %q: the tokens end at %d", d, sql, at)
	}
	end := 0
	for s := range Statements(sql, d) {
		if s.At < end || s.Text == "" || sql[s.At:s.At+len(s.Text)] != s.Text {
			t.Fatalf("%s %q: statement %+v", d, sql, s)
		}
		between(t, all, end, s.At)
		end = s.At + len(s.Text)
	}
	between(t, all, end, len(sql))
}

// between looks at what is no part of a statement: whole tokens that mean nothing, and semicolons.
func between(t interface{ Fatalf(string, ...any) }, all []Token, from, until int) {
	for _, token := range all {
		if token.End() <= from || token.At >= until {
			continue
		}
		if token.At < from || token.End() > until || !token.Blank() && token.Text != ";" {
			t.Fatalf("%q at %d is cut, or in no statement: %d to %d is in none", token.Text, token.At, from, until)
		}
	}
}

var odd = []string{"a", "E", "U&", "x", "b", "1", ".", "'", `"`, "`", "[", "]", "$", "$$", "$a$", "--", "/*", "*/", "\n", "\r", " ", `\`, ";", "(", ")", "é", "\xff", "\x00", "CREATE", "BEGIN", "ATOMIC", "CASE", "END", "TRIGGER"}

func TestAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sql := strings.Join(rapid.SliceOfN(rapid.SampledFrom(odd), 0, 30).Draw(t, "pieces"), rapid.SampledFrom([]string{"", " "}).Draw(t, "space"))
		mustHold(t, sql, rapid.SampledFrom(dialects).Draw(t, "dialect"))
	})
}

func FuzzSQL(f *testing.F) {
	for _, s := range []string{
		"SELECT 'a;''b', E'\\';', U&'\\0041', $x$;$x$, \"q;\" -- ;\n; x", "'a' -- b\n'c;' ; d", "\\restrict x\nCREATE FUNCTION f() BEGIN ATOMIC; CASE a END; END; b",
		"CREATE TEMP TRIGGER x BEGIN [a;]; `b;`; END; $c", "/* /* */ */ (;); ) ; 1..2 $1 x'ff'", "'open",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		for _, d := range dialects {
			mustHold(t, sql, d)
		}
	})
}

const script = `-- a table of orders
CREATE TABLE public.orders (
    id bigint NOT NULL,
    note text DEFAULT 'it''s a note'::text NOT NULL,
    total numeric(12,2) DEFAULT 0.00 NOT NULL,
    state text DEFAULT E'open\n'::text,
    CONSTRAINT orders_state_check CHECK ((state = ANY (ARRAY['open'::text, 'paid'::text])))
);
/* a comment /* in a comment */ here */
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql
    AS $_$
BEGIN
  NEW.changed := now();
  IF NEW.note ~ '^[a-z]+$' THEN RAISE EXCEPTION 'no note: %', NEW.note; END IF;
  RETURN NEW;
END;
$_$;
ALTER TABLE ONLY public.orders ADD CONSTRAINT "orders pkey" PRIMARY KEY (id);
INSERT INTO public.orders VALUES (1, 2, 'some text of a customer who wrote a lot about nothing at all', 12.50, 'open');
`

func TestNothingIsCopied(t *testing.T) {
	for _, d := range dialects {
		n := testing.AllocsPerRun(10, func() {
			for range Tokens(script, d) {
				continue
			}
			for range Statements(script, d) {
				continue
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", d, n)
		}
	}
}

func BenchmarkTokens(b *testing.B) {
	long := strings.Repeat(script, 500)
	for _, d := range dialects {
		b.Run(string(d), func(b *testing.B) {
			b.SetBytes(int64(len(long)))
			b.ReportAllocs()
			for b.Loop() {
				for range Tokens(long, d) {
					continue
				}
			}
		})
	}
	b.Run("statements", func(b *testing.B) {
		b.SetBytes(int64(len(long)))
		b.ReportAllocs()
		for b.Loop() {
			for range Statements(long, PostgreSQL) {
				continue
			}
		}
	})
}
