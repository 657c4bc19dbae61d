package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/command"
	"greenroom/internal/driver/drivertest"
	"greenroom/internal/human"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// release is the digest of what these tests deploy, and other that of what they don't.
const (
	release = "sha256:aaaaaaaaaaaa0000000000000000000000000000000000000000000000000000"
	other   = "bbbbbbbbbbbb"
)

// team is a driver, and a folder in which scripts deploy.
type team struct {
	testing.TB
	*command.Driver
	ctx context.Context
	dir string // the driver's
	tmp string // the scripts'
}

func newTeam(t testing.TB) *team {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	f := &team{TB: t, ctx: ctx, dir: t.TempDir(), tmp: t.TempDir()}
	f.Driver = open(t, f.dir)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		all, err := f.List(ctx, driver.Filter{})
		if err != nil {
			t.Error(err)
		}
		for _, st := range all {
			if err := f.Forget(ctx, st.ID); err != nil {
				t.Error(err)
			}
		}
	})
	return f
}

// spec is a deploy by these lines of shell, which run in the team's folder.
func (f *team) spec(deploy, status string) driver.Spec {
	return driver.Spec{
		ID: "shop.qa.deploy", App: "shop", Environment: "qa", Service: "deploy", Release: release,
		Command: proc.Shell(deploy), Dir: f.tmp, Env: map[string]string{"PATH": os.Getenv("PATH")},
		Health: app.Health{Command: proc.Shell(status), Interval: 20 * time.Millisecond, Timeout: time.Minute, Start: time.Minute},
		Stop:   app.Stop{Grace: 2 * time.Second}, Deploy: &driver.Deploy{},
	}
}

func (f *team) start(s driver.Spec) driver.Status {
	f.Helper()
	st, err := f.Start(f.ctx, s)
	if err != nil {
		f.Fatal(err)
	}
	return st
}

func (f *team) live(s driver.Spec) driver.Status {
	f.Helper()
	f.start(s)
	st, err := f.Wait(f.ctx, s.ID)
	if err != nil {
		f.Fatal(err)
	}
	return st
}

// fails wants that a deploy does not become live, and that all these words are said of it, in which %s is the span. That is one of
// the spec's times: on a busy machine a short one is over before anything was said, and then it gets more.
func (f *team) fails(s *driver.Spec, span *time.Duration, words ...string) driver.Status {
	f.Helper()
	for {
		f.start(*s)
		st, err := f.Wait(f.ctx, s.ID)
		p := problem.From(err)
		if p == nil || p.Code != problem.Fail {
			f.Fatalf("wait gave %+v, %v; want that it failed", st, err)
		}
		lacks := func(w string) bool {
			return !strings.Contains(p.Message, strings.ReplaceAll(w, "%s", human.Duration(*span)))
		}
		i := slices.IndexFunc(words, lacks)
		if i >= 0 && *span < 30*time.Second {
			if err := f.Forget(f.ctx, s.ID); err != nil {
				f.Fatal(err)
			}
			*span *= 4
			continue
		}
		if i >= 0 {
			f.Errorf("it is not said %q:\n%s", words[i], p.Message)
		}
		return st
	}
}

func (f *team) file(name string) string { return filepath.Join(f.tmp, name) }

func (f *team) has(name string) bool {
	_, err := os.Stat(f.file(name))
	return err == nil
}

