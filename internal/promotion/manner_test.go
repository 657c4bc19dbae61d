package promotion

import (
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/migration"
)

// TestManner stops a migration that takes far longer than was foretold, where that was told from what production is now.
func TestManner(t *testing.T) {
	foretold := migration.Report{Forecast: &migration.Forecast{High: time.Minute}}
	old := migration.Report{Forecast: &migration.Forecast{High: time.Minute, Sized: time.Now()}}
	for name, c := range map[string]struct {
		rehearsed *migration.Report
		limit     time.Duration
	}{
		"foretold":                  {&foretold, farLonger(time.Minute)},
		"foretold from other sizes": {&old, 0},
		"nothing foretold":          {&migration.Report{}, 0},
		"not rehearsed":             {nil, 0},
	} {
		how := manner(app.Migrating{}, c.rehearsed)
		if how.Limit != c.limit || how.Statement != c.limit {
			t.Errorf("%s: %s, a statement %s, want %s", name, how.Limit, how.Statement, c.limit)
		}
		if how.LockTimeout != 250*time.Millisecond || !how.Watch {
			t.Errorf("%s: %+v", name, how)
		}
	}
}
