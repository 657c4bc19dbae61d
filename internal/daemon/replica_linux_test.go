package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/api"
	"greenroom/internal/data/postgres"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// besides is a PostgreSQL server that is no Greenroom's, with the same role and database as production's.
type besides struct {
	house *house
	url   string
	log   string // file
}

// otherServer starts a server with the data that fill puts into its folder; nil for the role and an empty database.
func (h *house) otherServer(t *testing.T, fill func(postgres.Server)) besides {
	t.Helper()
	programs, err := postgres.FindFor("postgres:15", filepath.Join(h.home.Environment(appUnderTest, "production"), "postgres"))
	must(t, err)
	user, err := postgres.SystemUser()
	must(t, err)
	dir := newFolder(t)
	s := postgres.Server{Programs: programs, Dir: filepath.Join(dir, "server"), Port: freePort(t), User: user, Fast: true}
	if fill != nil {
		fill(s)
	}
	must(t, s.Prepare(h.ctx()))
	log, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	defer log.Close()
	var env []string
	for k, v := range s.Env() {
		env = append(env, k+"="+v)
	}
	cmd, err := proc.Command{Argv: s.Command(), Dir: "/", Env: env, User: s.User, Stdout: log, Stderr: log}.Cmd()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait() // it ends by a signal
	})
	if err := s.Ready(h.ctx()); err != nil {
		t.Fatalf("%v: %s", err, lastOf(log.Name(), 2000))
	}
	if fill == nil {
		must(t, s.EnsureDatabase(h.ctx(), postgres.Account{Role: "app", Password: "app", Database: "app", Superuser: true}))
	}
	return besides{house: h, url: fmt.Sprintf("postgres://app:app@127.0.0.1:%d/app?sslmode=disable", s.Port), log: log.Name()}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// streaming is a streaming replica of production's server. Both write down every statement, with who ran it.
