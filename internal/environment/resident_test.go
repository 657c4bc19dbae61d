package environment

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/account"
	"greenroom/internal/app"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/process"
	"greenroom/internal/home"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// aWorld is a state folder in dir, with a driver under which nothing runs. Its system users are gone with the test.
func aWorld(t *testing.T, dir string) *World {
	t.Helper()
	h := home.Home(filepath.Join(dir, "home"))
	if err := h.Make(); err != nil {
		t.Fatal(err)
	}
	d, err := process.New(process.Options{Dir: h.Replicas(), Supervise: []string{"nobody"}})
	if err != nil {
		t.Fatal(err)
	}
	none := func() (*docker.Driver, error) { return nil, errors.New("no Engine was to be asked") }
	w := &World{Home: h, Driver: d, Engine: NewEngine(h, none), Accounts: account.New(h), Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() {
		if err := w.Accounts.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func production(w *World) *Environment {
	return &Environment{App: "shop", Name: "production", world: w}
}

// Where an environment can have no user of its own, it runs without one, and says why.
func TestNotIsolated(t *testing.T) {
	e := production(aWorld(t, t.TempDir())) // through which nobody else can pass
	u, err := e.prepare(t.Context())
	if err != nil || u != nobody {
		t.Fatalf("its resident is %+v, %v", u, err)
	}
	want := []string{"not isolated", "production"}
	if os.Geteuid() == 0 {
		want = append(want, "closed to the system user gr-shop-production")
	}
	got := strings.Join(e.Isolation(release.Release{}), "\n")
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("it says %q, without %q", got, w)
		}
	}
	if info, err := os.Stat(e.Folder()); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("its folder is %v, %v", info.Mode(), err)
	}
}

func TestIsolated(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run environments as users of their own")
	}
	dir, err := os.MkdirTemp("", "greenroom-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	e := production(aWorld(t, dir))
	var first account.User
	for range 2 {
		u, err := e.prepare(t.Context())
		if err != nil || u == nobody || first != nobody && u != first {
			t.Fatalf("its resident is %+v after %+v, %v", u, first, err)
		}
		first = u
	}
	if said := e.Isolation(release.Release{}); len(said) > 0 {
		t.Errorf("it says %q", said)
	}
	withPassword := release.Release{Contents: app.Contents{Database: &app.Database{Engine: app.Postgres, Password: "shop"}}}
	if said := e.Isolation(withPassword); len(said) != 1 || !strings.Contains(said[0], "Compose file") {
		t.Errorf("of a password that stands in the definition it says %q", said)
	}
}

// What hides in a session of its own, without a mark, ends with the environment all the same.
func TestNothingHides(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run environments as users of their own")
	}
	e := production(aWorld(t, t.TempDir()))
	u, err := e.world.Accounts.Make(t.Context(), e.App, e.Name)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := proc.Command{Argv: []string{"/bin/sleep", "600"}, Dir: "/", User: u.Name}.Cmd()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Setsid = false, true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := e.StopAll(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || err.Error() != "signal: killed" {
		t.Errorf("it ended with %v", err)
	}
}

// What is in the data folder is the resident's to change: no link that it puts there leads Greenroom, which is root,
// somewhere else.
func TestLinksLeadNowhere(t *testing.T) {
	e := production(aWorld(t, t.TempDir()))
	if _, err := e.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	for name, to := range map[string]string{"app.db": e.world.Home.Store(), "uploads": outside, "folder": outside} {
		if err := os.Symlink(to, filepath.Join(e.Data(), name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"app.db", "folder/app.db"} {
		if err := e.within(name); err == nil || problem.From(err).Code != problem.Blocked {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"other.db", "missing/app.db"} {
		if err := e.within(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	volumes := app.Contents{Services: []app.Service{{Name: "web", Volumes: []string{"uploads"}}}}
	if err := e.makeVolumes(volumes, account.User{UID: 54321, GID: 54321}); err == nil {
		if got, _ := home.Belongs(outside, 54321, 54321); got {
			t.Error("a folder that a volume's name leads to was given away")
		}
	}
}
