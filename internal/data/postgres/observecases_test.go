package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// TestWatchIdleTransaction is FAULTS.md's fact 7: one idle transaction, one ALTER behind it, and everybody else behind that.
func TestWatchIdleTransaction(t *testing.T) {
	t.Parallel()
	d := orders(t, 1000)
	idle := connection(t, d, "report")
	do(t, idle, "BEGIN", "SELECT count(*) FROM orders WHERE note = 'private'")
	moments := make(chan migration.Moment, 1000)
	w := watching(t, d, data.WatchOptions{Progress: func(m migration.Moment) { moments <- m }})

	var all sync.WaitGroup
	run := func(app, sql string) {
		conn := connection(t, d, app)
		all.Go(func() {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		})
	}
	db := open(t, d.URL())
	waiting := func(n int) {
		eventually(t, "sessions wait", func() bool {
			return query[int](t, db, "SELECT count(*) FROM pg_locks WHERE NOT granted AND "+here) == n
		})
	}
	const alter = "ALTER TABLE orders ADD COLUMN paid boolean"
	run(migratorName, alter)
	waiting(1)
	waits := time.Now()
	run("checkout", reading)
	run("checkout", writing)
	waiting(3)
	var m migration.Moment
	for m.Behind < 2 {
		select {
		case m = <-moments:
		case <-bounded(t).Done():
			t.Fatal("nobody told of two that stand behind")
		}
	}
	stood := time.Since(waits)
	do(t, idle, "COMMIT")
	all.Wait()
	o := ended(t, w)

	if m.SQL != alter || !m.Waits || m.Since <= 0 || len(m.Blocker) != 1 {
		t.Fatalf("the moment: %+v", m)
	}
	b := m.Blocker[0]
	if b.PID != int(idle.PgConn().PID()) || !strings.HasPrefix(b.Who, "report as ") || b.State != "idle in transaction" || b.Since <= 0 ||
		b.Table != "orders" || strings.Contains(b.Query, "private") || !strings.Contains(b.Query, "note = '…'") {
		t.Errorf("who is in its way: %+v", b)
	}
	l, _ := findLock(o, "orders", "AccessExclusive")
	if l.From <= l.Asked || l.From-l.Asked < stood-2*o.Gap {
		t.Errorf("it waited for %s at least, and the lock says %+v", stood, l)
	}
	if len(o.Statements) != 1 || o.Statements[0].Waited <= 0 {
		t.Errorf("statements: %+v", o.Statements)
	}
	var read, write int
	for _, w := range o.Waits {
		if w.Statement != 0 || w.Table != "orders" {
			t.Errorf("a wait: %+v", w)
		}
		if w.Write {
			write++
		} else {
			read++
		}
	}
	if read != 1 || write != 1 {
		t.Errorf("%d reads and %d writes waited: %+v", read, write, o.Waits)
	}
	if s := migration.StoodStill(o); len(s) != 1 || s[0].Reads.Took() != l.Until-l.Asked {
		t.Errorf("the time in the queue counts: %+v of %+v", s, l)
	}
}

// TestWatchShortLock has an application that doesn't wait at all, and a lock of 25 ms: what it would have meant is seen.
func TestWatchShortLock(t *testing.T) {
	t.Parallel()
	d := orders(t, 1000)
	w := watching(t, d, data.WatchOptions{})
	do(t, connection(t, d, migratorName), "BEGIN", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE", "SELECT pg_sleep(0.025)", "COMMIT")
	o := ended(t, w)
	l, ok := findLock(o, "orders", "AccessExclusive")
	if !ok {
		// A machine that is too busy to look is no reason to say that all is well.
		if v := migration.Verdict(migration.Judge(o, migration.Budget{BlockedReads: 20 * time.Millisecond})); o.Gap < 20*time.Millisecond || v == "pass" {
			t.Errorf("not seen, with a gap of %s: %s", o.Gap, v)
		}
		return
	}
	if l.Until-l.From < 25*time.Millisecond-2*o.Gap {
		t.Errorf("%+v, with a gap of %s", o.Locks, o.Gap)
	}
	if l.Statement < 0 || !strings.HasPrefix(o.Statements[l.Statement].SQL, "LOCK") && !strings.HasPrefix(o.Statements[l.Statement].SQL, "SELECT pg_sleep") {
		t.Errorf("statement %d of %+v", l.Statement, o.Statements)
	}
}

// sees waits until a watch saw something.
func sees(t testing.TB, w data.Watch, ok func(*track) bool) {
	t.Helper()
	eventually(t, "it is seen", func() bool {
		w := w.(*watch)
		w.mu.Lock()
		defer w.mu.Unlock()
		return ok(w.track)
	})
}

// psql runs PostgreSQL's own client as a migrator.
func psql(t *testing.T, d *Database, env string, statements ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs(t).Bin, "psql"), "-v", "ON_ERROR_STOP=1", "-q", d.URL())
	for _, s := range statements {
		cmd.Args = append(cmd.Args, "-c", s)
	}
	cmd.Env = append(os.Environ(), env)
	return cmd
}

