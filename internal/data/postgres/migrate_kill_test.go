package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/problem"
)

// killedFiles are the migrations of the kill tests, as every tool has them: two statements, two, and one.
func killedFiles(t testing.TB, tool layout.Tool) []layout.Migration {
	t.Helper()
	all := [][]string{{"CREATE TABLE people (id int);", "INSERT INTO people VALUES (1);"}, {"CREATE TABLE visits (id int);", "INSERT INTO visits SELECT id FROM people;"}, {"ALTER TABLE people ADD name text;"}}
	files := fstest.MapFS{}
	for i, s := range all {
		sql := strings.Join(s, "\n")
		switch tool {
		case layout.Goose:
			files[fmt.Sprintf("%d_x.sql", i+1)] = file("-- +goose Up\n" + sql + "\n")
		case layout.Migrate:
			files[fmt.Sprintf("%d_x.up.sql", i+1)] = file(sql)
		case layout.Flyway:
			files[fmt.Sprintf("V%d__x.sql", i+1)] = file(sql)
		}
	}
	return readFolder(t, files, tool)
}

// dies is a witness that calls die at one of the boundaries: n statements told of, or n commits asked about.
type dies struct {
	listens
	atTold, atHeld int
	die            func()
	held           int
}

func (d *dies) Told(t data.Told) {
	d.listens.Told(t)
	if len(d.all) == d.atTold {
		d.die()
	}
}

func (d *dies) Held(ctx context.Context, ask func(context.Context, string) (string, error)) error {
	if d.held++; d.held == d.atHeld {
		d.die()
	}
	_, err := ask(ctx, "SELECT count(*)::text FROM pg_locks")
	return err
}

// boundaries are all points of killed: after each statement, and before each commit.
func boundaries(f func(name string, atTold, atHeld int)) {
	for n := 1; n <= 5; n++ {
		f(fmt.Sprintf("after statement %d", n), n, 0)
	}
	for n := 1; n <= 3; n++ {
		f(fmt.Sprintf("before commit %d", n), 0, n)
	}
}

const childURL = "GREENROOM_TEST_MIGRATOR"

// TestMigrateAsAChild is the process that TestMigratorProcessKilled kills.
func TestMigrateAsAChild(t *testing.T) {
	url := os.Getenv(childURL)
	if url == "" {
		return
	}
	parts := strings.Split(os.Getenv(childURL+"_POINT"), " ")
	told, err1 := strconv.Atoi(parts[1])
	held, err2 := strconv.Atoi(parts[2])
	d, err := Open(Config{URL: url})
	if err := errors.Join(err, err1, err2); err != nil {
		t.Fatal(err)
	}
	tool := layout.Tool(parts[0])
	w := &dies{atTold: told, atHeld: held, die: func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }}
	ran, err := d.Run(bounded(t), data.RunOptions{Migrator: "greenroom migrate test", Tool: tool, Migrations: killedFiles(t, tool), Watch: w})
	t.Fatalf("it lives on: %v, %+v", err, ran)
}

// TestMigratorProcessKilled: after kill -9 at any boundary nothing is half, and to run again completes it.
func TestMigratorProcessKilled(t *testing.T) {
	t.Parallel()
	for _, tool := range []layout.Tool{layout.Goose, layout.Migrate, layout.Flyway} {
		boundaries(func(name string, told, held int) {
			if tool != layout.Goose && told > 0 {
				return // it is the same for all: only what is written right before the commit is each one's own
			}
			t.Run(string(tool)+"/"+name, func(t *testing.T) {
				_, _, d := account(t)
				child := exec.CommandContext(bounded(t), os.Args[0], "-test.run=^TestMigrateAsAChild$")
				child.Env = append(os.Environ(), childURL+"="+d.URL(), fmt.Sprintf(childURL+"_POINT=%s %d %d", tool, told, held))
				out, err := child.CombinedOutput()
				if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("the child was not killed: %v: %s", err, out)
				}
				if _, err := d.EndMigrator(bounded(t), "greenroom migrate test"); err != nil {
					t.Fatal(err)
				}
				completes(t, d, tool)
			})
		})
	}
}

