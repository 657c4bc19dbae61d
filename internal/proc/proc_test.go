package proc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/internal/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// path is an environment in which the usual programs are found.
var path = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}

func run(t *testing.T, line string) (proc.Exit, string) {
	t.Helper()
	var out bytes.Buffer
	exit, err := proc.Run(t.Context(), proc.Command{Argv: proc.Shell(line), Env: path, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	return exit, out.String()
}

func TestRun(t *testing.T) {
	for line, want := range map[string]string{
		"echo out; echo err >&2": "exit code 0, out\nerr\n",
		"exit 3":                 "exit code 3, ",
		"echo so; kill -9 $$":    "ended by signal 9 (killed), so\n",
		"kill -15 $$":            "ended by signal 15 (terminated), ",
	} {
		exit, out := run(t, line)
		if got := exit.String() + ", " + out; got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
		if exit.OK() != strings.HasPrefix(want, "exit code 0") {
			t.Errorf("%s: OK is %v", line, exit.OK())
		}
		if exit.Signal != 0 && exit.Code != -1 {
			t.Errorf("%s: code %d after a signal", line, exit.Code)
		}
	}
}

func TestNothingIsInherited(t *testing.T) {
	t.Setenv("PLANTED", "secret")
	for _, env := range [][]string{nil, {"A=1", "B=x y"}} {
		var out bytes.Buffer
		exit, err := proc.Run(t.Context(), proc.Command{Argv: []string{"/usr/bin/env"}, Env: env, Stdout: &out})
		if err != nil || !exit.OK() {
			t.Fatal(exit, err)
		}
		if got := strings.Fields(out.String()); strings.Join(got, " ") != strings.Join(env, " ") {
			t.Errorf("the environment is %q, want %q", got, env)
		}
	}
}

func TestStdinAndFolder(t *testing.T) {
	var out bytes.Buffer
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = proc.Run(t.Context(), proc.Command{
		Argv: proc.Shell("pwd; cat"), Env: path, Dir: dir, Stdin: strings.NewReader("input"), Stdout: &out,
	})
	if err != nil || out.String() != dir+"\ninput" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command proc.Command
		want    error
	}{
		"nothing":             {proc.Command{}, nil},
		"missing":             {proc.Command{Argv: []string{"/no/such/program"}}, fs.ErrNotExist},
		"not in PATH":         {proc.Command{Argv: []string{"sh"}, Env: []string{"PATH=" + dir}}, exec.ErrNotFound},
		"not executable":      {proc.Command{Argv: []string{"text"}, Env: []string{"PATH=" + dir}}, fs.ErrPermission},
		"relative PATH":       {proc.Command{Argv: []string{"sh"}, Env: []string{"PATH=bin:."}, Dir: "/"}, exec.ErrNotFound},
		"missing folder":      {proc.Command{Argv: []string{"/bin/sh"}, Dir: filepath.Join(dir, "away")}, fs.ErrNotExist},
		"unknown system user": {proc.Command{Argv: []string{"/bin/sh"}, User: "no-such-user"}, user.UnknownUserError("no-such-user")},
	} {
		_, err := proc.Run(t.Context(), c.command)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
}

// A program is looked for where the child will look, not where this process does.
func TestProgramIsFoundInTheChildsPATH(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "only-there"), []byte("#!/bin/sh\necho $0"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	for _, env := range [][]string{{"PATH=/nowhere", "PATH=/bin:" + dir}, nil} {
		var out bytes.Buffer
		_, err := proc.Run(t.Context(), proc.Command{Argv: []string{"only-there"}, Env: env, Stdout: &out})
		if err != nil || !strings.Contains(out.String(), "only-there") {
			t.Errorf("with %q: %q, %v", env, out.String(), err)
		}
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run a child as another user")
	}
	var out bytes.Buffer
	exit, err := proc.Run(t.Context(), proc.Command{Argv: proc.Shell("id -un; id -G"), Env: path, Dir: "/", User: "nobody", Stdout: &out})
	if err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	// Only the user's own group: none of root's may be left.
	if got := strings.Split(out.String(), "\n"); got[0] != "nobody" || strings.Contains(got[1], " ") || got[1] == "0" {
		t.Errorf("it ran as %q", out.String())
	}
}

// What an administrator put a user into counts where that is asked for, and nowhere else.
func TestGroupsOfAUser(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root on Linux can make a user for this")
	}
	name := fmt.Sprintf("gr-test-%d", os.Getpid())
	run := func(argv ...string) {
		t.Helper()
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", argv, err, out)
		}
	}
	run("useradd", "--system", "--no-create-home", name)
	t.Cleanup(func() { run("userdel", name) })
	run("groupadd", "--system", name+"-more")
	t.Cleanup(func() { run("groupdel", name+"-more") })
	run("usermod", "--append", "--groups", name+"-more", name)
	for _, groups := range []bool{false, true} {
		var out bytes.Buffer
		exit, err := proc.Run(t.Context(), proc.Command{Argv: proc.Shell("id -Gn"), Env: path, Dir: "/", User: name, Groups: groups, Stdout: &out})
		if err != nil || !exit.OK() {
			t.Fatal(exit, err)
		}
		got := strings.Fields(out.String())
		if !slices.Contains(got, name) || slices.Contains(got, name+"-more") != groups || slices.Contains(got, "root") {
			t.Errorf("with its groups: %v; it ran in %q", groups, got)
		}
	}
}

