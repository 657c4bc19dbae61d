package postgres

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
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
	f.Fuzz(func(t *testing.T, script string) {
		for _, s := range split(script) {
			if strings.TrimSpace(s) == "" {
				t.Errorf("an empty statement out of %q", script)
			}
		}
		skeleton(script)
		constraintIn(script)
	})
}

func TestSkeleton(t *testing.T) {
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
