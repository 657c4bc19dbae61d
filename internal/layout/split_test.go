package layout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/sqltext"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect Dialect
		file    string
		want    []Statement
	}{
		{"nothing", Postgres, " \n-- no statement;\n/* nor; here */\n;;\n", nil},
		{"two", Postgres, "SELECT 1;\nSELECT 2", []Statement{{"SELECT 1", 1}, {"SELECT 2", 2}}},
		{"on one line", Postgres, "SELECT 1; SELECT 2;", []Statement{{"SELECT 1", 1}, {"SELECT 2", 1}}},
		{"comments around", Postgres, "-- a;\nSELECT 1 -- b;\n;/* c;\n */ SELECT /* d; */ 2;", []Statement{{"SELECT 1", 2}, {"SELECT /* d; */ 2", 4}}},
		{"line breaks of Windows", Postgres, "SELECT 1;\r\nSELECT\r\n 2;\r\nSELECT 3", []Statement{{"SELECT 1", 1}, {"SELECT\r\n 2", 2}, {"SELECT 3", 4}}},
		{"nested comment", Postgres, "/* a /* b; */ c; */ SELECT 1;", []Statement{{"SELECT 1", 1}}},
		{"no nesting", SQLite, "/* a /* b; */ SELECT 1;", []Statement{{"SELECT 1", 1}}},
		{"strings", Postgres, `SELECT 'a;''b;', "c;""d", 'e\'; SELECT 2`, []Statement{{`SELECT 'a;''b;', "c;""d", 'e\'`, 1}, {"SELECT 2", 1}}},
		{"escaped string", Postgres, `SELECT E'a\';b', e'\\'; SELECT 2`, []Statement{{`SELECT E'a\';b', e'\\'`, 1}, {"SELECT 2", 1}}},
		{"an escaped string goes on", Postgres, "SELECT E'a'\n -- c\n 'b\\';c'; SELECT 2", []Statement{{"SELECT E'a'\n -- c\n 'b\\';c'", 1}, {"SELECT 2", 3}}},
		{"a name that ends with e", Postgres, `SELECT date'2020;\'; SELECT 2`, []Statement{{`SELECT date'2020;\'`, 1}, {"SELECT 2", 1}}},
		{"dollars", Postgres, "DO $$ a; $x$ b; $$; DO $x$ $$; $y$ ; $x$; SELECT $1, a$b$;", []Statement{{"DO $$ a; $x$ b; $$", 1}, {"DO $x$ $$; $y$ ; $x$", 1}, {"SELECT $1, a$b$", 1}}},
		{"a rule's statements", Postgres, "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b); SELECT 1", []Statement{{"CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)", 1}, {"SELECT 1", 1}}},
		{"body in SQL", Postgres, "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC\n INSERT INTO t VALUES (CASE WHEN true THEN 1 END); DELETE FROM t;\nEND; SELECT 1",
			[]Statement{{"CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC\n INSERT INTO t VALUES (CASE WHEN true THEN 1 END); DELETE FROM t;\nEND", 1}, {"SELECT 1", 3}}},
		{"transaction", Postgres, "BEGIN; SELECT CASE WHEN a THEN b END; END;", []Statement{{"BEGIN", 1}, {"SELECT CASE WHEN a THEN b END", 1}, {"END", 1}}},
		{"brackets", Postgres, "SELECT ARRAY['a;'][1]; SELECT 2", []Statement{{"SELECT ARRAY['a;'][1]", 1}, {"SELECT 2", 1}}},
		{"copy from a file", Postgres, "COPY t FROM '/x/stdin'; SELECT 1", []Statement{{"COPY t FROM '/x/stdin'", 1}, {"SELECT 1", 1}}},
		{"names of SQLite's", SQLite, "CREATE TABLE [a;'b] (`c;\"`, \"d;\"); SELECT $a", []Statement{{"CREATE TABLE [a;'b] (`c;\"`, \"d;\")", 1}, {"SELECT $a", 1}}},
		{"trigger", SQLite, "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN\n UPDATE t SET a = CASE WHEN 1 THEN 2 END;\n DELETE FROM t;\nEND;\nSELECT 1;",
			[]Statement{{"CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN\n UPDATE t SET a = CASE WHEN 1 THEN 2 END;\n DELETE FROM t;\nEND", 1}, {"SELECT 1", 5}}},
		{"trigger at the end", SQLite, "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM t; END", []Statement{{"CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM t; END", 1}}},
		{"unicode", Postgres, "SELECT 'ü;' AS größe;\nSELECT ž", []Statement{{"SELECT 'ü;' AS größe", 1}, {"SELECT ž", 2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Split(c.file, c.dialect)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSplitRefuses(t *testing.T) {
	for _, c := range []struct {
		file, want string
	}{
		{"SELECT 1;\n\\connect other\n", `line 2: commands of psql, such as \connect`},
		{"SELECT 1 \\gset", "line 1: commands of psql, such as \\gset"},
		{"\n\nCOPY t (a, b) FROM stdin;\n1\t2\n\\.\n", "line 3: COPY … FROM STDIN takes data"},
		{"SELECT 1;\nSELECT 'a;\n\n", "line 2: ' is never closed"},
		{`SELECT "a`, `line 1: " is never closed`},
		{"SELECT E'a\\'", "line 1: E is never closed"},
		{"DO $body$ begin", "line 1: $ is never closed"},
		{"SELECT 1; /* a /* b */", "line 1: /* is never closed"},
	} {
		_, err := Split(c.file, Postgres)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: %v, not %s", c.file, err, c.want)
		}
	}
	if _, err := Split("SELECT [a", SQLite); err == nil {
		t.Error("a name that is never closed is taken")
	}
}

// tokensOf is everything but space, comments and what stands between statements.
func tokensOf(text string, d Dialect) (all []string) {
	for t := range sqltext.Tokens(text, d) {
		if !t.Blank() && t.Text != ";" {
			all = append(all, t.Text)
		}
	}
	return all
}

// FuzzSplit holds the statements of a file against the file: together they have its tokens, each is where its line says, and
// none of them is two.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"SELECT 1; SELECT 'a;b'", "CREATE TRIGGER x BEGIN SELECT 1; END; SELECT 2", "DO $$;$$;\n/* /* */ */ BEGIN ATOMIC ; END", "E'\\''\n'a';[a];`b`;--\r\n;("} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, file string, pg bool) {
		d := SQLite
		if pg {
			d = Postgres
		}
		all, err := Split(file, d)
		if err != nil {
			return
		}
		lines := strings.Split(file, "\n")
		var got []string
		for _, s := range all {
			first, _, _ := strings.Cut(s.SQL, "\n")
			if s.Line < 1 || s.Line > len(lines) || !strings.Contains(lines[s.Line-1], first) {
				t.Errorf("%q is not in line %d of %q", s.SQL, s.Line, file)
			}
			if s.At(0) != s.Line {
				t.Errorf("the first word of %q is in line %d, not %d", s.SQL, s.At(0), s.Line)
			}
			again, err := Split(s.SQL, d)
			if err != nil || len(again) != 1 || again[0].SQL != s.SQL {
				t.Errorf("%q is cut once more into %v: %v", s.SQL, again, err)
			}
			got = append(got, tokensOf(s.SQL, d)...)
		}
		if diff := cmp.Diff(tokensOf(file, d), got); diff != "" {
			t.Errorf("%q became %v: %s", file, all, diff)
		}
	})
}