// written waits until a child has written a whole line into a file, and gives it.
func written(t *testing.T, name string) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if b, err := os.ReadFile(name); err == nil && bytes.HasSuffix(b, []byte("\n")) {
			return strings.TrimSpace(string(b))
		}
		<-time.After(2 * time.Millisecond)
	}
	t.Fatalf("%s was not written", name)
	return ""
}

func identify(t *testing.T, pid string) proc.Identity {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	id, err := proc.Identify(n)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// gone waits for the end of a process that was killed and is not ours to reap.
func gone(t *testing.T, id proc.Identity) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); id.Alive(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("process %d still runs", id.PID)
			return
		}
	}
}

func TestCancelEndsTheGroup(t *testing.T) {
	for name, c := range map[string]struct {
		line  string
		grace time.Duration
		want  string
	}{
		"asks first":    {`trap 'echo bye; exit 5' TERM; %s while :; do sleep 0.01; done`, time.Minute, "exit code 5, bye\n"},
		"kills at last": {`trap '' TERM; %s while :; do sleep 0.01; done`, 300 * time.Millisecond, "ended by signal 9 (killed), "},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			// The grandchild ignores the question, and holds the output open.
			line := fmt.Sprintf(c.line, "(trap '' TERM; sh -c 'echo $PPID' > "+file+"; while :; do sleep 0.01; done) &")
			var out bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			type result struct {
				exit proc.Exit
				err  error
			}
			done := make(chan result)
			go func() {
				exit, err := proc.Run(ctx, proc.Command{Argv: proc.Shell(line), Env: path, Stdout: &out, Grace: c.grace})
				done <- result{exit, err}
			}()
			grandchild := identify(t, written(t, file))
			cancel()
			r := <-done
			if !errors.Is(r.err, context.Canceled) {
				t.Errorf("error %v, want the context's", r.err)
			}
			if got := r.exit.String() + ", " + out.String(); got != c.want && !strings.HasSuffix(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			gone(t, grandchild)
		})
	}
}

func TestCancelledBeforeItStarts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "ran")
	_, err := proc.Run(ctx, proc.Command{Argv: proc.Shell("touch " + file), Env: path})
	if _, e := os.Stat(file); !errors.Is(err, context.Canceled) || !errors.Is(e, fs.ErrNotExist) {
		t.Errorf("error %v, and the file: %v", err, e)
	}
}

