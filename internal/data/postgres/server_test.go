package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// TestServerLifecycle is a server's whole life in a folder with a path that is too long for a socket and needs quoting:
// prepared, started, given an account, killed, started again, stopped.
func TestServerLifecycle(t *testing.T) {
	t.Setenv("TMPDIR", folder(t)) // where the sockets will be
	dir := filepath.Join(folder(t), strings.Repeat("a long name's \"folder\", ", 5), "server")
	s := newServer(programs(t), dir)
	s.Fast = false // what was acknowledged has to be there after a kill
	if filepath.Dir(s.Sockets()) == dir {
		t.Errorf("a socket in %s would be %d bytes long", dir, len(dir))
	}
	r, err := boot(bounded(t), s)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { r.end(syscall.SIGINT) }()

	a := Account{Role: "shop", Password: "first-password", Database: "shop", Superuser: true}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	url := ping(t, r, a)
	a.Password = "second-password"
	for range 2 {
		if err := r.EnsureDatabase(bounded(t), a); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, ping(t, r, a))
	execute(t, db, "CREATE TABLE kept (n integer)", "INSERT INTO kept VALUES (1)")
	if err := pingURL(url); err == nil {
		t.Error("the old password still opens the door")
	}
	if err := pingURL(strings.Replace(url, "shop:first-password", admin, 1)); err == nil || !strings.Contains(err.Error(), "reject") {
		t.Errorf("the administrator over TCP: %v, want a rejection", err)
	}

	if err := r.Prepare(bounded(t)); err != nil {
		t.Fatalf("prepare while it runs: %v", err)
	}
	if lockPID(filepath.Join(r.data(), "postmaster.pid")) != r.cmd.Process.Pid {
		t.Error("Prepare took the lock file of a server that runs")
	}
	r.end(syscall.SIGKILL)
	restart(t, r)
	if n := query[int](t, open(t, ping(t, r, a)), "SELECT count(*) FROM kept"); n != 1 {
		t.Errorf("%d rows after a kill, 1 was acknowledged", n)
	}
	r.end(syscall.SIGINT)
	if state := r.cmd.ProcessState; !state.Success() {
		t.Errorf("%s made it end with %v", StopSignal, state)
	}
	if log := r.log.String(); strings.Contains(log, "-password") {
		t.Errorf("a password in the server's log: %s", log)
	}
	restart(t, r)
}

// restart prepares and starts a server again. After a kill its children need a moment to notice; a supervisor would try
// again, as this does.
func restart(t *testing.T, r *running) {
	t.Helper()
	eventually(t, "the server starts again", func() bool {
		if err := r.Prepare(bounded(t)); err != nil {
			t.Fatal(err)
		}
		err := r.start(bounded(t))
		if err != nil && !strings.Contains(err.Error(), "pre-existing shared memory block") {
			t.Fatal(err)
		}
		return err == nil
	})
}

func ping(t *testing.T, r *running, a Account) string {
	t.Helper()
	d, err := r.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Ping(bounded(t)), pingURL(d.URL())); err != nil {
		t.Fatal(err)
	}
	return d.URL()
}

func pingURL(url string) error {
	d, err := Open(Config{URL: url})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return d.Ping(ctx)
}

