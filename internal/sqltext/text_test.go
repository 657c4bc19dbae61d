package sqltext

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func one(t interface{ Fatalf(string, ...any) }, sql string, d Dialect) Token {
	all := slices.Collect(Tokens(sql, d))
	if len(all) != 1 {
		t.Fatalf("%q is %d tokens", sql, len(all))
	}
	return all[0]
}

func TestValue(t *testing.T) {
	for _, c := range []struct{ sql, opening, inside, value string }{
		{"'it''s'", "'", "it''s", "it's"},
		{"'a''' -- b''c\n 'd'", "'", "a''d", "a'd"},
		{"'a", "'", "a", "a"},
		{`E'\b\f\n\r\t\\\'''\101\x41\u0041\U0001F600\x\é\8'`, "E'", `\b\f\n\r\t\\\'''\101\x41\u0041\U0001F600\x\é\8`, "\b\f\n\r\t\\''AAA\U0001F600xé8"},
		{`E'\uD83D\uDE00'`, "E'", `\uD83D\uDE00`, "\U0001F600"},
		{`U&'\D83D\DE00'`, "U&'", `\D83D\DE00`, "\U0001F600"},
		{"E'a\\''\n'\\'b'", "E'", `a\'\'b`, "a''b"},
		{`U&'\0041\\\+01F600''b'`, "U&'", `\0041\\\+01F600''b`, "A\\\U0001F600'b"},
		{`u&"\0041""b"`, `u&"`, `\0041""b`, `A"b`},
		{"$a$ $$ ' $a$", "$a$", " $$ ' ", " $$ ' "},
		{"$a$ $$", "$a$", " $$", " $$"},
		{"X'1f'\n'2e'", "X'", "1f2e", "1f2e"},
		{`"a""b"`, `"`, `a""b`, `a"b`},
		{`"a""`, `"`, `a""`, `a"`},
		{"word", "", "word", "word"},
		{"--'a", "", "--'a", "--'a"},
	} {
		token := one(t, c.sql, PostgreSQL)
		if token.Opening() != c.opening || token.Inside() != c.inside || token.Value() != c.value {
			t.Errorf("%q is %q %q %q, want %q %q %q", c.sql, token.Opening(), token.Inside(), token.Value(), c.opening, c.inside, c.value)
		}
	}
	for sql, want := range map[string]string{"[a]": "a", "`a``b`": "a`b", "[": "", "[a\"b": `a"b`, "x'ff'": "ff"} {
		if got := one(t, sql, SQLite).Value(); got != want {
			t.Errorf("%s is %q, want %q", sql, got, want)
		}
	}
	if got := one(t, `U&'\!0041!!'`, PostgreSQL).ValueBy('!'); got != `\A!` {
		t.Errorf("another escape: %q", got)
	}
}

func TestJoined(t *testing.T) {
	for sql, want := range map[string]string{
		"'a' -- b\n'c'": "'ac'", "E'\\''\n'\\''": `E'\'\''`, "x'0'\n'1'": "x'01'", "'a'\n'b": "'ab", "'a'": "'a'", "$$'\n'$$": "$$'\n'$$", "\"a\"": "\"a\"",
	} {
		if got := one(t, sql, PostgreSQL).Joined().Text; got != want {
			t.Errorf("%q is joined %q, want %q", sql, got, want)
		}
	}
}

// TestWith: whatever a text is replaced with stands there then, in one token of the same kind but for what dollars can't hold.
func TestWith(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := one(t, rapid.SampledFrom([]string{"'a'", "E'a'", "e'a'\n'b'", "U&'a'", "$$a$$", "$q$a$q$"}).Draw(t, "token"), PostgreSQL)
		value := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"'", `\`, "$", "$$", "$q$", "q", "!", "\n", "é", "0041", "''"}), 0, 8).Draw(t, "value"), "")
		mark := byte('\\')
		if token.Kind == Unicode {
			mark = rapid.SampledFrom([]byte(`\!`)).Draw(t, "mark")
		}
		got := one(t, token.With(value, mark), PostgreSQL)
		if got.Open || got.ValueBy(mark) != value {
			t.Fatalf("%q with %q is %q, which is %q", token.Text, value, got.Text, got.ValueBy(mark))
		}
		if got.Kind != token.Kind && token.Kind != Dollar {
			t.Fatalf("%q with %q is %q", token.Text, value, got.Text)
		}
	})
}

func TestRewrite(t *testing.T) {
	got := Rewrite("a -- b\n 'c' /* d */ \"e\"", PostgreSQL, func(t Token) string {
		if t.Kind == Comment {
			return "~"
		}
		return strings.ToUpper(t.Text)
	})
	if want := "A ~\n 'C' ~ \"E\""; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