func (f *team) await(what string, ok func() bool) {
	f.Helper()
	for !ok() {
		select {
		case <-f.ctx.Done():
			f.Fatalf("%s: it did not come about", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// process is the one whose number a script wrote into a file.
func (f *team) process(name string) proc.Identity {
	f.Helper()
	var id proc.Identity
	f.await(name, func() bool {
		text, err := os.ReadFile(f.file(name))
		var pid int
		if _, scanned := fmt.Sscan(string(text), &pid); err != nil || scanned != nil {
			return false
		}
		id, err = proc.Identify(pid)
		return err == nil
	})
	f.Cleanup(func() { _ = id.Signal(syscall.SIGKILL) })
	return id
}

const yes = "exit 0"

func TestFaultsOfTheDeployCommand(t *testing.T) {
	for name, c := range map[string]struct {
		deploy, status string
		code           int
		says           []string
	}{
		"fails": {"echo no room; exit 3", "echo nobody; exit 1", 3,
			[]string{"exit code 3 (no room)", "it is not live: status command: exit code 1: nobody"}},
		"fails and is live": {"exit 3", yes, 3, []string{"exit code 3", "asked all the same, its status is that it is live"}},
		"dies":              {"kill -9 $$", "exit 1", -1, []string{"ended by signal 9", "it is not live"}},
		"hangs": {"sleep 600 & echo $! >child; echo waiting for the lock; wait", "exit 1", -1,
			[]string{"did not end within %s, and was ended (waiting for the lock)", "it is not live"}},
		"hangs deafly":            {"trap '' TERM; while :; do sleep 1; done", "exit 1", -1, []string{"did not end within %s"}},
		"fails, and nobody knows": {"exit 3", "sleep 600", 3, []string{"what is live is not known: the status command did not end within 500 ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTeam(t)
			s := f.spec(c.deploy, c.status)
			s.Stop.Grace, s.Deploy.Timeout, s.Health.Timeout = 200*time.Millisecond, time.Second, time.Minute
			if !strings.HasPrefix(name, "hangs") {
				s.Deploy.Timeout = time.Minute
			}
			if c.status == "sleep 600" {
				s.Health.Timeout = 500 * time.Millisecond
			}
			st := f.fails(&s, &s.Deploy.Timeout, c.says...)
			if st.Phase != driver.Exited || st.ExitCode != c.code || st.Lost {
				t.Errorf("status %+v, want that it ended with code %d", st, c.code)
			}
			if strings.Contains(c.deploy, "child") {
				text, err := os.ReadFile(f.file("child"))
				var pid int
				if _, scanned := fmt.Sscan(string(text), &pid); err != nil || scanned != nil {
					t.Fatal(err, scanned)
				}
				if _, err := proc.Identify(pid); !errors.Is(err, proc.ErrGone) {
					t.Errorf("the child of a command whose time was over: %v, want that it is gone", err)
				}
			}
		})
	}
}

func TestFaultsOfTheStatusCommand(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		says   []string
	}{
		"another release":                    {"echo release " + other, []string{"names another release as live: " + other}},
		"another release, and a warning":     {"echo release " + other + "; echo 'the client is old' >&2", []string{"names another release as live: " + other}},
		"another release, on standard error": {"echo release " + other + " >&2", []string{"names another release as live: " + other}},
		"another release, after much":        {"printf '%01000d ' 0; echo " + other, []string{"names another release as live: " + other}},
		"no":                                 {"echo 'down for repair'; exit 1", []string{"status command: exit code 1: down for repair"}},
		"hangs":                              {"sleep 600", []string{"no answer within 300 ms"}},
		"without end":                        {"yes " + other, []string{"no answer within 300 ms"}},
		"no program":                         {"/no/such/program", []string{"exit code 127"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTeam(t)
			s := f.spec(yes, c.status)
			hung := strings.Contains(c.says[0], "no answer")
			s.Health.Timeout, s.Health.Start = time.Minute, time.Second
			if hung {
				s.Health.Timeout = 300 * time.Millisecond
			}
			st := f.fails(&s, &s.Health.Start, append(c.says, "not live %s after its deploy command")...)
			if st.Answered == hung {
				t.Errorf("it answered: %v, want %v", st.Answered, !hung)
			}
		})
	}
}

// What a command deployed stays when its replica is forgotten, also in the command's own group, as a bare & leaves it there.
func TestWhatIsDeployedStays(t *testing.T) {
	f := newTeam(t)
	s := f.spec("sleep 600 >server.log 2>&1 & echo $! >server", "kill -0 $(cat server) && echo $GREENROOM_RELEASE")
	s.Env["GREENROOM_RELEASE"] = "aaaaaaaaaaaa"
	st := f.live(s)
	server := f.process("server")
	f.await("the release is found", func() bool {
		st, err := f.Status(f.ctx, st.ID)
		return err == nil && st.Found == "aaaaaaaaaaaa"
	})
	if err := f.Forget(f.ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Status(f.ctx, s.ID); !errors.Is(err, driver.ErrNotFound) || !server.Alive() {
		t.Errorf("after it was forgotten: %v, the server alive: %v", err, server.Alive())
	}

	s.Command, s.Deploy.Stop = nil, proc.Shell("kill $(cat server)") // only asked after, and then taken away
	f.live(s)
	if err := f.Stop(f.ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	f.await("the server is gone", func() bool { return !server.Alive() })
}

// A supervisor that is killed after the deploy leaves the server alone, and says that it knows nothing; so does one that is
// cleaned up after.
func TestTheSupervisorDiesAfterwards(t *testing.T) {
	f := newTeam(t)
	s := f.spec("sleep 600 >server.log 2>&1 & echo $! >server; echo x >>deploys", "kill -0 $(cat server)")
	st := f.live(s)
	server := f.process("server")
	kill(t, st.PID)
	f.await("it is known as lost", func() bool {
		st, err := f.Status(f.ctx, s.ID)
		return err == nil && st.Phase == driver.Exited && st.Lost
	})
	s.Command = nil
	f.live(s)
	if text, err := os.ReadFile(f.file("deploys")); err != nil || string(text) != "x\n" || !server.Alive() {
		t.Errorf("it was deployed %q, %v; the server alive: %v", text, err, server.Alive())
	}
}

// A supervisor that is killed during the deploy leaves a command that may go on: whoever starts it anew ends that first.
func TestTheSupervisorDiesMeanwhile(t *testing.T) {
	f := newTeam(t)
	s := f.spec("echo x >>deploys; sleep 600 & echo $! >child; [ $(wc -l <deploys) = 2 ] || wait", yes)
	st := f.start(s)
	child := f.process("child")
	kill(t, st.PID)
	f.await("it is known as lost", func() bool {
		st, err := f.Status(f.ctx, s.ID)
		return err == nil && st.Lost
	})
	if err := os.Remove(f.file("child")); err != nil {
		t.Fatal(err)
	}
	f.live(s)
	if child.Alive() {
		t.Error("what the first command had started goes on beside the second")
	}
	f.process("child") // to be ended
}

func kill(t *testing.T, pid int) {
	t.Helper()
	id, err := proc.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// Another driver over the same folder, as a control plane that was killed has it, finds a deploy under way and waits for it.
func TestADeployIsFoundAgain(t *testing.T) {
	f := newTeam(t)
	s := f.spec("echo x >>deploys; until [ -e go ]; do sleep 0.01; done", yes)
	f.start(s)
	f.Driver = open(t, f.dir)
	f.start(s)
	if err := os.WriteFile(f.file("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Wait(f.ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(f.file("deploys")); err != nil || string(text) != "x\n" {
		t.Errorf("it was deployed %q, %v; want once", text, err)
	}
}

// A stop command that fails is told of, and asking again runs it again.
func TestTheStopCommandFails(t *testing.T) {
	f := newTeam(t)
	s := f.spec(yes, yes)
	s.Secrets, s.Env["TOKEN"] = []string{"hunter22-correct-horse"}, "hunter22-correct-horse"
	s.Deploy.Stop = proc.Shell("echo no right with $TOKEN; exit 9")
	f.live(s)
	err := f.Stop(f.ctx, s.ID)
	p := problem.From(err)
	if p == nil || p.Code != problem.Fail || !strings.Contains(p.Message, "its stop command failed: exit code 9: no right with ***") {
		t.Fatalf("stop gave %v", err)
	}
	st, err := f.Status(f.ctx, s.ID)
	if err != nil || st.Phase != driver.Exited || !strings.Contains(st.Reason, "not known to be gone") {
		t.Errorf("then it is %+v, %v", st, err)
	}
}

// What cuts a long line leaves no half of a secret.
func TestSecretsInTheMidstOfMuch(t *testing.T) {
	const secret = "hunter22-correct-horse"
	f := newTeam(t)
	s := f.spec(yes, `printf %s "$TOKEN"; printf %04085d 0; exit 1`)
	s.Secrets, s.Env["TOKEN"] = []string{secret}, secret
	s.Health.Start = time.Second
	s.Deploy.Stop = s.Health.Command
	st := f.fails(&s, &s.Health.Start, "exit code 1")
	err := f.Stop(f.ctx, s.ID)
	for _, said := range []string{st.Reason, fmt.Sprint(err)} {
		if strings.Contains(said, "horse") || !strings.Contains(said, "000") {
			t.Errorf("it is said %q", said)
		}
	}
}

// A command that takes its time to clean up gets it, also when that is longer than a supervisor's answer may take; then the
// stop command has its turn.
func TestTheCommandCleansUp(t *testing.T) {
	t.Parallel()
	f := newTeam(t)
	s := f.spec("trap 'sleep 6; echo x >cleaned; exit 1' TERM; echo x >waits; while :; do sleep 0.01; done", "exit 1")
	s.Stop.Grace, s.Deploy.Stop = 20*time.Second, proc.Shell("echo x >stopped")
	f.start(s)
	f.await("the command waits", func() bool { return f.has("waits") })
	if err := f.Stop(f.ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	if !f.has("cleaned") || !f.has("stopped") {
		t.Errorf("it cleaned up: %v; the stop command was run: %v", f.has("cleaned"), f.has("stopped"))
	}
}

// A command that is under way is ended when its replica is.
func TestStoppedMeanwhile(t *testing.T) {
	f := newTeam(t)
	s := f.spec("sleep 600 & echo $! >child; wait", yes)
	f.start(s)
	child := f.process("child")
	if err := f.Forget(f.ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	if child.Alive() {
		t.Error("the command's child goes on")
	}
}

// Secrets stand nowhere, whoever prints them: the deploy command, one that is too long for a line, or the status command.
func TestSecretsArePrinted(t *testing.T) {
	const secret = "hunter22-correct-horse"
	f := newTeam(t)
	s := f.spec("echo token $TOKEN; echo $TOKEN >&2; exit 4", "echo $TOKEN; exit 1")
	s.Secrets, s.Env["TOKEN"] = []string{secret}, secret
	f.fails(&s, &s.Health.Start, "exit code 4 (***)", "status command: exit code 1: ***")
	var out bytes.Buffer
	if err := f.Logs(f.ctx, s.ID, driver.LogOptions{}, &out); err != nil || out.String() != "token ***\n***\n" {
		t.Errorf("it printed %q, %v", out.String(), err)
	}
	drivertest.WantNowhere(t, f.dir, secret)
}

func TestBadSpecs(t *testing.T) {
	f := newTeam(t)
	for says, spoil := range map[string]func(*driver.Spec){
		"nothing says how it is deployed": func(s *driver.Spec) { s.Deploy = nil },
		"it is a container":               func(s *driver.Spec) { s.Container = &driver.Container{} },
		"by a status command":             func(s *driver.Spec) { s.Health.Command = nil },
		"not started again by itself":     func(s *driver.Spec) { s.Restart = true },
		"can't be negative":               func(s *driver.Spec) { s.Deploy.Timeout = -time.Second },
		"it has no command":               func(s *driver.Spec) { s.Command = []string{""} },
	} {
		s := f.spec(yes, yes)
		spoil(&s)
		_, err := f.Start(f.ctx, s)
		if p := problem.From(err); p == nil || p.Code != problem.Invalid || !strings.Contains(p.Message, says) {
			t.Errorf("%v, want that it says %q", err, says)
		}
	}
}