// TestMigratorProcessKilledWhileItsStatementWaits: its session ends by itself, though the lock that it waits for is not to be
// had. Nobody has to look for it first, except in a server before 14, which looks after nobody while he waits.
func TestMigratorProcessKilledWhileItsStatementWaits(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	mustRun(t, d, layout.Goose, killedFiles(t, layout.Goose)[:2], false)
	clerk := locked(t, d, "SELECT * FROM people")
	child := exec.CommandContext(bounded(t), os.Args[0], "-test.run=^TestMigrateAsAChild$")
	child.Env = append(os.Environ(), childURL+"="+d.URL(), childURL+"_POINT=goose 0 0")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	sessions := "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'greenroom migrate test' AND datname = current_database()"
	eventually(t, "its statement waits", func() bool { return query[int](t, db, sessions+" AND wait_event_type = 'Lock'") == 1 })
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if query[int](t, db, "SELECT current_setting('server_version_num')") < 140000 {
		if n, err := d.EndMigrator(bounded(t), "greenroom migrate test"); n != 1 || err != nil {
			t.Errorf("%d sessions were ended, %v", n, err)
		}
	}
	eventually(t, "its session is gone", func() bool { return query[int](t, db, sessions) == 0 })
	if _, err := clerk.Exec(bounded(t), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	completes(t, d, layout.Goose)
}

// completes holds what stands in a database against its version table, runs what is pending, and compares the result.
func completes(t *testing.T, d *Database, tool layout.Tool) {
	t.Helper()
	db := open(t, d.URL())
	all := killedFiles(t, tool)
	st := layout.Judge(all, mustApplied(t, d, tool))
	n := len(all) - len(st.Pending)
	for i, sql := range []string{"SELECT to_regclass('people') IS NOT NULL", "SELECT to_regclass('visits') IS NOT NULL", "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('people') AND attname = 'name')"} {
		if there := query[bool](t, db, sql); there != (i < n) {
			t.Errorf("version %q is recorded, and what migration %d makes is there: %v", st.Version, i+1, there)
		}
	}
	ran, err := d.Run(bounded(t), data.RunOptions{Migrator: "greenroom migrate test", Tool: tool, Migrations: all})
	if err != nil || ran.Failed != "" || len(ran.Done) != len(all)-n {
		t.Fatalf("run again: %v, %+v", err, ran)
	}
	if st := layout.Judge(all, mustApplied(t, d, tool)); st.Verdict != layout.Current {
		t.Errorf("then it is %s: %s", st.Verdict, st.Text)
	}
	if n := query[int](t, db, "SELECT count(*) FROM people JOIN visits USING (id) WHERE name IS NULL"); n != 1 {
		t.Errorf("%d rows, not 1", n)
	}
}

// TestMigratorBackendEnded: somebody ends the session in the server at any boundary.
func TestMigratorBackendEnded(t *testing.T) {
	t.Parallel()
	boundaries(func(name string, told, held int) {
		t.Run(name, func(t *testing.T) {
			_, _, d := account(t)
			db := open(t, d.URL())
			w := &dies{atTold: told, atHeld: held, die: func() {
				const its = "FROM pg_stat_activity WHERE application_name = 'greenroom migrate test' AND datname = current_database()"
				execute(t, db, "SELECT pg_terminate_backend(pid) "+its)
				eventually(t, "the session is gone", func() bool { return query[int](t, db, "SELECT count(*) "+its) == 0 })
			}}
			ran, err := d.Run(bounded(t), data.RunOptions{Migrator: "greenroom migrate test", Tool: layout.Flyway, Migrations: killedFiles(t, layout.Flyway), Watch: w})
			if p := problem.From(err); p == nil || p.Code != problem.Unavailable || ran.Failed != "" || ran.Partial {
				t.Errorf("it says %v, %+v", err, ran)
			}
			completes(t, d, layout.Flyway)
		})
	})
}

// TestMigratorServerKilled: the server dies at a boundary, and comes back.
func TestMigratorServerKilled(t *testing.T) {
	t.Parallel()
	r, err := boot(context.Background(), newServer(programs(t), filepath.Join(folder(t), "server")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(syscall.SIGINT) })
	for i, point := range [][2]int{{2, 0}, {3, 0}, {0, 1}, {0, 3}} {
		t.Run(fmt.Sprint(point), func(t *testing.T) {
			a := Account{Role: "clerk", Password: "x", Database: fmt.Sprintf("d%d", i)}
			if err := r.EnsureDatabase(bounded(t), a); err != nil {
				t.Fatal(err)
			}
			d, err := r.Database(a)
			if err != nil {
				t.Fatal(err)
			}
			w := &dies{atTold: point[0], atHeld: point[1], die: func() { r.end(syscall.SIGKILL) }}
			ran, err := d.Run(bounded(t), data.RunOptions{Migrator: "greenroom migrate test", Tool: layout.Goose, Migrations: killedFiles(t, layout.Goose), Watch: w})
			if p := problem.From(err); p == nil || p.Code != problem.Inconclusive || ran.Failed != "" {
				t.Errorf("it says %v, %+v", err, ran)
			}
			r = &running{Server: r.Server}
			if err := r.start(bounded(t)); err != nil {
				t.Fatal(err)
			}
			completes(t, d, layout.Goose)
		})
	}
}

// cable is a connection between Greenroom and a server that can be cut at a word of the client's.
type cable struct {
	listener net.Listener
	word     string
	answered bool // it is cut once the server has answered, else before the server hears of it
	cuts     chan struct{}
}

func newCable(t testing.TB, server, word string, answered bool) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: l, word: word, answered: answered, cuts: make(chan struct{}, 1)}
	c.cuts <- struct{}{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			go c.back(client, up)
			go c.forth(client, up)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return c
}

