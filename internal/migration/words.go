package migration

import (
	"fmt"
	"strings"
	"time"

	"greenroom/internal/human"
)

// Human tells a time as a sentence does: "9.4 s".
func Human(d time.Duration) string { return human.Duration(d) }

// Bytes tells a size: "1.2 GB". There is none below nothing.
func Bytes(n int64) string { return human.Size(max(n, 0)) }

// Thousands groups digits: 12,345.
func Thousands(n int64) string { return human.Number(n) }

// Blockers names the sessions that are in somebody's way.
func Blockers(all []Blocker) string {
	if len(all) == 0 {
		return "somebody who could not be named"
	}
	names := make([]string, len(all))
	for i, b := range all {
		name := fmt.Sprintf("session %d of %s, %s", b.PID, b.Who, b.State)
		if b.Since > 0 {
			name += ", its transaction open for " + Human(b.Since)
		}
		if b.Table != "" {
			name += ", on " + b.Table
		}
		if b.Query != "" {
			name += ", its last query: " + b.Query
		}
		if b.Spared != "" {
			name += ", which is not ended: " + b.Spared
		}
		names[i] = name
	}
	return strings.Join(names, "; ")
}

func waited(times int, longest time.Duration) string {
	if times == 1 {
		return Human(longest)
	}
	return fmt.Sprintf("%d times, %s at most", times, Human(longest))
}