// TestWatchForeignMigrator watches a program that is told its name by the environment, and one that doesn't take it.
func TestWatchForeignMigrator(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env     string
		guessed bool
	}{{"PGAPPNAME=" + migratorName, false}, {"PGAPPNAME=Some Tool 5.2", true}} {
		t.Run(c.env, func(t *testing.T) {
			d := orders(t, 50_000)
			do(t, connection(t, d, "checkout"), reading)
			w := watching(t, d, data.WatchOptions{})
			cmd := psql(t, d, c.env, "CREATE TABLE made (id integer)",
				"BEGIN; ALTER TABLE orders ALTER COLUMN customer TYPE bigint; INSERT INTO made SELECT g FROM generate_series(1, 100000) g; COMMIT")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			o := ended(t, w)
			l, ok := findLock(o, "orders", "AccessExclusive")
			if !ok || o.Guessed != c.guessed || l.Statement < 0 || !strings.Contains(o.Statements[l.Statement].SQL, "ALTER TABLE orders") {
				t.Errorf("%+v", o)
			}
			names := ""
			for _, x := range o.Tables {
				names += fmt.Sprintf("%s made %t rewritten %t;", x.Name, x.Made, x.Rewritten)
			}
			if names != "made made true rewritten false;orders made false rewritten true;" {
				t.Error(names)
			}
			for _, s := range migration.StoodStill(o) {
				if s.Table != "orders" {
					t.Errorf("nobody can stand still at %s", s.Table)
				}
			}
		})
	}
}

// TestWatchKilledMigrator kills the migrator, whose session lives on for a while, waiting (fact 3), and is still watched.
func TestWatchKilledMigrator(t *testing.T) {
	t.Parallel()
	d := orders(t, 1000)
	idle := connection(t, d, "report")
	do(t, idle, "BEGIN", "SELECT count(*) FROM orders")
	w := watching(t, d, data.WatchOptions{})
	cmd := psql(t, d, "PGAPPNAME="+migratorName, "ALTER TABLE orders ADD COLUMN paid boolean")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	db := open(t, d.URL())
	waits := "SELECT count(*) FROM pg_stat_activity WHERE application_name = '" + migratorName + "' AND wait_event_type = 'Lock' AND datname = current_database()"
	eventually(t, "it waits", func() bool { return query[int](t, db, waits) == 1 })
	sees(t, w, func(t *track) bool { return len(t.locks) == 1 })
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if n := query[int](t, db, waits); n != 1 {
		t.Skip("the server noticed at once that its client is gone")
	}
	do(t, idle, "COMMIT")
	eventually(t, "it commits", func() bool {
		return query[int](t, db, "SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'paid'") == 1
	})
	o := ended(t, w)
	if l, ok := findLock(o, "orders", "AccessExclusive"); !ok || l.From <= l.Asked {
		t.Errorf("%+v", o.Locks)
	}
}

