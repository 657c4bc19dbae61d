package daemon

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/account"
	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/data/postgres"
	"greenroom/internal/environment/addresstest"
	"greenroom/internal/home"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// patience bounds everything that a test waits for. Reaching it is a failure.
const patience = 3 * time.Minute

// house is one Greenroom: a state folder with its daemon, and the app in it.
type house struct {
	testing.TB
	dir       string // all of it; other users may pass through, as PostgreSQL's own has to
	home      home.Home
	control   string // the app's folder, see testdata/app
	failpoint string // the daemon's file, see hook
	engine    string // the address of the Docker Engine; "" for none
	postgres  string // where PostgreSQL's programs are; "" for wherever they are
	addresses int    // the first port of its environments' own addresses
	client    *api.Client
	process   *exec.Cmd  // the daemon, nil when it was killed
	ended     chan error // how the daemon ended
	dies      string     // at which point, see dieAt
	made      map[release.Digest]app.Contents
}

// addressesFor finds the addresses of a house, which they are until its test ends or the process does.
func addressesFor(t testing.TB) int {
	t.Helper()
	port, giveBack, err := addresstest.Take()
	must(t, err)
	t.Cleanup(func() { must(t, giveBack()) })
	return port
}

// newHouse starts a Greenroom on a folder of its own and ends it with the test, with everything that it made.
func newHouse(t testing.TB) *house {
	t.Helper()
	dir := newFolder(t)
	return newHouseIn(t, dir, filepath.Join(dir, "home"))
}

// newFolder is a folder through which PostgreSQL's own user can pass, unlike those of testing.
func newFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "grd-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func newHouseIn(t testing.TB, dir, state string, first ...func(*house)) *house {
	t.Helper()
	needPrograms(t)
	h := &house{TB: t, dir: dir, home: home.Home(state), control: filepath.Join(dir, "control"), failpoint: filepath.Join(dir, "failpoint"),
		postgres: built.postgres, addresses: addressesFor(t), made: map[release.Digest]app.Contents{}}
	must(t, errors.Join(os.MkdirAll(h.control, 0o755), os.Chmod(h.control, 0o777))) // the app's own user writes there
	t.Cleanup(func() {
		h.TB = t // not that of a part of the test, which is over
		h.close()
		must(t, account.New(h.home).Remove(context.WithoutCancel(t.Context())))
	})
	must(t, h.home.Make())
	for _, do := range first {
		do(h)
	}
	h.start()
	return h
}

// start starts the daemon and returns once it answers.
func (h *house) start() {
	h.Helper()
	must(h, h.home.Make())
	h.launch()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(h, awaitDaemon(ctx, h.home, "test", h.ended, func() string { return lastOf(h.home.Log(), 2000) }))
	c, err := api.Dial(ctx, h.home.Socket(), "test")
	must(h, err)
	h.client = c
}