func (h *house) streaming(t *testing.T) besides {
	t.Helper()
	db := h.connect()
	rules := filepath.Join(h.home.Environment(appUnderTest, "production"), "postgres", "hba.conf")
	text, err := os.ReadFile(rules)
	must(t, err)
	must(t, os.WriteFile(rules, append(text, "host replication app 127.0.0.1/32 scram-sha-256\n"...), 0o644))
	for _, sql := range []string{"ALTER SYSTEM SET log_statement = 'all'", "ALTER SYSTEM SET log_line_prefix = '[%a] '", "SELECT pg_reload_conf()"} {
		_, err := db.Exec(h.ctx(), sql)
		must(t, err)
	}
	return h.otherServer(t, func(s postgres.Server) {
		must(t, os.MkdirAll(s.Dir, 0o755))
		cmd := exec.Command(filepath.Join(s.Programs.Bin, "pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream",
			"--pgdata="+filepath.Join(s.Dir, "data"), "--dbname="+h.databaseURL())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
}

func (b besides) connect() *pgx.Conn {
	b.house.Helper()
	conn, err := pgx.Connect(b.house.ctx(), b.url)
	must(b.house, err)
	b.house.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// caughtUp returns when the replica has all that production has written.
func (b besides) caughtUp(db *pgx.Conn) {
	h := b.house
	h.Helper()
	there := b.connect()
	var at string
	must(h, db.QueryRow(h.ctx(), "SELECT pg_current_wal_lsn()::text").Scan(&at))
	h.eventually("the replica has replayed everything", func() string {
		var behind bool
		if must(h, there.QueryRow(h.ctx(), "SELECT pg_last_wal_replay_lsn() < $1::text::pg_lsn", at).Scan(&behind)); behind {
			return "it is behind " + at
		}
		return ""
	})
}

// useReplica sets the secret with the replica's address.
func (h *house) useReplica(b besides) {
	h.Helper()
	must(h, h.client.SecretSet(h.ctx(), api.SecretName{App: appUnderTest, Environment: "production", Name: "REPLICA_URL"}, []byte(b.url)))
}

// productionLog is what production's server printed.
func (h *house) productionLog() string {
	h.Helper()
	stream, err := h.client.Logs(h.ctx(), api.LogQuery{App: appUnderTest, Environment: "production", Service: "db"})
	must(h, err)
	lines, err := drain(stream)
	must(h, err)
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}

// copyCustomers takes a snapshot of production's database, and returns what was told meanwhile and how many customers it has.
func (h *house) copyCustomers(each func(api.Event)) (told string, customers int64) {
	h.Helper()
	events, err := h.client.TakeCopy(h.ctx(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopySnapshot})
	must(h, err)
	for e, err := range events {
		if err != nil {
			h.Fatalf("%v, after\n%s", err, told)
		}
		told += e.Text + "\n"
		if each != nil {
			each(e)
		}
	}
	return told, h.newestSnapshot()
}

// newestSnapshot is how many customers are in the snapshot that was taken last.
func (h *house) newestSnapshot() int64 {
	h.Helper()
	newest := h.copies()[0]
	i := slices.IndexFunc(newest.Tables, func(t api.CopyTable) bool { return strings.HasSuffix(t.Name, "customers") })
	if i < 0 {
		h.Fatalf("there are no customers in %+v", newest)
	}
	return newest.Tables[i].Rows
}

// TestRehearsalOnAReplica copies a streaming replica of production, which is then asked in production's place: nothing of the
// snapshot is read there. A replica that is another's is refused, one that is behind is told, and one that cancels what is in
// its way is asked again.
func TestRehearsalOnAReplica(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := patiently(onCopy()).saying("mask: mask.yaml}", "mask: mask.yaml, replica: REPLICA_URL, rate: 4MB/s}")
	h.onACopy(s)
	db := h.connect()
	replica := h.streaming(t)
	next := h.build(s.as("v2", "ALTER TABLE customers ADD COLUMN IF NOT EXISTS since date"))

	h.part(t, "the secret is not set", func() {
		h.wantOutcome(h.await(h.rehearse(next).ID), plan.Stopped, "the secret REPLICA_URL is not set")
	})
	h.part(t, "a rehearsal", func() {
		h.useReplica(replica)
		replica.caughtUp(db)
		report, found := h.found(next)
		if m := found["migration"].Migration; report.Verdict != evidence.Pass || m == nil || !strings.Contains(m.Data, "a masked copy of production") {
			h.Fatalf("it ends %s: %+v", report.Verdict, report.Results)
		}
		if n := h.newestSnapshot(); n != people {
			h.Errorf("the snapshot has %d customers", n)
		}
		h.wantReadThere(replica)
	})
	h.part(t, "one that is behind", func() { h.wantBehindTold(replica, db) })
	h.part(t, "one that cancels what is in its way", func() { h.wantBegunAnew(replica, db) })
	h.part(t, "one of another server", func() {
		h.useReplica(h.otherServer(t, nil))
		before := len(h.copies())
		code, out := h.greenroom("snapshot", "create", "production", "--app", appUnderTest)
		if code != problem.ExitCode(problem.New(problem.Blocked, "")) || !strings.Contains(out, "the replica is not of the server of app") || !strings.Contains(out, "greenroom secret set") {
			h.Errorf("exit code %d: %s", code, out)
		}
		h.wantOutcome(h.await(h.rehearse(next).ID), plan.Stopped, "the replica is not of the server of app")
		if after := len(h.copies()); after != before {
			h.Errorf("there were %d snapshots, and are %d", before, after)
		}
	})
}

// wantReadThere looks at who was asked what: the replica for the snapshot, and production only for who it is.
func (h *house) wantReadThere(replica besides) {
	h.Helper()
	there := lastOf(replica.log, 1<<30)
	for _, want := range []string{"[greenroom snapshot] ", "COPY "} {
		if !strings.Contains(there, want) {
			h.Errorf("the replica knows nothing of %q:\n%s", want, there)
		}
	}
	own := h.productionLog()
	if !strings.Contains(own, "pg_control_system()") {
		h.Errorf("production was not asked whose replica that is, so its log says nothing:\n%s", own)
	}
	for _, line := range strings.Split(own, "\n") {
		if strings.Contains(line, "greenroom snapshot") || strings.Contains(line, "COPY ") {
			h.Errorf("production was read for it: %s", line)
		}
	}
}

// wantBehindTold has the replica stand still while a customer comes.
func (h *house) wantBehindTold(replica besides, db *pgx.Conn) {
	h.Helper()
	there := replica.connect()
	_, err := there.Exec(h.ctx(), "SELECT pg_wal_replay_pause()")
	must(h, err)
	h.eventually("it stands still", func() string {
		var state string
		must(h, there.QueryRow(h.ctx(), "SELECT pg_get_wal_replay_pause_state()").Scan(&state))
		return strings.TrimPrefix(state, "paused")
	})
	_, err = db.Exec(h.ctx(), "INSERT INTO customers VALUES ($1, $2, 'late')", people, planted(people))
	must(h, err)
	told, customers := h.copyCustomers(nil)
	if !strings.Contains(told, "behind production: so old is what the snapshot has") || customers != people {
		h.Errorf("it has %d customers, and told was\n%s", customers, told)
	}
	_, err = there.Exec(h.ctx(), "SELECT pg_wal_replay_resume()")
	must(h, err)
	replica.caughtUp(db)
	if told, customers := h.copyCustomers(nil); strings.Contains(told, "behind") || customers != people+1 {
		h.Errorf("when it is not any more there are %d customers, and told is\n%s", customers, told)
	}
}

// wantBegunAnew has production remove rows that a snapshot of the replica still sees. There are more of them than a
// connection holds, so that the replica can tell whom it cancels.
func (h *house) wantBegunAnew(replica besides, db *pgx.Conn) {
	h.Helper()
	there := replica.connect()
	for _, sql := range []string{"ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()"} {
		_, err := there.Exec(h.ctx(), sql)
		must(h, err)
	}
	_, err := db.Exec(h.ctx(), "INSERT INTO customers SELECT g, g || '@canary-farm.test', repeat('a note ', 200) FROM generate_series(1000, 20999) g")
	must(h, err)
	replica.caughtUp(db)
	removed := false
	told, customers := h.copyCustomers(func(e api.Event) {
		if removed || !strings.Contains(e.Text, "customers: ") {
			return
		}
		removed = true
		for _, sql := range []string{"DELETE FROM customers WHERE id >= 20000", "VACUUM customers"} {
			_, err := db.Exec(h.ctx(), sql)
			must(h, err)
		}
	})
	if !strings.Contains(told, "the replica cancelled the snapshot for what it had to replay; try 2 of 3") || customers != people+1+19000 {
		h.Errorf("it has %d customers, and told was\n%s", customers, told)
	}
}
