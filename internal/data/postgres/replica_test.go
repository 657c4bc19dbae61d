package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// replicaOf is a streaming replica of a server.
func replicaOf(t *testing.T, r *running, a Account) *running {
	t.Helper()
	if err := r.Programs.need("pg_basebackup"); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	s := newServer(r.Programs, filepath.Join(folder(t), "server"))
	if err := s.Prepare(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.data()); err != nil {
		t.Fatal(err)
	}
	_, err := run(bounded(t), tool{argv: []string{r.Programs.path("pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream",
		"--pgdata=" + s.data(), "--dbname=" + r.adminURL("postgres")}})
	if err != nil {
		t.Fatal(err)
	}
	// It comes in as a role that has a password: the socket is for this user, and the replica runs as another.
	conf, err := os.OpenFile(filepath.Join(s.data(), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conf.WriteString("primary_conninfo = " + literal(r.accountURL(a)) + "\nmax_standby_streaming_delay = 0\n"); err != nil {
		t.Fatal(err)
	}
	if err := conf.Close(); err != nil {
		t.Fatal(err)
	}
	replica, err := boot(bounded(t), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { replica.end(syscall.SIGINT) })
	return replica
}

// followed is a database in a server of its own that has a streaming replica, and the same database there. The replica cancels
// at once whatever stands in the way of what it has to replay.
func followed(t *testing.T, rows ...string) (production, replica *Database) {
	t.Helper()
	s := newServer(programs(t), filepath.Join(folder(t), "server"))
	s.Fast = false // what is committed is written, and so known to be missing at the replica
	r, err := boot(bounded(t), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(syscall.SIGINT) })
	a := Account{Role: "shop", Password: "x", Database: "shop", Superuser: true}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	if production, err = r.Database(a); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file("hba.conf"), []byte("local all "+admin+" peer map=daemon\nlocal replication "+admin+" peer map=daemon\nhost all,replication all 127.0.0.1/32 scram-sha-256\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	execute(t, open(t, production.URL()), append([]string{"SELECT pg_reload_conf()"}, rows...)...)
	if replica, err = replicaOf(t, r, a).Database(a); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, replica, production)
	return production, replica
}

func caughtUp(t *testing.T, replica, production *Database) {
	t.Helper()
	eventually(t, "it has replayed everything", func() bool {
		behind, err := replica.Follows(bounded(t), production)
		if err != nil {
			t.Fatal(err)
		}
		return behind == 0
	})
}

// TestSnapshotOfAReplica: it is one moment of production, and a server that is no replica of it is refused.
func TestSnapshotOfAReplica(t *testing.T) {
	t.Parallel()
	d, replica := followed(t, "CREATE TABLE orders (id int)", "INSERT INTO orders SELECT generate_series(1, 1000)")
	db := open(t, d.URL())
	dir, _ := take(t, replica, keepAll(t, replica))
	_, _, target := account(t)
	load(t, target, dir)
	if diff := cmp.Diff(contents(t, db), contents(t, open(t, target.URL()))); diff != "" {
		t.Error(diff)
	}
	_, err := replica.Follows(bounded(t), target)
	if p := problem.From(err); p == nil || p.Code != problem.Blocked {
		t.Fatalf("got %v", err)
	}
	mustContain(t, err.Error(), "their system identifiers are")

	there := open(t, replica.URL())
	execute(t, there, "SELECT pg_wal_replay_pause()")
	execute(t, db, "INSERT INTO orders SELECT generate_series(1, 1000)")
	if behind, err := replica.Follows(bounded(t), d); err != nil || behind < catchUp {
		t.Errorf("one that stands still is behind by %s, %v", behind, err)
	}
	execute(t, there, "SELECT pg_wal_replay_resume()")
	caughtUp(t, replica, d)
	execute(t, open(t, replica.URL()), "SELECT pg_promote()")
	_, err = replica.Follows(bounded(t), d)
	if p := problem.From(err); p == nil || p.Code != problem.Blocked {
		t.Fatalf("once it was promoted: %v", err)
	}
	mustContain(t, err.Error(), "does not follow it any more")
}

// TestSnapshotThatIsInTheWay of what its replica has to replay: whatever the snapshot was about, that is known to be why it
// ended, and the next one is whole.
func TestSnapshotThatIsInTheWay(t *testing.T) {
	t.Parallel()
	d, replica := followed(t, "CREATE TABLE orders (id int, filler text)", "INSERT INTO orders SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g")
	db, there := open(t, d.URL()), open(t, replica.URL())
	rules, deleted := keepAll(t, replica), 0
	remove := func() {
		deleted++
		execute(t, db, fmt.Sprintf("DELETE FROM orders WHERE id = %d", deleted), "VACUUM orders")
	}
	vacuum := func() {
		remove()
		eventually(t, "the replica has ended it", func() bool {
			return query[int](t, there, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'greenroom snapshot' AND state <> 'idle in transaction (aborted)'") == 0
		})
	}
	wantConflict := func(what string, err error) {
		t.Helper()
		if !Conflicted(replica.failed(t.Context(), "take a snapshot of", err)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	opened := func() *taking {
		m, err := replica.takeMoment(bounded(t), 1, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.end(context.Background()) })
		return &taking{Database: replica, moment: m}
	}

	parent := t.TempDir()
	var once sync.Once
	// There are more rows than a connection holds: they are still being read when the replica cancels it.
	_, err := replica.Snapshot(bounded(t), filepath.Join(parent, "snapshot"), data.SnapshotOptions{Rules: rules, Key: testKey, Jobs: 1, Rate: 4 << 20,
		Progress: func(data.Progress) {
			once.Do(func() {
				remove()
			})
		}})
	wantConflict("rows are read", err)
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	taken := opened()
	vacuum()
	_, err = taken.dumpSchema(bounded(t))
	wantConflict("pg_dump joins the moment", taken.moment.ended(bounded(t), err))

	taken = opened()
	vacuum()
	late, err := replica.reader(bounded(t), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(context.Background(), late)
	err = perform(bounded(t), late, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT "+literal(taken.moment.id))
	wantConflict("a reader joins the moment", taken.moment.ended(bounded(t), err))

	taken = opened()
	vacuum()
	eventually(t, "a reader that idles between two tables is told", func() bool { // on a busy machine it does not come to read within so short a time
		err = taken.moment.cancelled(bounded(t), taken.moment.readers[0], hungUp)
		return err != nil
	})
	wantConflict("a reader idles between two tables", err)

	taken = opened()
	if err := taken.moment.cancelled(bounded(t), taken.moment.readers[0], hungUp); err != nil {
		t.Errorf("a reader that nobody ended: %v", err)
	}
	if _, err := taken.moment.readers[0].Exec(bounded(t), "SELECT count(*) FROM public.orders"); err != nil {
		t.Errorf("and that was asked whether it was: %v", err)
	}
	other := errors.New("another reason")
	if err := taken.moment.ended(bounded(t), other); !errors.Is(err, other) {
		t.Errorf("another reason became %v", err)
	}

	caughtUp(t, replica, d)
	if _, s := take(t, replica, rules); len(s.Tables) != 1 || s.Tables[0].Rows != int64(20000-deleted) {
		t.Errorf("the next one has %+v", s.Tables)
	}
}

func TestConflicted(t *testing.T) {
	t.Parallel()
	conflict := withoutValues(&pgconn.PgError{Code: "40001", Message: "canceling statement due to conflict with recovery"})
	d := &Database{name: "shop"}
	if !Conflicted(d.failed(context.Background(), "take a snapshot of", conflict)) || Conflicted(context.Canceled) {
		t.Error("a conflict is not known")
	}
	mustContain(t, Cancelled(conflict, 3).Error(), "cancelled the snapshot 3 times")
}
