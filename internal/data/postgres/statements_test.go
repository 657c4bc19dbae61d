package postgres

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/sqltext"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for script, want := range map[string][]string{
		"": nil,
		" \n-- only a comment; really\n/* a /* b; */ c; */": nil,
		"SELECT 1":                 {"SELECT 1"},
		"SELECT 1; ;\n SELECT 2 ;": {"SELECT 1", "SELECT 2"},
		"SELECT ';', 'it''s;', E'\\';', \"a;b\"\"\";x":                                          {"SELECT ';', 'it''s;', E'\\';', \"a;b\"\"\"", "x"},
		"DO $$ a; b $$; DO $x$ $$; $y$; $x$; SELECT $1; SELECT a$b$c;":                          {"DO $$ a; b $$", "DO $x$ $$; $y$; $x$", "SELECT $1", "SELECT a$b$c"},
		"\\restrict abc;def\nSELECT 1;\n\\unrestrict abc\n":                                     {"SELECT 1"},
		"CREATE RULE r AS ON DELETE TO t DO (DELETE FROM a; DELETE FROM b); x":                  {"CREATE RULE r AS ON DELETE TO t DO (DELETE FROM a; DELETE FROM b)", "x"},
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; SELECT CASE 1 WHEN 1 THEN 2 END; END; x": {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; SELECT CASE 1 WHEN 1 THEN 2 END; END", "x"},
		"BEGIN; SELECT 1; END;":                   {"BEGIN", "SELECT 1", "END"},
		"SELECT U&'a;', u&\"b;\", B'1', x'2;'; y": {"SELECT U&'a;', u&\"b;\", B'1', x'2;'", "y"},
		"SELECT 'open; ":                          {"SELECT 'open;"},
	} {
		if diff := cmp.Diff(want, split(script)); diff != "" {
			t.Errorf("%s: %s", script, diff)
		}
	}
}

// TestSplitLosesNothing puts statements of odd pieces together and takes them apart again.
func TestSplitLosesNothing(t *testing.T) {
	pieces := []string{"a", " ", "\n", "'x;''y'", "E'\\';'", `"q;""q"`, "$$;$$", "$t$;$$;$t$", "(;)", "-- ;\n", "/* ;/*;*/ */", "ünï", "1", ".", "::", "-", "/"}
	rapid.Check(t, func(t *rapid.T) {
		var want []string
		for range rapid.IntRange(0, 5).Draw(t, "statements") {
			// A statement that begins with a word, and pieces that don't grow together.
			want = append(want, "S "+strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 8).Draw(t, "pieces"), " ")+" E")
		}
		if diff := cmp.Diff(want, split(strings.Join(want, ";\n")+";")); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("SELECT 'a;'; CREATE FUNCTION x() BEGIN ATOMIC; SELECT 1; END; $$;$$; -- x")
	f.Add("\u0085; \u00a0") // which are names, and no space
	f.Fuzz(func(t *testing.T, script string) {
		for _, s := range split(script) {
			if strings.Trim(s, " \t\n\v\f\r") == "" {
				t.Errorf("an empty statement out of %q", script)
			}
		}
		skeleton(script)
		constraintIn(script)
	})
}

func TestSkeleton(t *testing.T) {
	t.Parallel()
	plain := skeleton("CREATE FUNCTION f() AS $b$ SELECT 'one'; $b$ x 'it''s' -- y\n\"a b\"")
	masked := skeleton("CREATE FUNCTION f() AS $function$ other\n$function$ x E'\\'' \"a b\"")
	if plain != masked {
		t.Errorf("%q is not %q", plain, masked)
	}
	if plain == skeleton("CREATE FUNCTION g() AS '' x '' \"a b\"") {
		t.Error("another name is another skeleton")
	}
}