func (c *cable) back(client, server net.Conn) {
	defer client.Close() //nolint:errcheck // a cable
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// forth cuts once: what the server answers to the word, if it heard it, comes to nobody.
func (c *cable) forth(client, server net.Conn) {
	defer server.Close() //nolint:errcheck // a cable
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(buffer[:n], []byte(c.word)) {
			select {
			case <-c.cuts:
				_ = client.Close()
				if c.answered {
					_, _ = server.Write(buffer[:n])
					<-time.After(50 * time.Millisecond) // the server works on; the client knows of nothing
				}
				return
			default:
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestConnectionCutInCommit: whether it was committed is read from the version table, and never guessed.
func TestConnectionCutInCommit(t *testing.T) {
	t.Parallel()
	for _, heard := range []bool{true, false} {
		t.Run(fmt.Sprint(heard), func(t *testing.T) {
			r, a, d := account(t)
			all := killedFiles(t, layout.Flyway)
			mustRun(t, d, layout.Flyway, all[:2], false)
			ran, err := behindCable(t, r, a, newCable(t, r.address(), "COMMIT", heard)).Run(bounded(t), data.RunOptions{Migrator: "greenroom migrate test", Tool: layout.Flyway, Migrations: all})
			if heard && (err != nil || !slices.Equal(ran.Done, []string{"V3__x.sql"})) {
				t.Errorf("it was committed: %v, %+v", err, ran)
			}
			if !heard && (problem.From(err) == nil || problem.From(err).Code != problem.Unavailable || len(ran.Done) != 0) {
				t.Errorf("it was not committed: %v, %+v", err, ran)
			}
			completes(t, d, layout.Flyway)
		})
	}
}

// TestConnectionCutInAStatement: the statement is ended in the server before anything is concluded.
func TestConnectionCutInAStatement(t *testing.T) {
	t.Parallel()
	r, a, d := account(t)
	all := migrateFiles(t, "CREATE TABLE made (id int);\nSELECT 'cut here', pg_sleep(600)")
	ran, err := behindCable(t, r, a, newCable(t, r.address(), "cut here", true)).Run(bounded(t), migrateOptions(all))
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable || ran.Line != 2 || ran.Partial {
		t.Errorf("%v, %+v", err, ran)
	}
	db := open(t, d.URL())
	if n := query[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid() AND datname = current_database()"); n != 0 {
		t.Error("the statement goes on in the server")
	}
	if query[bool](t, db, "SELECT to_regclass('made') IS NOT NULL") {
		t.Error("something of it stays")
	}
}

func (r *running) address() string { return fmt.Sprintf("127.0.0.1:%d", r.Port) }

// behindCable is the account's database as one somewhere else, reached through a cable.
func behindCable(t testing.TB, r *running, a Account, c *cable) *Database {
	t.Helper()
	d, err := Open(Config{URL: strings.Replace(r.accountURL(a), r.address(), c.listener.Addr().String(), 1)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestMigratorDeadlock: who is chosen to give way tries again.
func TestMigratorDeadlock(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE a (id int)", "CREATE TABLE b (id int)")
	// The other one never looks for deadlocks, so that it is the migration that has to give way.
	other := locked(t, d, "SET deadlock_timeout = '1h'; LOCK TABLE b")
	o := migrateOptions(migrateFiles(t, "ALTER TABLE a ADD x int;\nALTER TABLE b ADD x int"))
	o.Retries = 3
	waits := make(chan error, 1)
	w := &listens{}
	w.told = func(s data.Told) {
		switch len(w.all) {
		case 1: // a is changed: the other one wants it too
			go func() {
				_, err := other.Exec(bounded(t), "LOCK TABLE a")
				if err == nil {
					_, err = other.Exec(bounded(t), "COMMIT")
				}
				waits <- err
			}()
			eventually(t, "the other one waits", func() bool {
				return query[int](t, db, "SELECT count(*) FROM pg_locks WHERE NOT granted AND "+here) == 1
			})
		case 2:
			if s.Error == "" {
				t.Error("there was no deadlock")
			}
		}
	}
	o.Watch = w
	ran, err := d.Run(bounded(t), o)
	if err != nil || ran.Failed != "" {
		t.Errorf("%v, %+v", err, ran)
	}
	if err := <-waits; err != nil {
		t.Error(err)
	}
	if len(w.all) < 4 {
		t.Errorf("told of: %+v", w.all)
	}
}