// launch starts the daemon's process.
func (h *house) launch() {
	log, err := os.OpenFile(h.home.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(h, err)
	defer log.Close()
	cmd := exec.Command(built.greenroom, "--home", string(h.home), "daemon")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = h.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(h, cmd.Start())
	h.process, h.ended = cmd, make(chan error, 1)
	go func() { h.ended <- cmd.Wait() }()
}

// environment is that of every process of the house that may become its daemon.
func (h *house) environment() []string {
	env := append(os.Environ(), "GREENROOM_FAILPOINT="+h.failpoint, addresstest.Variable+"="+strconv.Itoa(h.addresses), "DOCKER_HOST="+h.engine)
	if h.postgres != "" {
		env = append(env, postgres.Folders+"="+h.postgres)
	}
	return env
}

// greenroom runs a command of the program, and returns its exit code and all that it printed.
func (h *house) greenroom(args ...string) (code int, out string) {
	h.Helper()
	cmd := exec.Command(built.greenroom, append([]string{"--home", string(h.home)}, args...)...)
	cmd.Dir, cmd.Env = "/", h.environment()
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// killDaemon ends the daemon as the kernel would.
func (h *house) killDaemon() {
	h.Helper()
	must(h, h.process.Process.Kill())
	h.awaitDeath()
}

// awaitDeath returns when the daemon has been killed.
func (h *house) awaitDeath() {
	h.Helper()
	select {
	case err := <-h.ended:
		h.client.Close()
		h.process, h.dies = nil, ""
		if err == nil || err.Error() != "signal: killed" {
			h.Fatalf("the daemon was to be killed, and ended by itself: %v", err)
		}
	case <-time.After(patience):
		h.Fatal("the daemon lives")
	}
}

// dieAt has the daemon kill itself at a point.
func (h *house) dieAt(point string) {
	h.Helper()
	h.dies = point
	must(h, os.WriteFile(h.failpoint, []byte(point), 0o600))
}

// tell changes how a version of the app behaves; "" lets it behave.
func (h *house) tell(what, version, value string) {
	h.Helper()
	file := filepath.Join(h.control, what+"-"+version)
	if value == "" {
		must(h, errors.Join(os.RemoveAll(file)))
		return
	}
	must(h, os.WriteFile(file, []byte(value), 0o644))
}

// close ends everything, and fails the test when something is left.
func (h *house) close() {
	if h.Failed() {
		h.Logf("daemon.log:\n%s", lastOf(h.home.Log(), 8000))
	}
	h.end()
	left := h.processes()
	for deadline := time.Now().Add(time.Minute); len(left) > 0 && time.Now().Before(deadline); left = h.processes() {
		time.Sleep(20 * time.Millisecond)
	}
	for _, p := range left {
		h.Errorf("left behind: process %d, %s", p.PID, commandLine(p.PID))
		_ = p.Signal(syscall.SIGKILL)
	}
}

func (h *house) end() {
	switch {
	case h.client == nil:
		return // it never answered
	case h.process == nil:
		h.start()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	events, err := h.client.Down(ctx, api.EnvironmentsRequest{Everything: true})
	if err == nil {
		_, err = drain(events)
	}
	if err = errors.Join(err, h.client.Shutdown(ctx)); err != nil && !h.Failed() {
		h.Error(err)
	}
	h.client.Close()
	select {
	case err := <-h.ended:
		if err != nil {
			h.Errorf("the daemon ended: %v", err)
		}
	case <-ctx.Done():
		h.Error("the daemon does not end")
	}
}

// processes are all that run and name the house's folder: in their command, or in their environment.
func (h *house) processes() []proc.Identity {
	table, err := proc.Table()
	must(h, err)
	var all []proc.Identity
	for _, p := range table {
		if p.PID != os.Getpid() && !p.Ended && strings.Contains(commandOf(p.PID)+"\x00"+environmentOf(p.PID), h.dir+"/") {
			all = append(all, p.Identity)
		}
	}
	return all
}

func commandOf(pid int) string     { return procFile(pid, "cmdline") }
func environmentOf(pid int) string { return procFile(pid, "environ") }

// commandLine is a process's command as a person types it.
func commandLine(pid int) string { return strings.ReplaceAll(commandOf(pid), "\x00", " ") }

// procFile is "" where the process is gone.
func procFile(pid int, name string) string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		return ""
	}
	return string(b)
}

// promote starts a promotion to production and returns how it ended.
func (h *house) promote(r release.Digest) api.RunView {
	h.Helper()
	return h.await(h.begin(r).ID)
}

// begin starts a promotion to production.
func (h *house) begin(r release.Digest) api.RunView {
	h.Helper()
	return h.ask(toProduction(r))
}

// ask starts a run. A control plane that is to die as the run begins may do so before it has answered: then the run has no id
// here, and recall has it.
func (h *house) ask(r api.RunRequest) api.RunView {
	h.Helper()
	begun, err := h.client.Start(h.ctx(), r)
	if errors.Is(err, api.ErrLost) && h.dies != "" {
		return api.RunView{}
	}
	must(h, err)
	return begun
}

// recall is the run with its id, which is that of the last run that was begun where nobody was told.
func (h *house) recall(begun api.RunView) api.RunView {
	h.Helper()
	if begun.ID != "" {
		return begun
	}
	entries := h.history()
	last := slices.IndexFunc(entries, func(e api.HistoryEntry) bool { return e.Run != "" })
	if last < 0 {
		h.Fatal("the run that died as it began is not known")
	}
	v, err := h.client.Run(h.ctx(), entries[last].Run)
	must(h, err)
	return v
}

func toProduction(r release.Digest) api.RunRequest {
	return api.RunRequest{Kind: plan.Promotion, App: appUnderTest, Release: string(r), Environment: "production", Because: "a test"}
}

// await returns when the run has ended.
func (h *house) await(id string) api.RunView {
	h.Helper()
	return h.follow(id, func(api.Event) bool { return true })
}

// follow reads a run's events until it has ended or each says that it is enough, and returns how it stands.
func (h *house) follow(id string, each func(api.Event) (goOn bool)) api.RunView {
	h.Helper()
	ctx := h.ctx()
	events, err := h.client.Events(ctx, id, 0)
	must(h, err)
	for e, err := range events {
		must(h, err)
		if !each(e) {
			break
		}
	}
	run, err := h.client.Run(ctx, id)
	must(h, err)
	return run
}

// awaitStep returns when a step of the run has begun.
func (h *house) awaitStep(id, step string) {
	h.Helper()
	run := h.follow(id, func(e api.Event) bool { return e.Step != step || e.State != plan.Started })
	if !slices.ContainsFunc(run.Journal, func(e plan.Entry) bool { return e.Step == step }) {
		h.Fatalf("the run ended before its step %s: %s, %s", step, run.Outcome, run.Reason)
	}
}

// wantOutcome fails the test when a run ended otherwise, and returns the run.
func (h *house) wantOutcome(run api.RunView, want plan.Outcome, reasons ...string) api.RunView {
	h.Helper()
	if run.Outcome != want {
		h.Fatalf("%s: %s (%s), want %s", run.ID, run.Outcome, run.Reason, want)
	}
	for _, r := range reasons {
		if !strings.Contains(run.Reason, r) {
			h.Fatalf("%s ended because\n%s\nand says nothing of %q", run.ID, run.Reason, r)
		}
	}
	return run
}

// status is how production stands.
func (h *house) status() api.EnvironmentStatus {
	h.Helper()
	v, err := h.client.Status(h.ctx(), appUnderTest)
	must(h, err)
	for _, e := range v.Apps[0].Environments {
		if e.Name == "production" {
			return e
		}
	}
	h.Fatal("there is no production")
	return api.EnvironmentStatus{}
}

// eventually polls until what is asked for holds; why says what is still wrong.
func (h *house) eventually(what string, why func() string) {
	h.Helper()
	deadline := time.Now().Add(patience / 2)
	for {
		wrong := why()
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("%s: %s", what, wrong)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ctx ends when the test has taken far too long.
func (h *house) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	h.Cleanup(cancel)
	return ctx
}

// drain reads a stream to its end.
func drain[T any](s api.Stream[T]) (all []T, err error) {
	for v, err := range s {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// wantProblem fails the test when err is no problem of this code, or says nothing of the words.
func wantProblem(t testing.TB, err error, code problem.Code, words ...string) {
	t.Helper()
	p := problem.From(err)
	if p == nil || p.Code != code {
		t.Fatalf("got %v, want a problem of code %s", err, code)
	}
	for _, w := range words {
		if !strings.Contains(p.Message+" "+p.Hint, w) {
			t.Fatalf("%q (%q) says nothing of %q", p.Message, p.Hint, w)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
