package sqlite

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
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
