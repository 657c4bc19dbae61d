package examples

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/proc"
)

// postgres is a server of the test's own. Each release of the story gets databases of its own in it.
type postgres struct {
	port int
	next int
}

// startPostgres runs the machine's PostgreSQL until the test ends.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	programs := postgresPrograms(t)
	// PostgreSQL does not run as root, and another user can't enter t.TempDir().
	dir, err := os.MkdirTemp("", "shop-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	user := ""
	if os.Getuid() == 0 {
		user = "postgres"
		must(t, exec.Command("chown", user, dir).Run())
	}
	run := proc.Command{Dir: "/", User: user, Env: []string{"LANG=C.UTF-8", "PATH=/usr/bin:/bin"}, Stderr: os.Stderr}
	run.Argv = []string{filepath.Join(programs, "initdb"), "-D", dir + "/data", "-A", "trust", "-U", "shop", "--no-sync"}
	if exit, err := proc.Run(t.Context(), run); err != nil || !exit.OK() {
		t.Fatalf("initdb: %v, %v", exit, err)
	}
	p := &postgres{port: freePort(t)}
	run.Stderr = nil
	run.Argv = []string{filepath.Join(programs, "postgres"), "-D", dir + "/data", "-p", strconv.Itoa(p.port), "-k", dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"}
	server, err := run.Cmd()
	must(t, err)
	must(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // at once, but in order
		_ = server.Wait()
	})
	eventually(t, "PostgreSQL takes connections", func() bool {
		c, err := pgx.Connect(t.Context(), p.url("postgres"))
		if err == nil {
			_ = c.Close(t.Context())
		}
		return err == nil
	})
	return p
}

func postgresPrograms(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		const missing = "PostgreSQL's programs are missing (initdb in PATH or /usr/lib/postgresql): install postgresql"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	return filepath.Dir(slices.Max(found))
}

func (p *postgres) url(database string) string {
	return fmt.Sprintf("postgres://shop:shop@127.0.0.1:%d/%s?sslmode=disable", p.port, database)
}

// database makes an empty database and returns its address.
func (p *postgres) database(t *testing.T) string {
	t.Helper()
	p.next++
	name := fmt.Sprintf("shop%d", p.next)
	c, err := pgx.Connect(t.Context(), p.url("postgres"))
	must(t, err)
	defer func() { _ = c.Close(t.Context()) }()
	_, err = c.Exec(t.Context(), "CREATE DATABASE "+name)
	must(t, err)
	return p.url(name)
}

// number asks a database for one number.
func number(t *testing.T, url, query string) int {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer func() { _ = c.Close(t.Context()) }()
	var n int
	must(t, c.QueryRow(t.Context(), query).Scan(&n))
	return n
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually asks until the answer is yes, for two minutes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if yes() {
			return
		}
	}
	t.Fatalf("it never came true that %s", what)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
