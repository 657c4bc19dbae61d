package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/drivertest"
	"greenroom/internal/driver/process"
	"greenroom/internal/proc"
)

// fixture is a driver over a folder of its own, and what its replicas run in.
type fixture struct {
	testing.TB
	*process.Driver
	ctx context.Context
	dir string // the driver's
	tmp string // the application's
}

func newFixture(t testing.TB) *fixture { return fixtureIn(t, t.TempDir()) }

func fixtureIn(t testing.TB, dir string) *fixture {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	f := &fixture{TB: t, Driver: openProcess(t, dir), ctx: ctx, dir: dir, tmp: t.TempDir()}
	t.Cleanup(f.stopAll)
	return f
}

// stopAll leaves nothing running, also when the test's time is over.
func (f *fixture) stopAll() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := f.List(ctx, driver.Filter{})
	if err != nil {
		f.Error(err)
	}
	for _, st := range all {
		if err := f.Stop(ctx, st.ID); err != nil {
			f.Error(err)
		}
	}
}

// shell is a replica that runs a line of shell.
func (f *fixture) shell(id, line string) driver.Spec {
	return driver.Spec{
		ID: id, App: "shop", Environment: "qa", Service: "web", Command: proc.Shell(line), Dir: f.tmp,
		Env:  map[string]string{"PATH": os.Getenv("PATH")},
		Stop: app.Stop{Signal: "SIGTERM", Grace: 20 * time.Second},
	}
}

func (f *fixture) start(s driver.Spec) driver.Status {
	f.Helper()
	st, err := f.Start(f.ctx, s)
	if err != nil {
		f.Fatal(err)
	}
	return st
}

func (f *fixture) stop(id string) {
	f.Helper()
	if err := f.Stop(f.ctx, id); err != nil {
		f.Errorf("stop %s: %v", id, err)
	}
}

func (f *fixture) status(id string) driver.Status {
	f.Helper()
	st, err := f.Status(f.ctx, id)
	if err != nil {
		f.Fatal(err)
	}
	return st
}

func (f *fixture) logs(id string) string {
	f.Helper()
	var out bytes.Buffer
	if err := f.Logs(f.ctx, id, driver.LogOptions{}, &out); err != nil {
		f.Errorf("logs of %s: %v", id, err)
	}
	return out.String()
}

func (f *fixture) eventually(what string, ok func() bool) {
	f.Helper()
	for !ok() {
		select {
		case <-f.ctx.Done():
			f.Fatalf("%s: it did not come about", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// file waits until the application has written a whole line into a file, and gives it.
func (f *fixture) file(name string) string {
	f.Helper()
	var b []byte
	f.eventually("file "+name, func() bool {
		b, _ = os.ReadFile(filepath.Join(f.tmp, name))
		return bytes.HasSuffix(b, []byte("\n"))
	})
	return strings.TrimSpace(string(b))
}

// pid is the process that wrote its pid into a file.
func (f *fixture) pid(name string) proc.Identity {
	f.Helper()
	n, err := strconv.Atoi(f.file(name))
	if err != nil {
		f.Fatal(err)
	}
	return f.identify(n)
}

func (f *fixture) identify(pid int) proc.Identity {
	f.Helper()
	id, err := proc.Identify(pid)
	if err != nil {
		f.Fatalf("process %d: %v", pid, err)
	}
	return id
}

// record is what state.json says of who a replica is.
type record struct {
	Status     driver.Status `json:"status"`
	Supervisor proc.Identity `json:"supervisor"`
	Child      proc.Identity `json:"child"`
}

func (f *fixture) record(id string) record {
	f.Helper()
	var r record
	b, err := os.ReadFile(filepath.Join(f.dir, id, "state.json"))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		f.Fatal(err)
	}
	return r
}

// plant writes a record as a dead supervisor would have left it.
func (f *fixture) plant(id string, r record) {
	f.Helper()
	r.Status.ID, r.Status.Phase = id, driver.Healthy
	b, err := json.Marshal(r)
	if err == nil {
		err = os.Mkdir(filepath.Join(f.dir, id), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(f.dir, id, "state.json"), b, 0o600)
	}
	if err != nil {
		f.Fatal(err)
	}
}

// innocent is a process that has nothing to do with any replica of the fixture.
func (f *fixture) innocent(env ...string) proc.Identity {
	f.Helper()
	cmd, err := proc.Command{Argv: []string{"/bin/sleep", "600"}, Env: env}.Cmd()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return f.identify(cmd.Process.Pid)
}

func (f *fixture) kill(id proc.Identity) {
	f.Helper()
	if err := id.Signal(syscall.SIGKILL); err != nil {
		f.Fatal(err)
	}
	f.eventually("the death of a process", func() bool { return !id.Alive() })
}

func TestSecretsNeverTouchTheDisk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const secret = "hunter2-planted"
	s := f.shell("web", `echo started; exec sleep 600`)
	s.Env["PASSWORD"] = secret
	s.Command = append(s.Command, "--password="+secret)
	s.Health = app.Health{Command: proc.Shell(`test "$PASSWORD" = ` + secret), Interval: 10 * time.Millisecond}
	f.start(s)
	if _, err := f.Wait(f.ctx, "web"); err != nil {
		t.Fatal(err)
	}
	f.wantNowhere(secret)
	supervisor := f.record("web").Supervisor
	for _, name := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(supervisor.PID), name))
		if err == nil && bytes.Contains(b, []byte(secret)) {
			t.Errorf("the supervisor's %s shows the secret", name)
		}
	}
	f.kill(supervisor)
	f.wantNowhere(secret)
	f.start(s)
	f.stop("web")
	f.wantNowhere(secret)
}

