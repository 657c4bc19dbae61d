package promotion

import (
	"testing"
	"time"

	"greenroom/internal/environment"
	"greenroom/internal/migration"
)

// TestWaitedFor: what a migration waited for is no part of how long it took, in one attempt or in several.
func TestWaitedFor(t *testing.T) {
	seen := &migration.Observation{Statements: []migration.Statement{
		{SQL: "ALTER TABLE orders ADD paid boolean", Took: time.Second, Waited: time.Second, Error: "lock timeout"},
		{SQL: "ALTER TABLE orders ADD paid boolean", Took: 3 * time.Second, Waited: time.Second},
	}}
	for _, c := range []struct {
		m    environment.Migration
		want time.Duration
	}{
		{environment.Migration{Took: 5 * time.Second}, 0},
		{environment.Migration{Took: 5 * time.Second, Seen: seen}, 2 * time.Second},
		{environment.Migration{Took: 9 * time.Second, Attempts: 2, Seen: seen}, 7 * time.Second},
		{environment.Migration{Took: time.Second, Seen: seen}, time.Second},
	} {
		if got := waitedFor(c.m); got != c.want {
			t.Errorf("of %s in %d attempts it waited %s, not %s", c.m.Took, c.m.Attempts, got, c.want)
		}
	}
}
