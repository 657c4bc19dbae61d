package migration

import (
	"fmt"
	"strconv"
	"time"
)

// Human tells a time as a sentence does: "9.4 s", "250 ms", "2 min 5 s".
func Human(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < time.Millisecond:
		return "less than 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return trimmed(d.Truncate(100*time.Millisecond).Seconds()) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return units(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	}
	return units(int(d.Hours()), "h", int(d.Minutes())%60, "min")
}

func units(large int, unit string, small int, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d %s", large, unit)
	}
	return fmt.Sprintf("%d %s %d %s", large, unit, small, smallUnit)
}

// Bytes tells a size in powers of a thousand: "1.2 GB".
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	size, i := float64(n), 0
	for names := 4; size >= 1000 && i < names; i++ {
		size /= 1000
	}
	return trimmed(float64(int(size*10))/10) + " " + []string{"B", "kB", "MB", "GB", "TB"}[i]
}

// Thousands groups digits: 12,345.
func Thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func trimmed(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func waited(times int, longest time.Duration) string {
	if times == 1 {
		return Human(longest)
	}
	return fmt.Sprintf("%d times, %s at most", times, Human(longest))
}
