package process_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/drivertest"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

func getsid(pid int) (int, error) { return unix.Getsid(pid) }

// Processes that fork away and end become the supervisor's: it must not fill the table with them.
func TestOrphansAreReaped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.shell("web", `for i in 1 2 3 4 5; do (setsid true &); done; echo all > forked; exec sleep 600`)
	f.start(s)
	f.file("forked")
	supervisor := f.record("web").Supervisor.PID
	f.eventually("no zombies", func() bool {
		table, err := proc.Table()
		if err != nil {
			t.Fatal(err)
		}
		return len(proc.Descendants(table, supervisor)) == 1
	})
	if st := f.status("web"); st.Phase != driver.Healthy {
		t.Errorf("status %+v", st)
	}
}

// A replica that prints without end costs its supervisor a bounded amount of memory.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := f.shell("web", "")
	s.Command = []string{self, "drivertest-app", fmt.Sprintf("flood:%d", 128<<20), "count:" + filepath.Join(f.tmp, "done"), "flood:0"}
	f.start(s)
	f.eventually("a flood", func() bool {
		_, err := os.Stat(filepath.Join(f.tmp, "done"))
		return err == nil
	})
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.record("web").Supervisor.PID))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no VmHWM in %s", b)
	}
	if kb, err := strconv.Atoi(string(m[1])); err != nil || kb > 256<<10 { // the race detector multiplies it
		t.Errorf("the supervisor took %d MiB, %v", kb>>10, err)
	}
}

// A supervisor that hangs can't keep its replica from being stopped.
func TestSupervisorHangs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.start(f.shell("web", "exec sleep 600"))
	r := f.record("web")
	if err := r.Supervisor.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f.eventually("its standstill", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Supervisor.PID))
		return err == nil && strings.Contains(string(b), "State:\tT")
	})
	_, err := f.Start(f.ctx, f.shell("web", "exec sleep 600"))
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable {
		t.Errorf("start: %v", err)
	}
	f.stop("web")
	if r.Supervisor.Alive() || r.Child.Alive() {
		t.Error("it still runs")
	}
}

// On a full disk a start fails and says so; what runs goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("it needs a small disk, and one can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f := fixtureIn(t, dir)
	began := filepath.Join(dir, ".began") // what it prints could fill the disk before its start is written down
	s := f.shell("web", "until [ -e "+began+" ]; do sleep 0.01; done; exec yes")
	s.Restart = true
	running := f.start(s)
	if err := os.WriteFile(began, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.eventually("a full disk", func() bool {
		return errors.Is(os.WriteFile(filepath.Join(dir, ".ballast"), []byte("x"), 0o600), unix.ENOSPC)
	})
	_, err := f.Start(f.ctx, f.shell("more", "exec sleep 600"))
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable || !strings.Contains(p.Message, "the disk with "+dir+" is full") {
		t.Errorf("start: %v", err)
	}
	if st := f.status("web"); st.Phase != driver.Healthy || st.PID != running.PID {
		t.Errorf("status %+v", st)
	}
	f.stop("web")
}

// A replica of another user has that user's rights and no more: no other group, no way to get a right back, and what it
// makes is its own.
func TestUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.shell("web", `id -un; id -G; umask; grep NoNewPrivs /proc/self/status; echo opened anew > /dev/stderr; exec sleep 600`)
	s.Dir, s.User = "/", "nobody"
	if os.Geteuid() != 0 {
		_, err := f.Start(f.ctx, s)
		if err == nil || !strings.Contains(err.Error(), "only root") {
			t.Errorf("start: %v", err)
		}
		return
	}
	out, err := exec.Command("id", "-g", "nobody").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "nobody\n" + string(out) + "0077\nNoNewPrivs:\t1\nopened anew\n"
	f.start(s)
	f.eventually("its output", func() bool { return strings.HasSuffix(f.logs("web"), "opened anew\n") })
	if got := f.logs("web"); got != want {
		t.Errorf("it is\n%s, want\n%s", got, want)
	}
}

// What Greenroom keeps of a replica is not the replica's: not even to read.
func TestUserReadsNothing(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run a replica as another user")
	}
	dir, err := os.MkdirTemp("", "greenroom-test-") // t.TempDir's parents are closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := fixtureIn(t, dir)
	s := f.shell("web", `cd "$OWN" 2>&1; ls "$OWN" "$OWN/log" 2>&1; cat "$OWN/state.json" "/proc/$PPID/environ" 2>&1; kill "$PPID" 2>&1; echo done; exec sleep 600`)
	s.Dir, s.User, s.Env["OWN"] = "/", "nobody", filepath.Join(dir, "web")
	f.start(s)
	f.eventually("its output", func() bool { return strings.HasSuffix(f.logs("web"), "done\n") })
	refused := regexp.MustCompile(`(?i)permission denied|not permitted|can't cd`)
	lines := strings.FieldsFunc(strings.TrimSuffix(f.logs("web"), "done\n"), func(r rune) bool { return r == '\n' })
	for _, line := range lines {
		if !refused.MatchString(line) {
			t.Errorf("it could: %s", line)
		}
	}
	if len(lines) != 6 {
		t.Errorf("it tried 6 things, and was told %q", lines)
	}
}

// BenchmarkStart measures what the driver adds to a service's own start-up, and to its end: until it is known to be
// healthy, and until it is gone.
func BenchmarkStart(b *testing.B) {
	f := newFixture(b)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	s := f.shell("web", "")
	s.Listen = driver.Endpoint{Network: "unix", Address: filepath.Join(f.tmp, "web.sock")}
	s.Health = app.Health{HTTP: "/up", Interval: time.Second}
	s.Command = []string{self, "drivertest-app", "serve:unix:" + s.Listen.Address, "stay"}
	s.Env["GORACE"] = strings.TrimPrefix(drivertest.QuickEnd, "GORACE=")
	var start, wait, stop time.Duration
	for b.Loop() {
		begin := time.Now()
		f.start(s)
		started := time.Now()
		if _, err := f.Wait(f.ctx, "web"); err != nil {
			b.Fatal(err)
		}
		healthy := time.Now()
		f.stop("web")
		start, wait, stop = start+started.Sub(begin), wait+healthy.Sub(started), stop+time.Since(healthy)
	}
	for name, d := range map[string]time.Duration{"start-ms": start, "healthy-ms": wait, "stop-ms": stop} {
		b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), name)
	}
}
