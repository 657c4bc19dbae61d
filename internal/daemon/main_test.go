package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"greenroom/internal/data/postgres"
	"greenroom/internal/data/postgres/clustertest"
)

// These tests run the real program as its users do: as processes, with a real PostgreSQL server, under traffic. Each has
// a state folder of its own (house) and an app whose behaviour it can change (testdata/app).

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// programs are Greenroom with its failpoints and the app, built once for all tests, and those of PostgreSQL 15 for houses.
type programs struct {
	once           sync.Once
	dir            string
	greenroom, app string
	sqlite         string // the app with that driver
	postgres       string // the folder; "" for wherever they are
	err            error
}

var built programs

func (p *programs) build() error {
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "greenroom-programs-"); p.err != nil {
			return
		}
		p.greenroom, p.app, p.sqlite = filepath.Join(p.dir, "greenroom"), filepath.Join(p.dir, "app"), filepath.Join(p.dir, "app-sqlite")
		p.err = errors.Join(os.Chmod(p.dir, 0o755), compile(p.greenroom, "-tags", "failpoint", "greenroom/cmd/greenroom"),
			compile(p.app, "greenroom/internal/daemon/testdata/app"), compile(p.sqlite, "-tags", "sqlite", "greenroom/internal/daemon/testdata/app"))
		if found, err := postgres.Find("15"); err == nil && p.err == nil {
			p.postgres, p.err = clustertest.Install(found.Bin, p.dir)
		}
	})
	return p.err
}

func compile(to string, args ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", to}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %v: %w\n%s", args, err, out)
	}
	return nil
}

// needPrograms is asked by every test that runs processes.
func needPrograms(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short runs no processes")
	}
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: what runs is looked up in /proc, which only Linux has")
	}
	if err := built.build(); err != nil {
		t.Fatal(err)
	}
}

// needPostgres is asked by every test whose app has a PostgreSQL database.
func needPostgres(t testing.TB) {
	t.Helper()
	if _, err := postgres.FindFor("postgres:15", filepath.Join(t.TempDir(), "none")); err != nil {
		missing(t, "PostgreSQL 15: "+err.Error())
	}
}

// missing ends a test for which the machine lacks something: in CI that is a failure.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("the machine lacks " + what)
	}
	t.Skip("SKIPPED, the machine lacks " + what)
}

// lastOf is the end of a file, for a test that failed.
func lastOf(name string, most int64) string {
	f, err := os.Open(name)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}
