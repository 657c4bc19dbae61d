package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"greenroom/internal/home"
)

// TestServerChangesItsUser takes a server over that ran as another user, once it does not run any more.
func TestServerChangesItsUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can run a server as another user")
	}
	s := newServer(programs(t), filepath.Join(folder(t), "server"))
	s.Fast = false // it will be killed
	r, err := boot(bounded(t), s)
	if err != nil {
		t.Fatal(err)
	}
	a := Account{Role: "shop", Password: "x", Database: "shop"}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	execute(t, open(t, ping(t, r, a)), "CREATE TABLE kept (n integer)")
	before, err := os.Stat(s.data())
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := before.Sys().(*syscall.Stat_t).Uid, before.Sys().(*syscall.Stat_t).Gid

	next := s
	next.User = "daemon"
	if err := next.Prepare(bounded(t)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{s.data(), s.Sockets()} {
		if own, err := home.Belongs(dir, int(uid), int(gid)); !own || err != nil {
			t.Errorf("%s of a server that runs was given away, %v", dir, err)
		}
	}
	r.end(syscall.SIGKILL)
	taken, err := boot(bounded(t), next)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.end(syscall.SIGINT)
	execute(t, open(t, ping(t, taken, a)), "INSERT INTO kept VALUES (1)")
}

// The data are another user's, who may put a link anywhere: what it leads to is not read, and not told.
func TestVersionIsNoLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("the key of all secrets\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "data", "PG_VERSION")); err != nil {
		t.Fatal(err)
	}
	if v := dataVersion(dir); v != "" {
		t.Errorf("the version is %q", v)
	}
	err := Server{Dir: dir}.sameVersion(bounded(t))
	if err == nil || strings.Contains(err.Error(), "secrets") {
		t.Errorf("said was: %v", err)
	}
}
