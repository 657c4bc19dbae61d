package migration

import (
	"fmt"
	"time"

	"greenroom/internal/human"
)

// Human tells a time as a sentence does: "9.4 s".
func Human(d time.Duration) string { return human.Duration(d) }

// Bytes tells a size: "1.2 GB". There is none below nothing.
func Bytes(n int64) string { return human.Size(max(n, 0)) }

// Thousands groups digits: 12,345.
func Thousands(n int64) string { return human.Number(n) }

func waited(times int, longest time.Duration) string {
	if times == 1 {
		return Human(longest)
	}
	return fmt.Sprintf("%d times, %s at most", times, Human(longest))
}
