package environment

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/data"
	"greenroom/internal/migration"
	"greenroom/internal/release"
)

// ends is a database of which only the end of migrators is asked.
type ends struct {
	data.Database
	asked int
}

func (e *ends) EndMigrator(context.Context, string) (int, error) {
	e.asked++
	return 1, nil
}

// TestWaits: a migrator that waits in one go for longer than it may is ended, one that gives up in time and tries again is
// not, however often; and Greenroom's own looks after itself.
func TestWaits(t *testing.T) {
	const limit = 100 * time.Millisecond
	run := app.Migrations{Run: "./migrate"}
	for name, c := range map[string]struct {
		how     app.Migrations
		moments []time.Duration // how long the statement that waits has run, every 50 ms; -1: nothing is told
		ended   int
	}{
		"in one go":      {run, []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond}, 1},
		"at work before": {run, []time.Duration{time.Minute, time.Minute, time.Minute}, 1},
		"again":          {run, []time.Duration{0, 50 * time.Millisecond, -1, -1, -1, 0, 50 * time.Millisecond, -1, 10 * time.Millisecond}, 0},
		"its own":        {app.Migrations{Dir: "migrations"}, []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond, time.Second}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := &ends{}
				m := &migrator{Environment: &Environment{}, db: db, Migrating: Migrating{LockTimeout: limit},
					release: release.Release{Contents: app.Contents{Migrations: &c.how}}}
				for _, since := range c.moments {
					if since >= 0 {
						m.moment(t.Context(), migration.Moment{SQL: "ALTER TABLE orders ADD paid boolean", Since: since, Waits: true})
					}
					time.Sleep(50 * time.Millisecond)
				}
				synctest.Wait()
				if db.asked != c.ended {
					t.Errorf("it was ended %d times, not %d", db.asked, c.ended)
				}
			})
		})
	}
}