// A child that ends and leaves a grandchild which holds the output open: Run does not wait for it, and kills it.
func TestNothingIsLeftBehind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	exit, out := run(t, "(trap '' TERM HUP; sh -c 'echo $PPID' > "+file+"; exec sleep 600) & while ! test -s "+file+"; do :; done; echo done; exit 4")
	if exit.Code != 4 || out != "done\n" {
		t.Errorf("%s, %q", exit, out)
	}
	pid := written(t, file)
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := proc.Identify(n); err == nil {
		gone(t, id)
	}
}

// One that made a session of its own and holds the output open must not make Run hang.
func TestEscapedHolderOfTheOutput(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skipf("it needs setsid: %v", err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	exit, out := run(t, "setsid sh -c 'echo $$ > "+file+"; exec sleep 600' & while ! test -s "+file+"; do :; done; echo done")
	if !exit.OK() || out != "done\n" {
		t.Errorf("%s, %q", exit, out)
	}
	escaped := identify(t, written(t, file))
	if err := escaped.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(t, escaped)
}

func start(t *testing.T, env ...string) (*exec.Cmd, proc.Identity) {
	t.Helper()
	cmd, err := proc.Command{Argv: []string{"/bin/sleep", "600"}, Env: env}.Cmd()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	id, err := proc.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, id
}

func TestIdentity(t *testing.T) {
	self, err := proc.Self()
	if err != nil || !self.Alive() || self.PID != os.Getpid() || self.Boot == "" || self.Start == "" {
		t.Fatalf("this process is %+v, %v", self, err)
	}
	cmd, id := start(t)
	reused, elsewhen := id, id
	reused.Start, elsewhen.Boot = id.Start+"0", "another"
	for name, other := range map[string]proc.Identity{"reused pid": reused, "other boot": elsewhen, "zero": {}, "negative": {PID: -1}} {
		if other.Alive() {
			t.Errorf("%s: it is said to be alive", name)
		}
		if err := other.Signal(syscall.SIGKILL); !errors.Is(err, proc.ErrGone) {
			t.Errorf("%s: signal gave %v, want that it is gone", name, err)
		}
	}
	if !id.Alive() {
		t.Fatal("an innocent process was killed")
	}
	if err := id.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := proc.AwaitEnd(id.PID); err != nil {
		t.Fatal(err)
	}
	zombie := func(when string) {
		t.Helper()
		if id.Alive() {
			t.Errorf("%s it is said to be alive", when)
		}
		if err := id.Signal(syscall.SIGTERM); !errors.Is(err, proc.ErrGone) {
			t.Errorf("%s signal gave %v, want that it is gone", when, err)
		}
	}
	zombie("as a zombie")
	_ = cmd.Wait() // it was killed
	zombie("reaped")
	if exit := proc.ExitOf(cmd.ProcessState); exit.Signal != syscall.SIGKILL || exit.Code != -1 {
		t.Errorf("it ended by %s", exit)
	}
	if exit := proc.ExitOf(nil); exit.OK() {
		t.Error("an unknown end is said to be a good one")
	}
}

func TestTable(t *testing.T) {
	cmd, id := start(t)
	table, err := proc.Table()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, p := range proc.Descendants(table, os.Getpid()) {
		if p.Identity == id {
			found = p.Parent == os.Getpid() && p.Group == cmd.Process.Pid && !p.Ended
		}
	}
	if !found {
		t.Error("a child is not among the descendants")
	}
}

func TestDescendants(t *testing.T) {
	row := func(pid, parent int) proc.Process {
		return proc.Process{Identity: proc.Identity{PID: pid}, Parent: parent}
	}
	// 7 and 8 are each other's parent: a table that was read while pids were used again.
	table := []proc.Process{row(1, 0), row(5, 3), row(2, 1), row(3, 2), row(4, 2), row(9, 1), row(7, 8), row(8, 7), row(2, 5)}
	for pid, want := range map[int]string{2: "[3 4 5]", 3: "[5 2 4]", 9: "[]", 7: "[8]", 42: "[]"} {
		got := []int{}
		for _, p := range proc.Descendants(table, pid) {
			got = append(got, p.PID)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("below %d: %v, want %s", pid, got, want)
		}
	}
}
