package human

import (
	"math"
	"testing"
	"time"
)

func TestTimes(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for d, want := range map[time.Duration]string{
		-1: "0 ms", 0: "0 ms", 900 * time.Microsecond: "less than 1 ms", 12 * ms: "12 ms", 999*ms + 999_999: "999 ms",
		s: "1 s", 1250 * ms: "1.2 s", 9990 * ms: "9.9 s", 10*s + 900*ms: "10 s", 42 * s: "42 s",
		80 * s: "1 min 20 s", 2 * time.Minute: "2 min", 3*time.Hour + 5*time.Minute + 59*s: "3 h 5 min", time.Hour + 59*s: "1 h",
		47*time.Hour + 59*time.Minute: "47 h 59 min", 48 * time.Hour: "2 days", 52*time.Hour + 4*time.Minute: "2 days 4 h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
}

func TestWritten(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 10 * time.Minute: "10m", time.Hour: "1h", time.Hour + 10*time.Second: "1h0m10s", 90 * time.Second: "1m30s", 90 * time.Minute: "1h30m", 1500 * time.Millisecond: "1.5s", 20 * time.Second: "20s"} {
		if got := Written(d); got != want {
			t.Errorf("%d is written %q, want %q", d, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", 1_234_567: "1,234,567", math.MinInt64: "-9,223,372,036,854,775,808"} {
		if got := Number(n); got != want {
			t.Errorf("Number(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1999: "2 kB", 999_949: "999.9 kB", 999_950: "1 MB", -1500: "-1.5 kB", 12_345_678: "12.3 MB", 999_999_999: "1 GB", math.MaxInt64: "9223372 TB", math.MinInt64: "-9223372 TB",
	} {
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
