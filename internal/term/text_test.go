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
