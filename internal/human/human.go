// Package human writes times, sizes and numbers for people.
package human

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration tells a time as a sentence does, and a table too: "9.4 s", "250 ms", "2 min 5 s", "3 days 4 h".
func Duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < time.Millisecond:
		return "less than 1 ms"
	case d < 10*time.Second && d >= time.Second:
		return trimmed(d.Truncate(100*time.Millisecond).Seconds()) + " s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(d, time.Minute, " min", time.Second, " s")
	case d < 2*day:
		return two(d, time.Hour, " h", time.Minute, " min")
	}
	return two(d, day, " days", time.Hour, " h")
}

const day = 24 * time.Hour

// Written tells all of a time, as it is written in a definition: 10m, where time.Duration says 10m0s.
func Written(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// two tells a time in two units, the smaller one where any of it is left.
func two(d, large time.Duration, unit string, small time.Duration, smallUnit string) string {
	text := fmt.Sprintf("%d%s", d/large, unit)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(" %d%s", rest, smallUnit)
	}
	return text
}

// Size tells a number of bytes in powers of a thousand: "1.2 GB".
func Size(n int64) string {
	size, units := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	for len(units) > 1 && math.Abs(size) >= 999.95 { // which is 1000 in tenths
		size, units = size/1000, units[1:]
	}
	return trimmed(math.Round(size*10)/10) + " " + units[0]
}

func trimmed(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// Number groups digits: 12,345.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Count is a number with its noun.
func Count[N ~int | ~int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(int64(n)) + " " + many
}