func TestAt(t *testing.T) {
	s := Statement{SQL: "/* ü\n*/ SELECT 'ü',\n nothing\nFROM x", Line: 7}
	for position, want := range map[int]int{0: 7, 1: 6, 9: 7, 22: 8, 31: 9, 1000: 9} {
		if got := s.At(position); got != want {
			t.Errorf("position %d is in line %d, not %d", position, got, want)
		}
	}
}

func TestAlone(t *testing.T) {
	for sql, want := range map[string]string{
		"CREATE INDEX CONCURRENTLY x ON t (a)":                    "CREATE INDEX CONCURRENTLY",
		"create /* c */ unique\nindex concurrently if not exists": "CREATE INDEX CONCURRENTLY",
		"CREATE INDEX x ON t (concurrently)":                      "",
		`CREATE INDEX "CONCURRENTLY" ON t (a)`:                    "",
		"DROP INDEX CONCURRENTLY x":                               "DROP INDEX CONCURRENTLY",
		"VACUUM":                                                  "VACUUM",
		"REINDEX (VERBOSE) TABLE CONCURRENTLY t":                  "REINDEX CONCURRENTLY",
		"REINDEX TABLE t":                                         "",
		"REINDEX DATABASE d":                                      "REINDEX DATABASE",
		"CREATE DATABASE d":                                       "CREATE DATABASE",
		"ALTER SYSTEM SET x = 1":                                  "ALTER SYSTEM",
		"ALTER TABLE t DETACH PARTITION p CONCURRENTLY":           "ALTER TABLE … DETACH PARTITION … CONCURRENTLY",
		"ALTER TABLE t ADD c int":                                 "",
		"ALTER TYPE mood ADD VALUE 'happy'":                       "",
		"REFRESH MATERIALIZED VIEW CONCURRENTLY v":                "",
		"DISCARD ALL":                                             "DISCARD ALL",
		"ALTER DATABASE d SET TABLESPACE s":                       "ALTER DATABASE … SET TABLESPACE",
		"CLUSTER":                                                 "CLUSTER of all tables",
		"CLUSTER t":                                               "",
		"":                                                        "",
	} {
		if got := alone(sql, Postgres); got != want {
			t.Errorf("%q: %q, not %q", sql, got, want)
		}
	}
	if alone("VACUUM INTO 'x'", SQLite) == "" || alone("CREATE DATABASE d", SQLite) != "" {
		t.Error("SQLite's are others")
	}
}

func TestControls(t *testing.T) {
	for sql, want := range map[string]string{
		"BEGIN": "BEGIN", "begin isolation level serializable": "BEGIN", "COMMIT AND CHAIN": "COMMIT", "END": "END", "ABORT": "ABORT",
		"START TRANSACTION": "START TRANSACTION", "ROLLBACK": "ROLLBACK", "ROLLBACK TO SAVEPOINT a": "", "ROLLBACK TO a": "", "SAVEPOINT a": "",
		"PREPARE TRANSACTION 'x'": "PREPARE TRANSACTION", "PREPARE x AS SELECT 1": "", "SELECT 'COMMIT'": "", "CREATE TABLE begin (a int)": "",
	} {
		if got := controls(sql, Postgres); got != want {
			t.Errorf("%q: %q, not %q", sql, got, want)
		}
	}
}

func TestBuildsIndex(t *testing.T) {
	for sql, want := range map[string]string{
		"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_b ON t (c)":      "a_b",
		`CREATE INDEX CONCURRENTLY /* x */ "On It" ON s."t" USING gin (c)`: `"On It"`,
		"CREATE INDEX CONCURRENTLY ON t (c)":                               "",
		"CREATE INDEX a ON t (c)":                                          "",
		"DROP INDEX CONCURRENTLY a":                                        "",
	} {
		if got := BuildsIndex(sql); got != want {
			t.Errorf("%q: %q, not %q", sql, got, want)
		}
	}
}
