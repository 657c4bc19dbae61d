package postgres

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// sessions counts those in this database that a snapshot has.
func sessions(t testing.TB, d *Database) (n int) {
	t.Helper()
	err := d.with(bounded(t), "postgres", func(conn *pgx.Conn) error {
		return conn.QueryRow(bounded(t), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'greenroom snapshot'", d.name).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSnapshotWhileATableIsChanged has a migration hold its lock, first for ever and then for a moment. The snapshot never
// waits in front of it for longer than a second, so that whoever only reads the table is not held up by both.
func TestSnapshotWhileATableIsChanged(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL()+"&application_name=goose")
	execute(t, db, "CREATE TABLE busy (n integer)", "CREATE TABLE other (n integer)")
	rules := keepAll(t, d)
	migration, err := db.BeginTx(bounded(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migration.Exec("ALTER TABLE busy ADD late integer"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "snapshot")
	_, err = d.Snapshot(bounded(t), dir, data.SnapshotOptions{Rules: rules, Key: testKey})
	if p := problem.From(err); p == nil || p.Code != problem.Blocked {
		t.Fatalf("got %v", err)
	}
	mustContain(t, err.Error(), "goose", "busy")

	result := make(chan error)
	go func() {
		_, err := d.Snapshot(bounded(t), dir, data.SnapshotOptions{Rules: rules, Key: testKey})
		result <- err
	}()
	eventually(t, "the snapshot waits", func() bool {
		return query[int](t, db, "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock' AND "+here) > 0
	})
	if err := migration.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("once the lock was gone: %v", err)
	}
	eventually(t, "its sessions are gone", func() bool { return sessions(t, d) == 0 })
}

// TestMigrationWhileASnapshotIsTaken starts a change of a table that is being read. It waits for the snapshot, and the
// snapshot does not wait for it; the row that came meanwhile is not in it.
func TestMigrationWhileASnapshotIsTaken(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL()+"&application_name=goose")
	execute(t, db, "CREATE TABLE first (n integer, filler text)", "INSERT INTO first SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g",
		"CREATE TABLE second (n integer)", "INSERT INTO second VALUES (1)")
	rules := keepAll(t, d)
	var altered sync.WaitGroup
	var once sync.Once
	s, err := d.Snapshot(bounded(t), filepath.Join(t.TempDir(), "snapshot"), data.SnapshotOptions{Rules: rules, Key: testKey, Jobs: 1, Rate: 20 << 20,
		Progress: func(data.Progress) {
			once.Do(func() {
				execute(t, db, "INSERT INTO second VALUES (2)")
				altered.Go(func() { execute(t, db, "ALTER TABLE second ADD late integer") })
				eventually(t, "the migration waits", func() bool {
					return query[int](t, db, "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND "+here) > 0
				})
			})
		}})
	if err != nil {
		t.Fatal(err)
	}
	altered.Wait()
	for _, table := range s.Tables {
		if table.Name == "second" && table.Rows != 1 {
			t.Errorf("%d rows of second are of another moment", table.Rows)
		}
	}
}

// TestSnapshotRefuses names what can't be copied as a whole; then nothing is read.
func TestSnapshotRefuses(t *testing.T) {
	t.Parallel()
	r, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE mine (owner text)", "INSERT INTO mine VALUES ('a'), ('b')", "ALTER TABLE mine ENABLE ROW LEVEL SECURITY",
		"CREATE POLICY own ON mine USING (owner = current_user)", "CREATE TABLE closed (n integer)")
	rules := keepAll(t, d)
	refused := func(what string, d *Database, code problem.Code, parts ...string) {
		t.Helper()
		parent := t.TempDir()
		_, err := d.Snapshot(bounded(t), filepath.Join(parent, "snapshot"), data.SnapshotOptions{Rules: rules, Key: testKey})
		if p := problem.From(err); p == nil || p.Code != code {
			t.Fatalf("%s: %v", what, err)
		}
		mustContain(t, err.Error()+problem.From(err).Hint, parts...)
		if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
			t.Errorf("%s left behind: %v, %v", what, left, err)
		}
	}
	reader := unique()
	execute(t, db, "CREATE ROLE "+quote(reader)+" LOGIN PASSWORD 'reader'", "GRANT SELECT ON mine TO "+quote(reader))
	t.Cleanup(func() { execute(t, open(t, d.URL()), "DROP OWNED BY "+quote(reader), "DROP ROLE "+quote(reader)) })
	as, err := Open(Config{URL: r.accountURL(Account{Role: reader, Password: "reader", Database: d.name}), Programs: r.Programs})
	if err != nil {
		t.Fatal(err)
	}
	refused("a table that may not be read", as, problem.Blocked, "closed", "pg_read_all_data")
	execute(t, db, "GRANT SELECT ON closed TO "+quote(reader))
	refused("hidden rows", as, problem.Blocked, "row-level security", "BYPASSRLS")

	execute(t, db, "SELECT lo_from_bytea(0, 'a large object')")
	refused("large objects", d, problem.Blocked, "1 large object")
	execute(t, db, "SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
	execute(t, db, "CREATE EXTENSION postgres_fdw", "CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw", "CREATE FOREIGN TABLE remote (n integer) SERVER elsewhere")
	rules = keepAll(t, d)
	refused("a foreign table", d, problem.Blocked, "remote", "rows: none")
}

func TestSnapshotTakesTooLong(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE long (filler text)", "INSERT INTO long SELECT repeat('x', 1000) FROM generate_series(1, 10000)")
	parent := t.TempDir()
	o := data.SnapshotOptions{Rules: keepAll(t, d), Key: testKey, Rate: 1 << 20, Timeout: 2 * time.Second}
	_, err := d.Snapshot(bounded(t), filepath.Join(parent, "snapshot"), o)
	if p := problem.From(err); p == nil || p.Code != problem.Fail || !strings.Contains(p.Message, "2 s") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	eventually(t, "its sessions are gone", func() bool { return sessions(t, d) == 0 })
}

// TestRate has two jobs share a rate: they can't be faster together than it says.
func TestRate(t *testing.T) {
	t.Parallel()
	m := newMeter(t.Context(), 10<<20, nil)
	started := time.Now()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for range 100 {
				if err := m.take("t", 1, 64<<10); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	// 12.5 MB at 10 MB a second, less the half second that it may be ahead.
	if took := time.Since(started); took < 700*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	slow := newMeter(ctx, 1, nil)
	cancel()
	if err := slow.take("t", 1, 1<<20); err == nil {
		t.Error("a cancelled one waited for its turn")
	}
}

// TestSnapshotOfAStandby takes a snapshot of a hot standby, made out of the folder of a stopped server.
func TestSnapshotOfAStandby(t *testing.T) {
	t.Parallel()
	d, r := serverOfItsOwn(t)
	execute(t, open(t, d.URL()), "CREATE TABLE kept (n integer)", "INSERT INTO kept SELECT generate_series(1, 1000)", "CREATE UNLOGGED TABLE lost (n integer)")
	checkpoint(t, d)
	r.end(syscall.SIGINT)
	next := newServer(r.Programs, filepath.Join(folder(t), "next"))
	if err := os.MkdirAll(next.Dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", r.data(), next.data()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := next.Prepare(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(next.data(), "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	standby, err := boot(bounded(t), next)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.end(syscall.SIGINT) })
	copied, err := next.Database(Account{Role: "shop", Password: "shop", Database: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	rules := keepAll(t, copied)
	_, err = copied.Snapshot(bounded(t), filepath.Join(t.TempDir(), "snapshot"), data.SnapshotOptions{Rules: rules, Key: testKey})
	if err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("an unlogged table is not on a standby: %v", err)
	}
	lost := rules.Tables["lost"]
	lost.Rows, lost.Columns = "none", nil
	rules.Tables["lost"] = lost
	_, s := take(t, copied, rules)
	if s.Tables[0].Name != "kept" || s.Tables[0].Rows != 1000 {
		t.Errorf("%+v", s.Tables)
	}
}