func TestConstraintIn(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string][3]string{
		"ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT orders_pkey PRIMARY KEY (id)":             {"public.orders", "orders_pkey", "PRIMARY"},
		`ALTER TABLE ONLY "A b"."c ADD" ADD CONSTRAINT "x; y" FOREIGN KEY (a) REFERENCES public.t(a)`: {`"A b"."c ADD"`, `"x; y"`, "FOREIGN"},
		"ALTER TABLE public.t ADD CONSTRAINT u UNIQUE (a)":                                            {"public.t", "u", "UNIQUE"},
		"ALTER TABLE public.t CLUSTER ON t_pkey":                                                      {},
		"CREATE INDEX i ON public.t USING btree (a)":                                                  {},
		"ALTER TABLE": {},
	} {
		table, name, kind := constraintIn(statement)
		if got := [3]string{table, name, kind}; got != want {
			t.Errorf("%s: %v, want %v", statement, got, want)
		}
	}
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	got := harmless(`SET x = 1;
CREATE FOREIGN DATA WRAPPER w OPTIONS (
    secret 'x'
);
CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'production', "OPTIONS" 'x');
CREATE USER MAPPING FOR u SERVER s OPTIONS (password 'secret');
CREATE TABLE t (a text DEFAULT 'OPTIONS');`)
	want := "SET x = 1;\n\nCREATE FOREIGN DATA WRAPPER w;\n\nCREATE SERVER s FOREIGN DATA WRAPPER w;\n\nCREATE TABLE t (a text DEFAULT 'OPTIONS');\n\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestReadAsTheServerDoes has the server read what is odd about literals, comments and the ends of statements, and compares:
// how many statements there are, what a text's value is, and what never ends.
func TestReadAsTheServerDoes(t *testing.T) {
	_, _, d := account(t)
	conn := connection(t, d, "reader").PgConn()
	compare := func(t interface{ Fatalf(string, ...any) }, script string) (read bool) {
		results, err := conn.Exec(context.Background(), script).ReadAll()
		open := false
		var texts []string
		for token := range sqltext.Tokens(script, sqltext.PostgreSQL) {
			open = open || token.Open
			if token.IsText() {
				texts = append(texts, token.Value())
			}
		}
		if unterminated := err != nil && strings.Contains(err.Error(), "unterminated"); open && err == nil || unterminated && !open {
			t.Fatalf("%q never ends: %v, and the server says: %v", script, open, err)
		}
		if err != nil {
			return false
		}
		if n := len(slices.Collect(sqltext.Statements(script, sqltext.PostgreSQL))); n != len(results) {
			t.Fatalf("%q is %d statements, to the server %d", script, n, len(results))
		}
		for _, r := range results {
			for _, row := range r.Rows {
				for _, value := range row {
					if len(texts) == 0 || texts[0] != string(value) {
						t.Fatalf("%q has the texts %q, and the server says %q", script, texts, value)
					}
					texts = texts[1:]
				}
			}
		}
		return true
	}
	for _, script := range []string{
		"SELECT 'a''b', E'\\'\\x41\\102\\u0043\\\\', U&'\\0041\\D83D\\DE00', E'\\uD83D\\uDE00', $$'$$, $a$ $$ $a$ -- c\n; /* d /* ; */ ' */ SELECT 'e'",
		"SELECT 'a'\n'b', 'c' -- d\n 'e', E'f'\r--'\n'\\'g', U&'\\0041'\n'\\0042', N'h'",
		"SELECT 'a' -- b\r, 'c'; SELECT 'd\\'; SELECT '/*', '*/', '--'",
		"SELECT 'a' AS e$; SELECT 'b' AS e$$; SELECT 'c' AS \"e';\"",
		"CREATE FUNCTION pg_temp.begin(end_ int) RETURNS int BEGIN ATOMIC; SELECT CASE (CASE $1 WHEN 1 THEN 2 END) WHEN 2 THEN 3 END; END; SELECT 'y'",
		"CREATE TEMP TABLE t (a int); CREATE RULE r AS ON DELETE TO t DO (SELECT 1; SELECT 2); SELECT 'c'",
		"BEGIN; SELECT 'a'; END; ;; SELECT 'b' /* c",
	} {
		unknown := d.programs.Major < 14 && strings.Contains(script, "BEGIN ATOMIC")
		if !compare(t, script) && !strings.HasSuffix(script, "/* c") && !unknown {
			t.Errorf("the server does not take %s", script)
		}
		_, _ = conn.Exec(context.Background(), "ROLLBACK").ReadAll()
	}
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		script := "SELECT " + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"'", "'", "'", "E'", "U&'", `\`, `\'`, "''", `\0041`, `\x41`, `\uD83D`, `\uDE00`, `"`, "$$", "$a$", "$", "a", ",", ";SELECT ", "\n", "\r", " ", "--", "/*", "*/", "/", "é"}), 1, 12).Draw(t, "pieces"), "")
		if compare(t, script) {
			read++
		}
	})
	if read == 0 {
		t.Error("the server took none of them")
	}
}
