package term

import (
	"math"
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
