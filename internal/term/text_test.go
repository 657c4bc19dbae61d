package term

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWrap(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                {""},
		"writes stood still for 1 s":      {"writes stood", "still for", "1 s"},
		"for 2 min 11 s, and no more":     {"for 2 min", "11 s, and no", "more"},
		"a-word-that-is-long 12 MB of it": {"a-word-that-is-long", "12 MB of it"},
		"5 sessions waited":               {"5 sessions", "waited"},
	} {
		if got := Wrap(text, 12); !slices.Equal(got, want) {
			t.Errorf("%q became %q, not %q", text, got, want)
		}
	}
}

func TestNarrow(t *testing.T) {
	rows := [][]string{{"NO", "WHO", "WHERE"}, {"1", "somebody else", "production"}, {"12", "bob"}}
	for width, want := range map[int]string{
		100: "NO  WHO            WHERE\n1   somebody else  production\n12  bob\n",
		26:  "NO  WHO         WHERE\n1   somebody …  production\n12  bob\n",
		21:  "NO  WHO      WHERE\n1   somebo…  product…\n12  bob\n",
		3:   "NO  WHO    WHERE\n1   some…  prod…\n12  bob\n",
	} {
		narrow := Narrow(rows, width, 1, 2)
		if got := Columns("", narrow); got != want {
			t.Errorf("in %d cells:\n%s", width, got)
		}
		if b := Broad(narrow); width > 20 && b > width {
			t.Errorf("%d cells in %d", b, width)
		}
	}
	if rows[1][1] != "somebody else" {
		t.Error("what was given was cut")
	}
}

func TestFold(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"short\n":                              "short\n",
		"✓ a step that is long  12 s\n":        "✓ a step that is\n  long  12 s\n",
		"  · said of it: one  two\nnext\n":     "  · said of it:\n    one  two\nnext\n",
		"    deep in the text":                 "    deep in the\n    text",
		"a-word-that-is-longer-than-it x":      "a-word-that-is-longer-than-it\nx",
		"                         far":         "                         far",
		"                         far away":    "                         far\n        away",
		"✓ \x1b[1ma bold word and more\x1b[0m": "✓ \x1b[1ma bold word\n  and more\x1b[0m",
	} {
		if got := Fold(text, 16); got != want {
			t.Errorf("%q became %q, not %q", text, got, want)
		}
	}
}

// TestFoldKeeps: whatever is broken, no word is lost or cut, and what could be made to fit does.
func TestFoldKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, width := rapid.StringMatching(`[ a-z✓\n]{0,80}`).Draw(t, "text"), rapid.IntRange(4, 40).Draw(t, "width")
		got := Fold(text, width)
		if !slices.Equal(strings.Fields(got), strings.Fields(text)) {
			t.Fatalf("%q became %q", text, got)
		}
		for line := range strings.Lines(got) {
			if len(strings.Fields(line)) > 1 && Width(strings.TrimRight(line, " \n")) > width {
				t.Fatalf("%q is wider than %d", line, width)
			}
		}
	})
}