// What cuts a long line that a health command printed leaves no half of a secret.
func TestSecretsInAHealthAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const secret = "hunter22-correct-horse"
	s := f.shell("web", `exec sleep 600`)
	s.Env["PASSWORD"], s.Secrets = secret, []string{secret}
	s.Health = app.Health{Command: proc.Shell(`printf %s "$PASSWORD"; printf %04085d 0; exit 1`), Interval: 10 * time.Millisecond, Start: time.Second}
	f.start(s)
	st, err := f.Wait(f.ctx, "web")
	for ; !strings.Contains(st.Reason, "exit code") && s.Health.Start < 30*time.Second; st, err = f.Wait(f.ctx, "web") { // a busy machine had not asked yet
		f.stop("web")
		s.Health.Start *= 4
		f.start(s)
	}
	for _, said := range []string{st.Reason, fmt.Sprint(err)} {
		if strings.Contains(said, "horse") || !strings.Contains(said, "exit code 1: ") || !strings.Contains(said, "000") {
			t.Errorf("it is said %q", said)
		}
	}
}

// wantNowhere wants no file of the driver's folder to hold a value.
func (f *fixture) wantNowhere(secret string) {
	f.Helper()
	drivertest.WantNowhere(f, f.dir, secret)
}

// runDaemon is the process that the next test kills: it starts a replica and stays.
func runDaemon(dir string) {
	var s driver.Spec
	err := json.NewDecoder(os.Stdin).Decode(&s)
	var self string
	if err == nil {
		self, err = os.Executable()
	}
	if err == nil {
		var d *process.Driver
		if d, err = process.New(process.Options{Dir: dir, Supervise: []string{"/usr/bin/env", drivertest.QuickEnd, self, "supervise"}}); err == nil {
			_, err = d.Start(context.Background(), s)
		}
	}
	fmt.Println("started", err)
	select {}
}

func TestReplicaOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	spec, err := json.Marshal(f.shell("web", `echo $$ > pid; while :; do echo still here; sleep 0.01; done`))
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(os.Args[0], "daemon", f.dir)
	daemon.Stdin = bytes.NewReader(spec)
	out, err := daemon.StdoutPipe()
	if err == nil {
		err = daemon.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("started <nil>\n"))
	if _, err := io.ReadFull(out, answer); err != nil || string(answer) != "started <nil>\n" {
		t.Fatalf("the daemon says %q, %v", answer, err)
	}
	replica := f.pid("pid")
	// Its whole group, as a terminal or systemd would: the supervisor is in a session of its own.
	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = daemon.Wait()

	before := len(f.logs("web"))
	f.eventually("output after the daemon's death", func() bool { return len(f.logs("web")) > before })
	if st := f.status("web"); st.Phase != driver.Healthy || st.PID != replica.PID || !replica.Alive() {
		t.Errorf("after the daemon's death: %+v", st)
	}
	f.stop("web")
	if replica.Alive() {
		t.Error("it was not stopped")
	}
}

func TestSupervisorIsDetached(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.start(f.shell("web", "exec sleep 600"))
	pid := f.record("web").Supervisor.PID
	if sid, err := getsid(pid); err != nil || sid != pid {
		t.Errorf("its session is %d, %v; want its own, %d", sid, err, pid)
	}
	if dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && dir != "/" {
		t.Errorf("its folder is %s, want /", dir)
	}
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err == nil && string(env) != drivertest.QuickEnd+"\x00" {
		t.Errorf("its environment is %q, want nothing inherited", env)
	}
}

