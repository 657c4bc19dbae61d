package sqlite

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/sqltext"
)

func TestTokens(t *testing.T) {
	cases := []struct{ a, b string }{
		{"CREATE TABLE t(a INT)", "create  table\n t ( a int )"},
		{"CREATE TABLE \"t\" (`a` INT, [b] INT)", "CREATE TABLE t (a INT, b INT)"},
		{"CREATE TABLE t (a -- why\n, b /* not */)", "CREATE TABLE t (a, b)"},
		{"CREATE TABLE [a b] (x)", "CREATE TABLE \"a b\" (x)"},
	}
	for _, c := range cases {
		if a, b := strings.Join(tokens(c.a), " "), strings.Join(tokens(c.b), " "); a != b {
			t.Errorf("%q and %q differ: %s and %s", c.a, c.b, a, b)
		}
	}
	for _, c := range []struct{ a, b string }{
		{"x DEFAULT 'a  b'", "x DEFAULT 'a b'"},
		{"x DEFAULT 'A'", "x DEFAULT 'a'"},
		{`x DEFAULT "A"`, `x DEFAULT "a"`},
		{"x DEFAULT '--'", "x DEFAULT ''"},
		{"x DEFAULT 'it''s'", "x DEFAULT 'its'"},
		{`x "a""b"`, `x "ab"`},
		{"a b", "ab"},
		{"x 'a\nb'", `x 'a\nb'`},
	} {
		if a, b := strings.Join(tokens(c.a), " "), strings.Join(tokens(c.b), " "); a == b {
			t.Errorf("%q and %q are the same: %s", c.a, c.b, a)
		}
	}
}

// TestTokensOfAnything has text that no statement is: it comes to an end, and stays one line.
func TestTokensOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.SampledFrom([]rune("aB1 '\"`[]-/*\n(,é"))).Draw(t, "s")
		for _, token := range tokens(s) {
			if token == "" || strings.Contains(token, "\n") {
				t.Fatalf("%q has the token %q", s, token)
			}
		}
	})
}

// TestReadAsTheDatabaseDoes has SQLite read what is odd about strings, names and comments, and compares.
func TestReadAsTheDatabaseDoes(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "a.db"), "wal")
	read := 0
	pieces := []string{"'", "'", "''", `"`, "`", "[", "]", `\`, ",", "x", "E", "$a", "00", "1.5", "--", "/*", "*/", "\n", "\r", " ", "é"}
	rapid.Check(t, func(t *rapid.T) {
		script := "SELECT '" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 12).Draw(t, "pieces"), "")
		rows, err := db.QueryContext(t.Context(), script)
		open := slices.ContainsFunc(slices.Collect(sqltext.Tokens(script, sqltext.SQLite)), func(t sqltext.Token) bool { return t.Open })
		if err != nil {
			return
		}
		defer rows.Close()
		if open {
			t.Fatalf("%q never ends, and the database takes it", script)
		}
		var want, got []string
		columns, err := rows.Columns()
		if err != nil || !rows.Next() {
			return // a parameter has no value
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatalf("%q: %v", script, err)
		}
		for _, v := range values {
			if text, ok := v.(string); ok {
				want = append(want, text)
			}
		}
		alias := false
		for token := range sqltext.Tokens(script, sqltext.SQLite) {
			switch {
			case token.Blank():
				continue
			case !alias && (token.Kind == sqltext.String || token.Text[0] == '"'): // which is a text, as no column is called so
				got = append(got, token.Value())
			}
			alias = !token.Is(",") && !token.Is("SELECT")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q: %s", script, diff)
		}
		read++
	})
	if read == 0 {
		t.Error("the database took none of them")
	}
}
