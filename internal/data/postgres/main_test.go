package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver named pgx
	"go.uber.org/goleak"

	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

func TestMain(m *testing.M) {
	code := m.Run()
	shared.stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// running is a server with its process. The tests of this package share one, side by side, each with databases of its own:
// what a test asks the server about, it asks about those. A test that changes more than that can't be parallel.
type running struct {
	Server
	cmd   *exec.Cmd
	ended chan struct{}
	log   *proc.Tail
}

type sharedServer struct {
	once sync.Once
	r    *running
	err  error
	dir  string
}

var shared sharedServer

func (s *sharedServer) get(t testing.TB) *running {
	t.Helper()
	programs := programs(t)
	s.once.Do(func() {
		if s.dir, s.err = openFolder(); s.err == nil {
			s.r, s.err = boot(context.Background(), newServer(programs, filepath.Join(s.dir, "server")))
		}
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.r
}

func (s *sharedServer) stop() {
	if s.r != nil {
		s.r.end(syscall.SIGINT)
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// here is the condition on pg_locks that a lock is of the database that is asked.
const here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"

// found is PostgreSQL with all its programs, which can't go while the tests run.
var found = sync.OnceValues(func() (Programs, error) {
	p, err := Find("")
	if err == nil {
		err = errors.Join(p.need("pg_dump"), p.need("pg_restore"), p.need("psql"))
	}
	return p, err
})

// programs finds PostgreSQL, without which nothing here can be tested.
func programs(t testing.TB) Programs {
	t.Helper()
	p, err := found()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED, PostgreSQL is missing: %v (%s)", err, problem.From(err).Hint)
	}
	return p
}

// openFolder is a temporary folder that other system users can pass through; t.TempDir() is closed to them.
func openFolder() (string, error) {
	dir, err := os.MkdirTemp("", "greenroom-test-*")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func folder(t testing.TB) string {
	t.Helper()
	dir, err := openFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newServer(p Programs, dir string) Server {
	user, err := SystemUser()
	if err != nil {
		panic(err)
	}
	return Server{Programs: p, Dir: dir, Port: freePort(), User: user, Fast: true}
}

func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close() //nolint:errcheck // only its number was wanted
	return l.Addr().(*net.TCPAddr).Port
}

// boot prepares a server, starts it as a supervisor would, and waits until it is ready.
func boot(ctx context.Context, s Server) (*running, error) {
	if err := s.Prepare(ctx); err != nil {
		return nil, err
	}
	r := &running{Server: s}
	return r, r.start(ctx)
}

func (r *running) start(ctx context.Context) error {
	var env []string
	for k, v := range r.Env() {
		env = append(env, k+"="+v)
	}
	log := proc.NewTail(tailSize)
	cmd, err := proc.Command{Argv: r.Command(), Dir: "/", Env: env, User: r.User, Stdout: log, Stderr: log}.Cmd()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{}) // not the field, which the next start changes
	r.cmd, r.ended, r.log = cmd, ended, log
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := r.Ready(ctx); err != nil {
		r.end(syscall.SIGKILL)
		return fmt.Errorf("%w; the server's log: %s", err, r.log)
	}
	return nil
}

// end signals the server and returns once its process is gone.
func (r *running) end(sig syscall.Signal) {
	_ = r.cmd.Process.Signal(sig)
	<-r.ended
}

// account is a new database with its role in the shared server.
func account(t testing.TB) (*running, Account, *Database) {
	t.Helper()
	r := shared.get(t)
	a := Account{Role: unique(), Password: "p w'\\%@/:ü", Database: unique(), Superuser: true}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	d, err := r.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := d.with(context.Background(), "postgres", func(conn *pgx.Conn) error {
			for _, name := range []string{a.Database, d.beside("pristine")} {
				if err := drop(context.Background(), conn, name); err != nil {
					return err
				}
			}
			_, err := conn.Exec(context.Background(), "DROP ROLE "+quote(a.Role))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	return r, a, d
}

var uniqueNumber struct {
	sync.Mutex
	n int
}

// unique is a name that has to be quoted.
func unique() string {
	uniqueNumber.Lock()
	defer uniqueNumber.Unlock()
	uniqueNumber.n++
	return fmt.Sprintf(`It's "%d"`, uniqueNumber.n)
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// open is a pool as an application has one.
func open(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(bounded(t), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func query[T any](t testing.TB, db *sql.DB, q string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(bounded(t), q, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return v
}

// eventually polls until ok says true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func mustContain(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q lacks %q", text, p)
		}
	}
}