// TestWatchServerRestart restarts the server under a migration: what was seen is told, with the time in which nobody could
// look, and that is too long for a verdict.
func TestWatchServerRestart(t *testing.T) {
	t.Setenv("TMPDIR", folder(t))
	r, d := runningIn(t, programs(t), filepath.Join(folder(t), "server"))
	execute(t, open(t, d.URL()), "CREATE TABLE kept (id integer)", "CHECKPOINT")
	begin := func() data.Watch {
		w := watching(t, d, data.WatchOptions{})
		conn := connection(t, d, migratorName)
		do(t, conn, "BEGIN", "LOCK TABLE kept")
		sees(t, w, func(t *track) bool { return len(t.locks) > 0 })
		return w
	}

	w := begin()
	r.end(syscall.SIGKILL)
	restart(t, r)
	o := ended(t, w)
	if _, ok := findLock(o, "kept", "AccessExclusive"); !ok || o.Gap < 20*time.Millisecond || len(o.Tables) != 1 {
		t.Errorf("%+v", o)
	}

	w = begin()
	r.end(syscall.SIGKILL)
	eventually(t, "nobody could look for a while", func() bool {
		w := w.(*watch)
		w.mu.Lock()
		defer w.mu.Unlock()
		return time.Since(w.lastLook) > 300*time.Millisecond
	})
	o, err := w.End(bounded(t))
	if err == nil || !strings.Contains(err.Error(), "shop") || o.Samples < 2 || o.Gap < 300*time.Millisecond || len(o.Locks) == 0 || o.Tables != nil {
		t.Errorf("%v with %+v", err, o)
	}
	if f := migration.Judge(o, migration.Budget{}); migration.Verdict(f) != "inconclusive" {
		t.Errorf("%+v", f)
	}
	restart(t, r)
}

// TestWatchWitness has a migrator of ours whose locks are too short to be seen, and which tells them.
func TestWatchWitness(t *testing.T) {
	t.Parallel()
	d := orders(t, 1000)
	w := watching(t, d, data.WatchOptions{Every: time.Minute}).(data.Witness) // so that no look helps
	conn := connection(t, d, migratorName)
	ask := func(ctx context.Context, q string) (text string, err error) {
		return text, conn.QueryRow(ctx, q).Scan(&text)
	}
	migrate := func(held bool, statements ...string) {
		do(t, conn, "BEGIN")
		for _, s := range statements {
			told := data.Told{SQL: s, File: "1.sql", Began: time.Now(), Retries: 2}
			do(t, conn, s)
			told.Ended = time.Now()
			w.Told(told)
		}
		if held {
			if err := w.Held(bounded(t), ask); err != nil {
				t.Fatal(err)
			}
		}
		do(t, conn, "COMMIT")
	}
	migrate(true, "CREATE TABLE made (id integer)", "ALTER TABLE orders ADD COLUMN paid boolean")
	migrate(true, "UPDATE orders SET total = 0")
	o := ended(t, w)
	if !o.Exact || len(o.Statements) != 3 {
		t.Fatalf("%+v", o)
	}
	for _, s := range o.Statements {
		if s.File != "1.sql" || s.Retries != 2 {
			t.Errorf("%+v", s)
		}
	}
	if l, ok := findLock(o, "orders", "AccessExclusive"); !ok || l.Made {
		t.Errorf("%+v", o.Locks)
	}
	if l, ok := findLock(o, "orders", "RowExclusive"); !ok || l.Statement != 2 {
		t.Errorf("%+v", o.Locks)
	}
	if i := slices.IndexFunc(o.Locks, func(l migration.Lock) bool { return l.Table == "made" && l.Made }); i < 0 {
		t.Errorf("%+v", o.Locks)
	}

	w = watching(t, d, data.WatchOptions{}).(data.Witness)
	migrate(false, "ALTER TABLE orders DROP COLUMN paid")
	if o := ended(t, w); o.Exact {
		t.Error("nobody read what was held")
	}
}