// TestFolderWithASpace reaches a server by its socket in a folder whose name has a space, a plus and more, both as the
// daemon does and as PostgreSQL's own programs do.
func TestFolderWithASpace(t *testing.T) {
	t.Parallel()
	s := newServer(programs(t), filepath.Join(folder(t), "a b+ü", "s"))
	if filepath.Dir(s.Sockets()) != s.Dir {
		t.Fatalf("%s is too long to be tried", s.Dir)
	}
	r, err := boot(bounded(t), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.end(syscall.SIGINT)
	a := Account{Role: "shop", Password: "a b+c", Database: "shop"}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	ping(t, r, a)
	d, err := r.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Backup(bounded(t), filepath.Join(folder(t), "of a b+ü")); err != nil {
		t.Fatal(err)
	}
}

// TestStaleLock gives the pid in a killed server's lock file to an innocent process of the same user.
func TestStaleLock(t *testing.T) {
	t.Parallel()
	s := newServer(programs(t), filepath.Join(folder(t), "server"))
	if err := s.Prepare(bounded(t)); err != nil {
		t.Fatal(err)
	}
	innocent, err := proc.Command{Argv: []string{"/bin/sleep", "600"}, Dir: "/", User: s.User}.Cmd()
	if err != nil {
		t.Fatal(err)
	}
	if err := innocent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = innocent.Process.Kill(), innocent.Wait() }()
	for _, name := range []string{filepath.Join(s.data(), "postmaster.pid"), filepath.Join(s.Sockets(), fmt.Sprintf(".s.PGSQL.%d.lock", s.Port))} {
		content := fmt.Sprintf("%d\n%s\n%d\n%d\n%s\n127.0.0.1\n", innocent.Process.Pid, s.data(), time.Now().Unix(), s.Port, s.Sockets())
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := boot(bounded(t), s)
	if err != nil {
		t.Fatal(err)
	}
	r.end(syscall.SIGINT)
}

// TestPrepareInterrupted stops it after ever longer times. Whatever the instant, the next one goes on.
func TestPrepareInterrupted(t *testing.T) {
	t.Parallel()
	s := newServer(programs(t), filepath.Join(folder(t), "server"))
	interrupted := 0
	for patience := 2 * time.Millisecond; ; patience *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := s.Prepare(ctx)
		cancel()
		if err == nil {
			break
		}
		interrupted++
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		// What a kill would have left, where cleaning up had no time either.
		if err := os.MkdirAll(s.file("data.new-killed/base"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if interrupted == 0 {
		t.Error("nothing was interrupted")
	}
	if left, _ := filepath.Glob(s.file("data.new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	r, err := boot(bounded(t), s)
	if err != nil {
		t.Fatal(err)
	}
	r.end(syscall.SIGINT)
}

func TestPrepareRefuses(t *testing.T) {
	p := programs(t)
	refusal := func(t *testing.T, s Server, code problem.Code, parts ...string) {
		t.Helper()
		err := s.Prepare(bounded(t))
		if err == nil || problem.From(err).Code != code {
			t.Fatalf("got %v, want a problem %s", err, code)
		}
		mustContain(t, problem.From(err).Message+problem.From(err).Hint, parts...)
	}
	t.Run("a closed folder", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("SKIPPED: only root runs the server as another user")
		}
		closed := filepath.Join(folder(t), "closed")
		if err := os.Mkdir(closed, 0o700); err != nil {
			t.Fatal(err)
		}
		s := newServer(p, filepath.Join(closed, "in", "server"))
		refusal(t, s, problem.Unavailable, "folder "+closed+" is closed", s.User, "chmod o+x "+closed)
	})
	t.Run("data of another version", func(t *testing.T) {
		s := newServer(p, filepath.Join(folder(t), "server"))
		if err := os.MkdirAll(s.data(), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.data(), "PG_VERSION"), []byte("9\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		refusal(t, s, problem.Blocked, "PostgreSQL 9", "install PostgreSQL 9")
	})
	t.Run("a socket folder of somebody else's", func(t *testing.T) {
		tmp := folder(t)
		t.Setenv("TMPDIR", tmp)
		s := newServer(p, filepath.Join(folder(t), strings.Repeat("x", 100), "server"))
		parent := filepath.Dir(s.Sockets())
		if err := os.Symlink(tmp, parent); err != nil {
			t.Fatal(err)
		}
		refusal(t, s, problem.Blocked, parent)
	})
}

// TestReadyTellsWhyNot asks a server that was never started.
func TestReadyTellsWhyNot(t *testing.T) {
	t.Parallel()
	s := newServer(programs(t), filepath.Join(folder(t), "server"))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err := s.Ready(ctx)
	if problem.From(err) == nil || problem.From(err).Code != problem.Unavailable {
		t.Fatalf("got %v", err)
	}
	mustContain(t, err.Error(), s.Dir, "not ready")
}

// TestAccountsAreApart has two environments in one server: neither gets into the other's database.
func TestAccountsAreApart(t *testing.T) {
	t.Parallel()
	r := shared.get(t)
	var urls []string
	for _, name := range []string{"apart_one", "apart_two"} {
		a := Account{Role: name, Password: name, Database: name}
		if err := r.EnsureDatabase(bounded(t), a); err != nil {
			t.Fatal(err)
		}
		urls = append(urls, ping(t, r, a))
	}
	crossed := strings.Replace(urls[0], "/apart_one?", "/apart_two?", 1)
	if err := pingURL(crossed); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%s: %v, want permission denied", crossed, err)
	}
	if super := query[bool](t, open(t, urls[0]), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"); super {
		t.Error("the role may do anything in a server that it shares")
	}
}

// TestAccountAtOnce has several parts of a daemon make sure of the same account in the same instant.
func TestAccountAtOnce(t *testing.T) {
	t.Parallel()
	r, a, _ := account(t)
	errs := make(chan error)
	for range 8 {
		go func() { errs <- r.EnsureDatabase(bounded(t), a) }()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestAccountsThatCannotBe(t *testing.T) {
	t.Parallel()
	r := shared.get(t)
	for _, a := range []Account{{Database: "x"}, {Role: "x"}, {Role: admin, Database: "x"}, {Role: "pg_x", Database: "x"}} {
		if err := r.EnsureDatabase(bounded(t), a); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// TestAccountNamedAsTheImageDoes is POSTGRES_USER unset: role and database postgres. The database is there before and
// has to be restorable all the same.
func TestAccountNamedAsTheImageDoes(t *testing.T) {
	r := shared.get(t)
	a := Account{Role: "postgres", Password: "x", Database: "postgres", Superuser: true}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	db := open(t, ping(t, r, a))
	execute(t, db, "CREATE TABLE kept (n integer)")
	d, err := r.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	if _, err := d.Backup(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "DROP TABLE kept")
	if err := d.Restore(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	db = open(t, d.URL())
	execute(t, db, "DROP TABLE kept")
}

func TestSystemUser(t *testing.T) {
	t.Parallel()
	name, err := SystemUser()
	if err != nil {
		t.Fatal(err)
	}
	if (name == "") != (os.Getuid() != 0) {
		t.Errorf("as uid %d the server runs as %q", os.Getuid(), name)
	}
	if name != "" {
		if u, err := user.Lookup(name); err != nil || u.Uid == "0" {
			t.Errorf("%+v, %v", u, err)
		}
	}
}

func TestAncestors(t *testing.T) {
	t.Parallel()
	if got := strings.Join(ancestors("/a/b//c/"), " "); got != "/ /a /a/b /a/b/c" {
		t.Error(got)
	}
}

// kill ends a program that a test started itself.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}
