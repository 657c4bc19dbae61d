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
	asked     int
	cancelled int
}

func (e *ends) EndMigrator(context.Context, string) (int, error) {
	e.asked++
	return 1, nil
}

func (e *ends) CancelWaiting(context.Context, data.Whose) (int, error) {
	e.cancelled++
	return 1, nil
}

func (e *ends) EndSessions(context.Context, data.Whose) (int, error) { return 0, nil }

// TestGuardsAStart: what a replica waits for that starts is cancelled and the replica given up; once it is healthy nobody
// touches it, however long it waits, and its next start is looked after again.
func TestGuardsAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &ends{}
		how := app.Migrations{AtStart: "web"}
		m := &migrator{Environment: &Environment{}, db: db, Migrating: Migrating{LockTimeout: 100 * time.Millisecond},
			release: release.Release{Contents: app.Contents{Migrations: &how}}}
		waits := func() {
			for i := range 10 {
				m.moment(t.Context(), migration.Moment{SQL: "ALTER TABLE orders ADD paid boolean", Waits: true, Since: time.Duration(i) * 50 * time.Millisecond})
				time.Sleep(50 * time.Millisecond)
			}
		}
		waits()
		if db.cancelled != 0 {
			t.Error("nothing starts, and something was cancelled")
		}
		limited, giveUp := context.WithCancel(t.Context())
		m.guard(giveUp)
		waits()
		if cancelled := m.unguard(); !cancelled || db.cancelled != 1 || limited.Err() == nil || db.asked != 0 {
			t.Errorf("cancelled %t, %d times, given up %v, ended %d times", cancelled, db.cancelled, limited.Err(), db.asked)
		}
		m.ended, m.waiting = false, time.Time{}
		waits()
		if db.cancelled != 1 {
			t.Error("a healthy replica was touched")
		}
	})
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
