// Package dockertest starts Docker Engines for tests, and makes images for them. Only tests import it.
package dockertest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// place is the variable that names the folder in which Engines are, in a world that Enter made; it goes with the world.
const place = "GREENROOM_DOCKERTEST_DIR"

// startTime is how long an Engine may take until it serves, or to end.
const startTime = 3 * time.Minute

// Engine is a Docker Engine of a test's own: its socket, images, containers and networks are in a folder and in address
// ranges of its own, and it changes no rule of the machine's packet filter.
type Engine struct {
	Host string // as in DOCKER_HOST

	t       testing.TB
	dir     string
	n       int
	number  *os.File // locked: the number is this Engine's
	filter  bool     // it filters packets, which networks without a way out take
	log     logBuffer
	cmd     *exec.Cmd
	crashed bool // it was killed, and had no time to unmount
	small   bool // its disk is one that makeSmall mounted
	wide    bool // its networks have 256 addresses each, and not 16
}

// logBuffer is what an Engine said.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.b.Bytes()
	return string(b[max(0, len(b)-4<<10):])
}

// engines is how many there can be on a machine at once: each has addresses of its own, also beside those of other programs'
// tests.
const engines = 50

// takeNumber finds an Engine's number, which it has until the file is closed.
func takeNumber(t testing.TB) (int, *os.File) {
	t.Helper()
	dir := filepath.Join("/tmp", "greenroom-test-engines") // not TMPDIR: one for the machine
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for n := range engines {
		f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(n)), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return n, f
		}
		_ = f.Close() // only read from
	}
	t.Fatal("all addresses for Engines are in use")
	return 0, nil
}

// Start starts an Engine, which is ended with the test. Where there can be none the test is skipped, which in CI is a
// failure.
func Start(t testing.TB) *Engine {
	t.Helper()
	need(t)
	e := newEngine(t, "{}", false, 0)
	t.Cleanup(e.End)
	return e
}

// StartLive is Start of an Engine whose containers outlive it, as its option live-restore has it.
func StartLive(t testing.TB) *Engine {
	t.Helper()
	need(t)
	e := newEngine(t, `{"live-restore": true}`, false, 0)
	t.Cleanup(e.End)
	return e
}

// StartWide is Start of an Engine for networks of many containers.
func StartWide(t testing.TB) *Engine {
	t.Helper()
	need(t)
	e := makeEngine(t, false, 0)
	e.wide = true
	e.Return(t)
	t.Cleanup(e.End)
	return e
}

// StartSmall is Start of an Engine whose disk has so many bytes. It takes a world that Enter made.
func StartSmall(t testing.TB, size int64) *Engine {
	t.Helper()
	need(t)
	if os.Getenv(place) == "" {
		t.Skip("SKIPPED: this machine makes no world for a small disk")
	}
	e := newEngine(t, "{}", false, size)
	t.Cleanup(e.End)
	return e
}

var shared struct {
	sync.Mutex
	engine *Engine
}

// Shared is one Engine for all tests of a program. Leave ends it. In a world that Enter made it keeps networks apart, as an
// Engine does that is installed; elsewhere, and in those that Start starts, one without a way out has one.
func Shared(t testing.TB) *Engine {
	t.Helper()
	need(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.engine == nil {
		// Two that filter would remove each other's rules, and on the machine itself those of its own Engine.
		shared.engine = newEngine(t, "{}", os.Getenv(place) != "", 0)
	}
	return shared.engine
}

// Leave ends the Engine that tests shared, and says what of it is left.
func Leave() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.engine == nil {
		return nil
	}
	defer func() { shared.engine = nil }()
	return shared.engine.end()
}

// need says loudly that there can be no Engine here.
func need(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short runs no Docker Engine")
	}
	why := ""
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root on Linux can run a Docker Engine of its own")
	}
	for _, program := range []string{"dockerd", "containerd", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			why = "a Docker Engine (apt-get install docker.io): " + err.Error()
		}
	}
	switch {
	case why == "":
	case os.Getenv("CI") == "true":
		t.Fatal("the machine lacks " + why)
	default:
		t.Skip("SKIPPED, the machine lacks " + why)
	}
}

func newEngine(t testing.TB, options string, filter bool, size int64) *Engine {
	t.Helper()
	e := makeEngine(t, filter, size)
	e.Configure(t, options)
	e.Return(t)
	return e
}

