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

func TestStands(t *testing.T) {
	for held, want := range map[string]bool{
		"":                                      false,
		"ShareRowExclusiveLock AccessShareLock": false,
		"AccessExclusiveLock AccessShareLock":   true,
		"ShareLock ExclusiveLock":               true, // the end of a transaction
		"ShareRowExclusiveLock AccessShareLock,ShareRowExclusiveLock RowExclusiveLock": true,
	} {
		if stands(held) != want {
			t.Errorf("%q stands in the way: %v", held, !want)
		}
	}
}