func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	// One that forks away, makes a session of its own, and ignores that the others die.
	s := f.shell("web", `setsid sh -c 'echo $$ > away; exec sleep 600' & echo $$ > pid; exec sleep 600`)
	for _, next := range []struct {
		name string
		does func()
	}{{"Start", func() { f.start(s) }}, {"Stop", func() { f.stop("web") }}} {
		f.stop("web")
		_ = os.Remove(filepath.Join(f.tmp, "away"))
		f.start(s)
		away, child := f.pid("away"), f.identify(f.status("web").PID)
		f.kill(f.record("web").Supervisor)
		f.eventually("the child's death", func() bool { return !child.Alive() }) // the kernel's work
		all, err := f.List(f.ctx, driver.Filter{})
		if err != nil || len(all) != 1 || all[0].Phase != driver.Exited || all[0].Reason != "its supervisor died" || all[0].PID != 0 {
			t.Errorf("list %+v, %v", all, err)
		}
		if _, err := f.Wait(f.ctx, "web"); err == nil || !strings.Contains(err.Error(), "its supervisor died") {
			t.Errorf("wait: %v", err)
		}
		if !away.Alive() {
			t.Fatal("the one that forked away is dead already: nothing is tested")
		}
		next.does()
		if away.Alive() {
			t.Errorf("%s left one running that had forked away", next.name)
		}
	}
}

// A supervisor that is killed at any instant leaves no replica that is lost, and none twice.
func TestSupervisorKilledAtAnyInstant(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.shell("web", "exec sleep 600")
	s.Restart = true
	for i := range 25 {
		started := make(chan struct{})
		go func() {
			defer close(started)
			_, _ = f.Start(f.ctx, s) // may fail: its supervisor is being killed
		}()
		table := func() []proc.Process {
			all, err := proc.Table()
			if err != nil {
				t.Fatal(err)
			}
			return proc.Descendants(all, os.Getpid())
		}
		f.eventually("a supervisor", func() bool {
			select {
			case <-started:
				return true
			default:
				return supervisorOf(table(), f.dir).PID != 0
			}
		})
		<-time.After(time.Duration(i) * time.Millisecond)
		killed := supervisorOf(table(), f.dir)
		_ = killed.Signal(syscall.SIGKILL)
		<-started
		f.eventually("it is dead", func() bool { return killed.PID == 0 || !killed.Alive() }) // whom a kill is under way to can be taken to run
	}
	st := f.start(s)
	marked, err := proc.Marked(process.Marker + "=" + filepath.Join(f.dir, "web"))
	if err != nil || len(marked) != 1 || marked[0].PID != st.PID {
		t.Errorf("%v run, %v; want only pid %d", marked, err, st.PID)
	}
	f.stop("web")
	if marked, err := proc.Marked(process.Marker + "=" + filepath.Join(f.dir, "web")); err != nil || len(marked) != 0 {
		t.Errorf("%v run after stop, %v", marked, err)
	}
}

func supervisorOf(table []proc.Process, dir string) proc.Identity {
	for _, p := range table {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
		if err == nil && bytes.Contains(b, []byte("supervise\x00"+dir)) && !p.Ended {
			return p.Identity
		}
	}
	return proc.Identity{}
}

// A recorded pid that belongs to an innocent process by now, and a mark of somebody else's replica of the same id.
func TestInnocentsAreSpared(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := filepath.Join(t.TempDir(), "web")
	innocent := f.innocent(process.Marker + "=" + other)
	reused := innocent
	reused.Start = "1"
	elsewhen := innocent
	elsewhen.Boot = "another"
	for _, was := range []proc.Identity{reused, elsewhen} {
		for _, does := range []func(){func() { f.stop("web") }, func() { f.start(f.shell("web", "exec sleep 600")) }} {
			f.stop("web")
			f.plant("web", record{Supervisor: was, Child: was})
			if st := f.status("web"); st.Phase != driver.Exited || st.PID != 0 {
				t.Errorf("status %+v, want exited", st)
			}
			does()
			if !innocent.Alive() {
				t.Fatal("an innocent process was killed")
			}
		}
	}
}

func TestMachineStartedAnew(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.plant("web", record{Supervisor: proc.Identity{Boot: "before", PID: 1, Start: "1"}})
	if st := f.status("web"); st.Phase != driver.Exited || st.Reason != "the machine was started anew" {
		t.Errorf("status %+v", st)
	}
	if st := f.start(f.shell("web", "exec sleep 600")); st.Phase != driver.Healthy {
		t.Errorf("started anew: %+v", st)
	}
}