// makeEngine makes what an Engine needs that does not run yet.
func makeEngine(t testing.TB, filter bool, size int64) *Engine {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(place), "e") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{t: t, dir: dir, filter: filter, Host: "unix://" + filepath.Join(dir, "docker.sock")}
	e.n, e.number = takeNumber(t)
	if err := os.WriteFile(e.file("daemon.json"), []byte("{}\n"), 0o600); err != nil { // else the machine's would be read
		t.Fatal(err)
	}
	if size > 0 {
		if err := e.makeSmall(size); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func (e *Engine) file(name string) string { return filepath.Join(e.dir, name) }

// Configure says what is in the Engine's daemon.json from its next start on.
func (e *Engine) Configure(t testing.TB, config string) {
	t.Helper()
	if err := os.WriteFile(e.file("daemon.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Data is the folder in which the Engine keeps all that it has.
func (e *Engine) Data() string { return e.file("data") }

// Range is the beginning of the addresses that the Engine has for networks, RANGE.0.0/20.
func (e *Engine) Range() string { return fmt.Sprintf("10.%d", 200+e.n) }

func (e *Engine) cgroup() string { return fmt.Sprintf("greenroom-test-%d-%d", os.Getpid(), e.n) }

// Return starts the Engine that was killed, over all that it had.
func (e *Engine) Return(t testing.TB) {
	t.Helper()
	if err := e.start(); err != nil {
		t.Fatalf("the Docker Engine does not start: %v\n%s", err, e.log.last())
	}
}

func (e *Engine) start() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	// A killed one leaves its pid files, and a pid may be another's by now.
	_ = os.Remove(e.file("pid"))
	_ = os.Remove(e.file("exec/containerd/containerd.pid"))
	bits := 28
	if e.wide {
		bits = 24
	}
	e.cmd = exec.Command("dockerd", "--config-file", e.file("daemon.json"), "--host", e.Host, "--data-root", e.Data(),
		"--exec-root", e.file("exec"), "--pidfile", e.file("pid"), "--bridge", "none", fmt.Sprintf("--iptables=%v", e.filter),
		fmt.Sprintf("--ip-forward=%v", e.filter), "--ip-masq=false", "--default-address-pool", fmt.Sprintf("base=%s.0.0/20,size=%d", e.Range(), bits),
		"--cgroup-parent", "/"+e.cgroup(), "--shutdown-timeout", "5", "--log-level", "info")
	e.cmd.Stdout, e.cmd.Stderr = w, w
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = e.cmd.Start()
	_ = w.Close()
	if err != nil {
		return errors.Join(err, r.Close())
	}
	serves := make(chan struct{})
	go func() {
		defer r.Close() //nolint:errcheck // read only
		lines := bufio.NewReader(io.TeeReader(r, &e.log))
		open := sync.OnceFunc(func() { close(serves) })
		for {
			line, err := lines.ReadString('\n')
			if strings.Contains(line, "API listen on") {
				open()
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case <-serves:
		return nil
	case <-time.After(startTime):
		return errors.New("it did not serve in time")
	}
}

// Shut has the Engine go down as it does when the machine's init asks it to: with its containers, unless they outlive it.
func (e *Engine) Shut(t testing.TB) {
	t.Helper()
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = e.cmd.Wait() // it was asked to
	e.cmd, e.crashed = nil, true
}

// Freeze has the Engine answer nobody until Thaw. Whoever comes is let in, by the kernel.
func (e *Engine) Freeze(t testing.TB) { e.signal(t, syscall.SIGSTOP) }

// Thaw ends Freeze.
func (e *Engine) Thaw(t testing.TB) { e.signal(t, syscall.SIGCONT) }

func (e *Engine) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := e.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Kill kills the Engine at once, as a crash does. Its containers run on.
func (e *Engine) Kill(t testing.TB) {
	t.Helper()
	if err := e.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = e.cmd.Wait() // it was killed
	e.cmd, e.crashed = nil, true
	// Its containerd dies of it a moment later. An Engine that comes before that would take it for one that serves.
	if err := e.awaitContainerd(); err != nil {
		t.Fatal(err)
	}
}

// End ends the Engine with all that runs in it, removes all that it had, and fails the test where something is left.
func (e *Engine) End() {
	e.t.Helper()
	if err := e.end(); err != nil {
		e.t.Errorf("the Docker Engine does not end cleanly: %v\n%s", err, e.log.last())
	}
}

func (e *Engine) end() error {
	var all []error
	if e.cmd != nil {
		kill := time.AfterFunc(startTime, func() { _ = e.cmd.Process.Kill() })
		all = append(all, e.cmd.Process.Signal(syscall.SIGTERM))
		_ = e.cmd.Wait() // how it ended says less than what it leaves
		if !kill.Stop() {
			all = append(all, errors.New("it did not end in time"))
		}
		e.cmd = nil
	}
	return errors.Join(append(append(all, e.sweep()...), e.number.Close())...)
}
