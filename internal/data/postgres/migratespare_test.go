package postgres

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/migration"
)

// holding is a session of a role and a name that holds the table orders for reading.
func holding(t *testing.T, d *Database, role, name string) *pgx.Conn {
	t.Helper()
	config := d.admin.Copy()
	config.Database = d.name
	config.RuntimeParams["application_name"] = name
	if role != "" {
		target, err := pgx.ParseConfig(d.url)
		if err != nil {
			t.Fatal(err)
		}
		config.Host, config.Port, config.User, config.Password = target.Host, target.Port, role, "x"
	}
	conn, err := pgx.ConnectConfig(bounded(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, s := range []string{"BEGIN", "SELECT count(*) FROM orders"} {
		if _, err := conn.Exec(bounded(t), s); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// TestMigrationEndsOnlyWhoHolds what it waits for: not who waits for the same in front of it, no superuser, and nobody of
// Greenroom's. Those are named with the reason.
func TestMigrationEndsOnlyWhoHolds(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	root := unique()
	execute(t, db, "CREATE TABLE orders (id int)", "CREATE ROLE "+quote(root)+" LOGIN SUPERUSER PASSWORD 'x'")
	t.Cleanup(func() { execute(t, open(t, d.URL()), "DROP ROLE "+quote(root)) })
	clerk, app := locked(t, d, "SELECT * FROM orders"), locked(t, d, "SELECT * FROM orders")
	if _, err := app.Exec(bounded(t), "SET application_name = 'greenroom-r5'"); err != nil { // it migrated as it started
		t.Fatal(err)
	}
	spared := map[string]*pgx.Conn{
		"it is a superuser's":   holding(t, d, root, "a person"),
		"it is Greenroom's own": holding(t, d, "", "greenroom snapshot"),
	}
	front := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(bounded(t), "ALTER TABLE orders ADD front int")
		front <- err
	}()
	eventually(t, "somebody waits in front", func() bool {
		return query[int](t, db, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass") == 1
	})

	o := migrateOptions(migrateFiles(t, "ALTER TABLE orders ADD note text"))
	o.LockTimeout, o.Retries = 20*time.Second, 1
	left := map[string]bool{}
	o.Blockers = func(all []migration.Blocker) (end []int) {
		for _, b := range all {
			end = append(end, b.PID)
			if b.Spared != "" {
				left[b.Spared] = true
			}
		}
		if slices.Contains(end, int(clerk.PgConn().PID())) || slices.Contains(end, int(app.PgConn().PID())) {
			return end
		}
		// They are gone, and the others are let go of. Whoever waits in front gets the table for an instant, and holds it then.
		for _, conn := range spared {
			if _, err := conn.Exec(bounded(t), "COMMIT"); err != nil {
				t.Errorf("somebody was ended who is spared: %v", err)
			}
		}
		return nil
	}
	ran, err := d.Run(bounded(t), o)
	if err != nil || ran.Failed != "" {
		t.Fatalf("%v, %+v", err, ran)
	}
	if err := <-front; err != nil {
		t.Errorf("who waited in front was ended: %v", err)
	}
	for _, held := range []*pgx.Conn{clerk, app} {
		if err := held.Ping(bounded(t)); err == nil {
			t.Error("who held the table is still there")
		}
	}
	for _, want := range []string{"it is a superuser's", "it is Greenroom's own", "it waits in front for the same"} {
		if !left[want] {
			t.Errorf("nobody was spared because %s: %v", want, left)
		}
	}
	if len(left) != 3 {
		t.Errorf("spared were %v", left)
	}
}

// TestMigrationEndsNobodyElse: whoever changes between the look and the ending is judged anew, and whoever has the pid of
// somebody who was seen is not taken for that.
func TestMigrationEndsNobodyElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile string                   // what the session in the way does between the look and the ending
		other     func(*migration.Blocker) // how the one that was seen was another
		want      string
	}{
		"still the same":  {want: ""},
		"another session": {other: func(b *migration.Blocker) { b.Born = b.Born.Add(-time.Microsecond) }, want: "it is gone"},
		"another pid":     {other: func(b *migration.Blocker) { b.PID = 1 << 30 }, want: "it is gone"},
		"became ours":     {meanwhile: "SET application_name = 'greenroom backup'", want: "it is Greenroom's own"},
		"let go":          {meanwhile: "COMMIT", want: "it no longer stands in the way"},
		"began once more": {meanwhile: "COMMIT; BEGIN", want: "it no longer stands in the way"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, d := account(t)
			db := open(t, d.URL())
			execute(t, db, "CREATE TABLE orders (id int)")
			clerk := locked(t, d, "SELECT * FROM orders")
			migrator := locked(t, d, "SELECT 1")
			altered := make(chan error, 1)
			go func() {
				_, err := migrator.Exec(bounded(t), "ALTER TABLE orders ADD note text")
				altered <- err
			}()
			w := &waits{d: d, pid: int32(migrator.PgConn().PID()), role: migrator.Config().User}
			w.o.Blockers = func([]migration.Blocker) []int { return nil }
			administrator := connection(t, d, "test")
			var seen []migration.Blocker
			eventually(t, "somebody is in the way", func() (yes bool) {
				var err error
				seen, err = w.inTheWay(bounded(t), administrator)
				return err == nil && len(seen) == 1 && seen[0].Spared == ""
			})
			if c.other != nil {
				c.other(&seen[0])
			}
			if c.meanwhile != "" {
				if _, err := clerk.PgConn().Exec(bounded(t), c.meanwhile).ReadAll(); err != nil {
					t.Fatal(err)
				}
			}
			spared, err := w.end(bounded(t), administrator, seen[0])
			if err != nil || spared != c.want {
				t.Errorf("it is spared for %q, %v; want %q", spared, err, c.want)
			}
			if err := clerk.Ping(bounded(t)); (err != nil) != (c.want == "") {
				t.Errorf("who is in the way answers %v", err)
			}
			if err := clerk.Close(bounded(t)); err != nil && c.want != "" {
				t.Error(err)
			}
			if err := <-altered; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestConflicting: the pairs are of a lock that is wanted and one that is held, in this order, as pg_locks names them.
func TestConflicting(t *testing.T) {
	t.Parallel()
	pairs := conflicting()
	for pair, want := range map[string]bool{
		"ShareRowExclusiveLock AccessShareLock":  false,
		"AccessExclusiveLock AccessShareLock":    true,
		"ShareLock ExclusiveLock":                true, // the end of a transaction
		"ShareRowExclusiveLock RowExclusiveLock": true,
		"RowShareLock ShareRowExclusiveLock":     false,
	} {
		if slices.Contains(pairs, pair) != want {
			t.Errorf("%q conflicts: %t", pair, !want)
		}
	}
}