func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.plant("web", record{})
	if err := os.WriteFile(filepath.Join(f.dir, "web", "state.json"), []byte(`{"status":`), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := f.List(f.ctx, driver.Filter{})
	if err != nil || len(all) != 1 || all[0].ID != "web" || !strings.Contains(all[0].Reason, "damaged") {
		t.Errorf("list %+v, %v", all, err)
	}
	f.start(f.shell("web", "exec sleep 600"))
	f.stop("web")
}

func TestLongNames(t *testing.T) {
	t.Parallel()
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 120), strings.Repeat("e", 120))
	f := fixtureIn(t, deep)
	f.tmp = deep
	id := strings.Repeat("w", 128)
	f.start(f.shell(id, "exec sleep 600"))
	if st, err := f.Wait(f.ctx, id); err != nil || st.Phase != driver.Healthy {
		t.Errorf("wait: %+v, %v", st, err)
	}
	if st := f.status(id); st.Phase != driver.Healthy {
		t.Errorf("status %+v", st)
	}
}

func TestLogsOfStopped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 23 {
		id := fmt.Sprintf("r%02d", i)
		f.start(f.shell(id, "echo "+id+"; exec sleep 600"))
		f.eventually("its output", func() bool { return f.logs(id) == id+"\n" })
		f.stop(id)
	}
	for i := range 23 {
		id := fmt.Sprintf("r%02d", i)
		err := f.Logs(f.ctx, id, driver.LogOptions{}, io.Discard)
		if kept := i >= 3; kept && err != nil || !kept && !errors.Is(err, driver.ErrNotFound) {
			t.Errorf("logs of %s: %v", id, err)
		}
	}
	// One that could not be started does not replace what the one before it printed.
	s := f.shell("r22", "")
	s.Command = []string{"/no/such/program"}
	if _, err := f.Start(f.ctx, s); err == nil {
		t.Error("it was started")
	}
	if got := f.logs("r22"); got != "r22\n" {
		t.Errorf("logs %q", got)
	}
}

// A supervisor that is told to end, as by systemd, takes its replica with it and leaves word.
func TestSupervisorToldToEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.shell("web", `trap 'echo bye; exit 0' TERM; echo $$ > pid; while :; do sleep 0.01; done`)
	s.Restart = true
	f.start(s)
	child := f.pid("pid")
	r := f.record("web")
	if err := r.Supervisor.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.eventually("the supervisor's end", func() bool { return !r.Supervisor.Alive() })
	if child.Alive() || !strings.HasSuffix(f.logs("web"), "bye\n") {
		t.Errorf("the child was not asked to end: logs %q", f.logs("web"))
	}
	if st := f.status("web"); st.Phase != driver.Exited || st.Reason != "its supervisor was told to end" {
		t.Errorf("status %+v", st)
	}
}

func TestNoSupervisor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		argv []string
		says string
	}{
		"missing":   {[]string{"/no/such/greenroom", "supervise"}, "/no/such/greenroom"},
		"fails":     {[]string{"/bin/sh", "-c", "echo unknown command >&2; exit 2", "sh"}, "exit code 2 unknown command"},
		"says junk": {[]string{"/bin/echo", "hello"}, "exit code 0"},
	} {
		d, err := process.New(process.Options{Dir: t.TempDir(), Supervise: c.argv})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Start(context.Background(), driver.Spec{ID: "web", Command: []string{"true"}, Dir: "/"})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.says)
		}
	}
	if _, err := process.New(process.Options{Dir: t.TempDir()}); err == nil {
		t.Error("a driver without a command for supervisors was made")
	}
}

// Start that is given up leaves either nothing or a replica that can be stopped.
func TestStartGivenUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := f.Start(ctx, f.shell("web", "exec sleep 600")); !errors.Is(err, context.Canceled) {
		t.Errorf("start: %v", err)
	}
	f.stop("web")
	if _, err := f.Status(f.ctx, "web"); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("status: %v", err)
	}
}

// A full disk loses output, and nothing else.
func TestLogsOnAFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skipf("no full disk to write to: %v", err)
	}
	f := newFixture(t)
	logs := filepath.Join(f.dir, "web", "log")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", filepath.Join(logs, "00000001.log")); err != nil {
		t.Fatal(err)
	}
	s := f.shell("web", `head -c 4000000 /dev/zero; echo done > printed; exec sleep 600`)
	f.start(s)
	f.file("printed") // it was not held up
	if st := f.status("web"); st.Phase != driver.Healthy {
		t.Errorf("status %+v", st)
	}
}
