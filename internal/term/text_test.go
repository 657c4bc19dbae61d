package term

import (
	"slices"
	"testing"
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
