package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// fates writes down what came of sessions.
func fates(o *data.RunOptions) *[]string {
	var all []string
	o.Ended = func(b migration.Blocker, fate data.Fate, why string) {
		all = append(all, fmt.Sprintf("%d: %d, %s", b.PID, fate, why))
	}
	return &all
}

func wantFate(t *testing.T, got []string, of *pgx.Conn, fate data.Fate, why string) {
	t.Helper()
	if want := fmt.Sprintf("%d: %d, %s", of.PgConn().PID(), fate, why); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("told was %q, not %q", got, want)
	}
}

// halted stops the backend of a session, so that nothing comes of what it is asked, until the function is called.
func halted(t *testing.T, conn *pgx.Conn) (goOn func()) {
	t.Helper()
	pid := int(conn.PgConn().PID())
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("signal %d to the backend: %v", s, err)
		}
	}
	signal(syscall.SIGSTOP)
	goOn = func() { signal(syscall.SIGCONT) }
	t.Cleanup(goOn)
	return goOn
}

// TestWhoIsAskedToEndIsSeenToEnd: it is told as ended when it has, and not before, also where the migration is over by then.
func TestWhoIsAskedToEndIsSeenToEnd(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE orders (id int)")
	clerk := locked(t, d, "SELECT * FROM orders")
	goOn := halted(t, clerk)
	o := migrateOptions(migrateFiles(t, "ALTER TABLE orders ADD note text"))
	told := fates(&o)
	ctx, cancel := context.WithCancel(bounded(t))
	looks := 0
	o.Blockers = func(b []migration.Blocker) []int {
		if looks++; looks == 2 { // it was asked, and is still there
			if len(*told) != 0 {
				t.Errorf("told was %q of one who is there", *told)
			}
			cancel()
			go goOn()
		}
		return []int{b[0].PID}
	}
	if _, err := d.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	wantFate(t, *told, clerk, data.FateEnded, "")
	if err := clerk.Ping(bounded(t)); err == nil {
		t.Error("it is there")
	}
}

// TestWhoDoesNotEndIsNotToldAsEnded, however long it is waited for.
func TestWhoDoesNotEndIsNotToldAsEnded(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE orders (id int)")
	clerk := locked(t, d, "SELECT * FROM orders")
	halted(t, clerk)
	w := &waits{d: d, grace: 50 * time.Millisecond}
	told := fates(&w.o)
	born := query[time.Time](t, open(t, d.URL()), "SELECT backend_start FROM pg_stat_activity WHERE pid = $1", int(clerk.PgConn().PID()))
	w.asked = []migration.Blocker{{PID: int(clerk.PgConn().PID()), Born: born}}
	w.settle(bounded(t))
	wantFate(t, *told, clerk, data.FateUnknown, "it was asked to end, and nobody saw that it did")
}

// TestWhoIsGoneIsNotToldAsEnded: it went between the look and the ending.
func TestWhoIsGoneIsNotToldAsEnded(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE orders (id int)")
	clerk := locked(t, d, "SELECT * FROM orders")
	o := migrateOptions(migrateFiles(t, "ALTER TABLE orders ADD note text"))
	told := fates(&o)
	o.Blockers = func(b []migration.Blocker) []int {
		_ = clerk.Close(bounded(t))
		eventually(t, "it is gone", func() bool {
			return query[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", b[0].PID) == 0
		})
		return []int{b[0].PID}
	}
	if ran, err := d.Run(bounded(t), o); err != nil || ran.Failed != "" {
		t.Fatalf("%v, %+v", err, ran)
	}
	wantFate(t, *told, clerk, data.FateSpared, "it was gone by itself")
}

// TestTheServerRefusesToEnd somebody else's session for a role that may not: that is told once, and from then on it is named
// as one that is not ended.
func TestTheServerRefusesToEnd(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	role, other := unique(), unique()
	execute(t, db, "CREATE ROLE "+quote(role)+" LOGIN PASSWORD 'x' IN ROLE pg_read_all_stats", "CREATE ROLE "+quote(other)+" LOGIN PASSWORD 'x'",
		"CREATE TABLE orders (id int)", "ALTER TABLE orders OWNER TO "+quote(role), "GRANT SELECT ON orders TO "+quote(other), "GRANT CREATE ON SCHEMA public TO "+quote(role))
	t.Cleanup(func() {
		execute(t, open(t, d.URL()), "DROP OWNED BY "+quote(role)+", "+quote(other), "DROP ROLE "+quote(role), "DROP ROLE "+quote(other))
	})
	clerk := holding(t, d, other, "a clerk")
	t.Cleanup(func() { _ = clerk.Close(context.Background()) })
	u, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "x")
	external, err := Open(Config{URL: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	o := migrateOptions(migrateFiles(t, "ALTER TABLE orders ADD note text"))
	o.LockTimeout, o.Retries = 5*time.Second, 1
	told := fates(&o)
	spared := ""
	o.Blockers = func(b []migration.Blocker) []int {
		spared = b[0].Spared
		return []int{b[0].PID}
	}
	ran, err := external.Run(bounded(t), o)
	if err != nil || !strings.Contains(ran.Failed, "the server refuses to end it") {
		t.Errorf("%v, %+v", err, ran)
	}
	wantFate(t, *told, clerk, data.FateSpared, "the server refuses: ")
	if spared != "the server refuses to end it" {
		t.Errorf("it is spared because %q", spared)
	}
	if err := clerk.Ping(bounded(t)); err != nil {
		t.Errorf("it was ended: %v", err)
	}
}

// TestNobodyIsEndedWhoIsNotShown: without the right to see it, a session can't be told from the next one of its pid.
func TestNobodyIsEndedWhoIsNotShown(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	all := []migration.Blocker{{PID: 4711}}
	if err := (&waits{d: d}).spare(bounded(t), connection(t, d, "test"), all); err != nil || all[0].Spared != "the server does not show who it is" {
		t.Errorf("%+v, %v", all, err)
	}
}
