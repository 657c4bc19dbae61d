package postgres

import (
	"context"
	"net/netip"
	"net/url"
	"os/exec"
	"slices"
	"testing"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/proc"
)

// holder tells what a program has open from what others have, and from what nobody has.
func holder(t *testing.T, cmd *exec.Cmd) data.Clients {
	return func(_ context.Context, addresses []netip.AddrPort) []data.End {
		ends := make([]data.End, len(addresses))
		sockets, err := proc.Sockets(cmd.Process.Pid)
		mine, err2 := proc.Held(cmd.Process.Pid)
		if err != nil || err2 != nil { // it is dead, and not yet waited for
			return ends
		}
		for i, a := range addresses {
			ends[i] = data.EndGone
			for _, s := range sockets {
				if s.Local == a && ends[i] != data.EndMigrator {
					ends[i] = data.EndOther
					if mine[s.Inode] {
						ends[i] = data.EndMigrator
					}
				}
			}
		}
		return ends
	}
}

// gone is what is told of a client that has died.
func gone(_ context.Context, addresses []netip.AddrPort) []data.End {
	ends := make([]data.End, len(addresses))
	for i := range ends {
		ends[i] = data.EndGone
	}
	return ends
}

const alterOrders = "ALTER TABLE orders ADD COLUMN paid boolean"

// waitingTool is a program with a name of its own that waits for a lock which somebody forgot, and a reader behind it.
func waitingTool(t *testing.T) (d *Database, cmd *exec.Cmd, read chan error, forgotten func()) {
	t.Helper()
	d = orders(t, 1000)
	idle := connection(t, d, "report")
	do(t, idle, "BEGIN", "SELECT count(*) FROM orders")
	cmd = psql(t, d, "PGAPPNAME=Some Tool 5.2", alterOrders)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	waits := func(n int) {
		t.Helper()
		db := open(t, d.URL())
		eventually(t, "sessions wait", func() bool {
			return query[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == n
		})
	}
	waits(1)
	reader := connection(t, d, "checkout")
	read = make(chan error, 1)
	go func() {
		_, err := reader.Exec(context.Background(), reading)
		read <- err
	}()
	waits(2)
	return d, cmd, read, func() { do(t, idle, "COMMIT") }
}

// TestCancelWaiting cancels what a program of another name waits with, and nobody else, who then gets through.
func TestCancelWaiting(t *testing.T) {
	t.Parallel()
	d, cmd, read, forgotten := waitingTool(t)
	if n, err := d.CancelWaiting(bounded(t), data.Whose{Name: migratorName}); n != 0 || err != nil {
		t.Errorf("by its name %d were cancelled, %v", n, err)
	}
	if n, err := d.CancelWaiting(bounded(t), data.Whose{Name: migratorName, Clients: gone}); n != 0 || err != nil {
		t.Errorf("of those who are gone %d were cancelled, %v", n, err)
	}
	if n, err := d.CancelWaiting(bounded(t), data.Whose{Name: migratorName, Clients: holder(t, cmd)}); n != 1 || err != nil {
		t.Errorf("%d were cancelled, %v", n, err)
	}
	if err := <-read; err != nil {
		t.Errorf("who stood behind it: %v", err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("what it waited for was not cancelled")
	}
	forgotten()
}

// TestEndSessions kills a program of another name: its session goes on to wait, and is ended for its client is gone. Whoever
// has gone and changes no schema is left alone.
func TestEndSessions(t *testing.T) {
	t.Parallel()
	d, cmd, read, forgotten := waitingTool(t)
	if n, err := d.EndSessions(bounded(t), data.Whose{Name: migratorName}); n != 0 || err != nil {
		t.Errorf("by its name %d were ended, %v", n, err)
	}
	kill(t, cmd)
	if n, err := d.EndSessions(bounded(t), data.Whose{Name: migratorName, Clients: gone}); n != 1 || err != nil {
		t.Errorf("%d were ended, %v", n, err)
	}
	if err := <-read; err != nil {
		t.Errorf("who stood behind it: %v", err)
	}
	forgotten()
	if n := query[int](t, open(t, d.URL()), "SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'paid'"); n != 0 {
		t.Error("the schema changed")
	}
}

// TestWatchByTheOtherEnd watches a program that takes a name of its own: nothing is guessed, and a change of the schema that
// somebody else makes at the same time is not the migrator's.
func TestWatchByTheOtherEnd(t *testing.T) {
	t.Parallel()
	const last = "SELECT pg_advisory_lock(8)"
	d := orders(t, 1000)
	cmd := psql(t, d, "PGAPPNAME=Some Tool 5.2", "SELECT pg_advisory_lock(7)", alterOrders, last)
	mayGo := connection(t, d, "test")
	do(t, mayGo, "SELECT pg_advisory_lock(7)", "SELECT pg_advisory_lock(8)")
	execute(t, open(t, d.URL()), "CREATE TABLE others (id integer)")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := watching(t, d, data.WatchOptions{Migrator: migratorName, Clients: holder(t, cmd)})
	do(t, connection(t, d, "console"), "BEGIN", "ALTER TABLE others ADD COLUMN mine boolean", "SELECT pg_sleep(0.2)", "COMMIT")
	do(t, mayGo, "SELECT pg_advisory_unlock(7)")
	sees(t, w, func(t *track) bool {
		return slices.ContainsFunc(t.made, func(s *trackedStatement) bool { return s.sql == last && s.until-s.from > 300*time.Millisecond })
	})
	do(t, mayGo, "SELECT pg_advisory_unlock(8)")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	o := ended(t, w)
	if _, ok := findLock(o, "others", "AccessExclusive"); ok || o.Guessed {
		t.Errorf("guessed %t: %+v", o.Guessed, o.Locks)
	}
	found := false
	for _, s := range o.Statements {
		found = found || s.SQL == alterOrders || s.SQL == last
	}
	if !found {
		t.Errorf("its statements were not seen: %+v", o.Statements)
	}
}

// TestAlike: where something between translates addresses, nobody's is taken for one of this machine's.
func TestAlike(t *testing.T) {
	t.Parallel()
	d := orders(t, 1)
	u, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Host = newCable(t, u.Host, "a word that nobody says", false).listener.Addr().String()
	between, err := Open(Config{URL: u.String(), Programs: programs(t)})
	if err != nil {
		t.Fatal(err)
	}
	proxied := connection(t, between, "relayed")
	conn := connection(t, d, "direct")
	if c, err := alike(bounded(t), conn, gone); c == nil || err != nil {
		t.Errorf("the server sees this connection as it is: %v", err)
	}
	if c, err := alike(bounded(t), proxied, gone); c != nil || err != nil {
		t.Errorf("the server sees the relay's: %v", err)
	}
	if c, err := alike(bounded(t), proxied, nil); c != nil || err != nil {
		t.Errorf("of nobody: %v", err)
	}
}
