package term

import (
	"math"
	"slices"
	"testing"
)

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", 1_234_567: "1,234,567", math.MinInt64: "-9,223,372,036,854,775,808"} {
		if got := Number(n); got != want {
			t.Errorf("Number(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", -1500: "-1.5 kB", 12_345_678: "12.3 MB", math.MaxInt64: "9223372.0 TB", math.MinInt64: "-9223372.0 TB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 tests", 1: "1 test", 1200: "1,200 tests"} {
		if got := Count(n, "test", "tests"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

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
