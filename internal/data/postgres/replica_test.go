package postgres

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

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

// TestSnapshotOfAReplica: it is one moment of production, and a server that is no replica of it is refused.
func TestSnapshotOfAReplica(t *testing.T) {
	r, err := boot(bounded(t), newServer(programs(t), filepath.Join(folder(t), "server")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(syscall.SIGINT) })
	a := Account{Role: "shop", Password: "x", Database: "shop", Superuser: true}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	d, err := r.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file("hba.conf"), []byte("local all "+admin+" peer map=daemon\nlocal replication "+admin+" peer map=daemon\nhost all,replication all 127.0.0.1/32 scram-sha-256\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	db := open(t, d.URL())
	execute(t, db, "SELECT pg_reload_conf()", "CREATE TABLE orders (id int)", "INSERT INTO orders SELECT generate_series(1, 1000)")
	server := replicaOf(t, r, a)
	replica, err := server.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has replayed everything", func() bool {
		behind, err := replica.Follows(bounded(t), d)
		if err != nil {
			t.Fatal(err)
		}
		return behind == 0
	})
	dir, _ := take(t, replica, keepAll(t, replica))
	_, _, target := account(t)
	load(t, target, dir)
	if diff := cmp.Diff(contents(t, db), contents(t, open(t, target.URL()))); diff != "" {
		t.Error(diff)
	}
	for of, says := range map[*Database]string{target: "their system identifiers are"} {
		_, err := replica.Follows(bounded(t), of)
		if p := problem.From(err); p == nil || p.Code != problem.Blocked {
			t.Fatalf("got %v", err)
		}
		mustContain(t, err.Error(), says)
	}
	execute(t, open(t, replica.URL()), "SELECT pg_promote()")
	_, err = replica.Follows(bounded(t), d)
	if p := problem.From(err); p == nil || p.Code != problem.Blocked {
		t.Fatalf("once it was promoted: %v", err)
	}
	mustContain(t, err.Error(), "does not follow it any more")
}

func TestConflicted(t *testing.T) {
	conflict := withoutValues(&pgconn.PgError{Code: "40001", Message: "canceling statement due to conflict with recovery"})
	d := &Database{name: "shop"}
	if !Conflicted(d.failed(context.Background(), "take a snapshot of", conflict)) || Conflicted(context.Canceled) {
		t.Error("a conflict is not known")
	}
	mustContain(t, Cancelled(conflict, 3).Error(), "cancelled the snapshot 3 times")
}
