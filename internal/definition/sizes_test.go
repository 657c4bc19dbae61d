package definition

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSize(t *testing.T) {
	for s, want := range map[text]int64{
		"1B": 1, "100MB": 100e6, "2GiB": 2 << 30, "1.5GB": 1500e6, "0.5 KiB": 512, "3kB": 3000, "3KB": 3000, "0MB": 0, "7TiB": 7 << 40,
		"9223372036854775807B": -1, "922337203685477580B": 922337203685477580, "1.000001MB": 1000001,
		"": -1, "MB": -1, "10": -1, "10mb": -1, "10M": -1, "-1MB": -1, "1e3MB": -1, "1.5B": -1, "9999999TiB": -1, "1/2MB": -1, "1,5GB": -1, "10MB/s": -1, "٣MB": -1,
	} {
		got, what, instead := size(s)
		switch {
		case want < 0 && (what == "" || instead == ""):
			t.Errorf("size(%q) = %d, want a fault: %q %q", s, got, what, instead)
		case want >= 0 && (got != want || what != ""):
			t.Errorf("size(%q) = %d (%s), want %d", s, got, what, want)
		}
	}
}

func TestSizeMeant(t *testing.T) {
	for s, want := range map[text]string{
		"10mb": "write `10MB`", "2gib": "write `2GiB`", "5K": "write `5kB`, or `5KiB` for powers of 1024", "3pb": "write a number with a unit, as 100MB or 2GiB",
	} {
		if _, _, instead := size(s); instead != want {
			t.Errorf("size(%q): %s, want %s", s, instead, want)
		}
	}
	for s, want := range map[text]string{
		"50MB": "write `50MB/s`", "50mb/s": "write `50MB/s`", "50M/s": "write `50MB/s`, or `50MiB/s` for powers of 1024", "fast": "write a size a second, as 50MB/s", "50Mbit/s": "write a size a second, as 50MB/s",
	} {
		if _, what, instead := rate(s); what == "" || instead != want {
			t.Errorf("rate(%q): %s; %s, want %s", s, what, instead, want)
		}
	}
	if got, what, _ := rate("50MB/s"); got != 50e6 || what != "" {
		t.Errorf("50MB/s is %d, %s", got, what)
	}
}

// TestSizeIsExact: a whole number of any unit is that many bytes, or a fault where an int64 can't say it.
func TestSizeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1e18-1).Draw(t, "number")
		unit := rapid.SampledFrom(sortedKeys(byteUnits)).Draw(t, "unit")
		got, what, _ := size(text(fmt.Sprintf("%d%s", n, unit)))
		switch fits := n <= math.MaxInt64/byteUnits[unit]; {
		case fits && (what != "" || got != n*byteUnits[unit]):
			t.Fatalf("%d%s is %d (%s)", n, unit, got, what)
		case !fits && what == "":
			t.Fatalf("%d%s is %d", n, unit, got)
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"100MB", "2GiB", "1.5GB", "50MB/s", "", "1e9MB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, what, _ := size(text(s))
		if n < 0 || what != "" && n != 0 {
			t.Fatalf("size(%q) = %d, %s", s, n, what)
		}
		if m, wrong, _ := rate(text(s + "/s")); !strings.HasSuffix(s, "/s") && what == "" && (m != n || wrong != "") {
			t.Fatalf("rate(%q) = %d, %s, and the size is %d", s+"/s", m, wrong, n)
		}
	})
}