// TestWatchRows has a migrator that changes rows for long, in a schema and a table that have to be quoted, and somebody
// who wants one of the rows.
func TestWatchRows(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, `CREATE SCHEMA "Billing"`, `CREATE TABLE "Billing"."In voices é" (id integer PRIMARY KEY, paid boolean)`,
		`INSERT INTO "Billing"."In voices é" SELECT g FROM generate_series(1, 100) g`, "CREATE TABLE bystander (id integer)")
	w := watching(t, d, data.WatchOptions{})
	conn, other := connection(t, d, migratorName), connection(t, d, "checkout")
	do(t, conn, "BEGIN", `UPDATE "Billing"."In voices é" SET paid = true`)
	done := make(chan error, 1)
	go func() {
		_, err := other.Exec(context.Background(), `UPDATE "Billing"."In voices é" SET paid = false WHERE id = 7`)
		done <- err
	}()
	sees(t, w, func(t *track) bool { return len(t.waits) > 0 })
	do(t, conn, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	o := ended(t, w)
	if len(o.Waits) != 1 || o.Waits[0].Table != "Billing.In voices é" || !o.Waits[0].Write || o.Waits[0].Query != `UPDATE "Billing"."In voices é" SET paid = false WHERE id = 0` {
		t.Errorf("%+v", o.Waits)
	}
	if s := migration.StoodStill(o); len(s) != 1 || s[0].Table != "Billing.In voices é" || s[0].Rows.Took() <= 0 || s[0].Writes.Took() != 0 {
		t.Errorf("%+v", s)
	}
	if len(o.Tables) != 1 {
		t.Errorf("%+v", o.Tables)
	}
}

// TestWatchLowRights watches as somebody who may see only the numbers of other users' sessions.
func TestWatchLowRights(t *testing.T) {
	t.Parallel()
	_, a, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE orders (id integer)", "CREATE ROLE watcher LOGIN PASSWORD 'w'", "GRANT CONNECT ON DATABASE "+quote(a.Database)+" TO watcher")
	t.Cleanup(func() {
		execute(t, open(t, d.URL()), "REVOKE ALL ON DATABASE "+quote(a.Database)+" FROM watcher", "DROP ROLE watcher")
	})
	config, err := pgx.ParseConfig(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	low, err := Open(Config{URL: d.URL(), Admin: fmt.Sprintf("postgres://watcher:w@%s:%d/postgres", config.Host, config.Port)})
	if err != nil {
		t.Fatal(err)
	}
	w := watching(t, low, data.WatchOptions{})
	conn := connection(t, d, migratorName)
	do(t, conn, "BEGIN", "LOCK TABLE orders")
	sees(t, w, func(t *track) bool { return len(t.locks) > 0 })
	do(t, conn, "COMMIT")
	if o := ended(t, w); len(o.Locks) != 1 || o.Locks[0].Table != "orders" {
		t.Errorf("%+v", o)
	}
}

// TestWatchWitnessAndLooks has a transaction that both looks and its own word tell of: it is one lock, and the question is
// no statement of the migration's.
func TestWatchWitnessAndLooks(t *testing.T) {
	t.Parallel()
	d := orders(t, 10)
	w := watching(t, d, data.WatchOptions{}).(data.Witness)
	conn := connection(t, d, migratorName)
	do(t, conn, "BEGIN")
	const lock = "LOCK TABLE orders IN SHARE MODE"
	began := time.Now()
	do(t, conn, lock)
	w.Told(data.Told{SQL: lock, File: "2.sql", Began: began, Ended: time.Now()})
	sees(t, w, func(t *track) bool { return len(t.locks) == 1 })
	err := w.Held(bounded(t), func(ctx context.Context, q string) (text string, err error) {
		return text, conn.QueryRow(ctx, q).Scan(&text)
	})
	if err != nil {
		t.Fatal(err)
	}
	var asked time.Duration
	sees(t, w, func(t *track) bool { // a look comes after it as well
		if asked == 0 {
			asked = t.last
		}
		return t.last > asked
	})
	do(t, conn, "COMMIT")
	o := ended(t, w)
	if len(o.Locks) != 1 || o.Locks[0].Statement != 0 || o.Locks[0].Made || !o.Exact {
		t.Errorf("%+v", o)
	}
	if len(o.Statements) != 1 || o.Statements[0].File != "2.sql" || o.Statements[0].SQL != lock {
		t.Errorf("%+v", o.Statements)
	}
}
