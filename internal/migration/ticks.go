package migration

import (
	"slices"
	"time"
)

// Ticks are round times from 0 to total, at most n steps of them, for an axis.
func Ticks(total time.Duration, n int) []time.Duration {
	steps := []time.Duration{1, 2, 5}
	for unit := time.Duration(1); unit < time.Second; unit *= 10 {
		steps = append(steps, 10*unit, 20*unit, 50*unit)
	}
	steps = append(steps, 15*time.Second, 30*time.Second, time.Minute, 2*time.Minute, 5*time.Minute, 10*time.Minute, 15*time.Minute,
		30*time.Minute, time.Hour, 2*time.Hour, 6*time.Hour, 12*time.Hour, 24*time.Hour)
	steps = slices.DeleteFunc(steps, func(d time.Duration) bool { return d > 10*time.Second && d < time.Minute && d%(15*time.Second) != 0 })
	slices.Sort(steps)
	n = max(n, 1)
	step := steps[len(steps)-1]
	for _, s := range steps {
		if total/s <= time.Duration(n) {
			step = s
			break
		}
	}
	for total/step > time.Duration(n) {
		step *= 2
	}
	var out []time.Duration
	for at := time.Duration(0); at <= total && len(out) <= n; at += step {
		out = append(out, at)
	}
	return out
}
