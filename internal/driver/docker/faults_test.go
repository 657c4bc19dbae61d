package docker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/problem"
)

// fixture is a driver over an Engine, the application's image in it, and a folder that the application sees.
type fixture struct {
	testing.TB
	*docker.Driver
	ctx      context.Context
	engine   *dockertest.Engine
	stranger *client.Client // who does with the Engine what he likes
	image    string
	tmp      string
}

func newFixture(t testing.TB, e *dockertest.Engine) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	f := &fixture{TB: t, ctx: ctx, engine: e, Driver: openOn(t, e, t.Name()), tmp: t.TempDir()}
	var err error
	if f.stranger, err = client.New(client.WithHost(e.Host)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.stranger.Close() })
	f.image = loaded(t, e, f.Driver)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, env := range []string{"qa", "staging"} {
			if err := f.Remove(ctx, "shop", env, true); err != nil {
				t.Error(err)
			}
		}
	})
	return f
}

// spec is a container that does these words.
func (f *fixture) spec(id string, words ...string) driver.Spec {
	return driver.Spec{
		ID: id, App: "shop", Environment: "qa", Service: "web", Release: "sha256:1", Dir: "/",
		Command:   append([]string{"/app", "drivertest-app"}, words...),
		Stop:      app.Stop{Signal: "SIGTERM", Grace: 5 * time.Second},
		Container: &driver.Container{Image: f.image, Init: true, Mounts: []driver.Mount{{Path: f.tmp, Target: f.tmp}}},
	}
}

func (f *fixture) file(name string) string { return filepath.Join(f.tmp, name) }

func (f *fixture) touch(name string) {
	f.Helper()
	if err := os.WriteFile(f.file(name), nil, 0o600); err != nil {
		f.Fatal(err)
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

func (f *fixture) startAndWait(s driver.Spec) driver.Status {
	f.Helper()
	f.start(s)
	st, err := f.Wait(f.ctx, s.ID)
	if err != nil {
		f.Fatal(err)
	}
	return st
}

func (f *fixture) status(id string) driver.Status {
	f.Helper()
	st, err := f.Status(f.ctx, id)
	if err != nil {
		f.Fatal(err)
	}
	return st
}

func (f *fixture) until(what string, ok func() bool) {
	f.Helper()
	for !ok() {
		if f.ctx.Err() != nil {
			f.Fatalf("%s: it did not come about", what)
		}
		time.Sleep(25 * time.Millisecond)
	}
}

func (f *fixture) logs(id string) string {
	f.Helper()
	var b bytes.Buffer
	if err := f.Logs(f.ctx, id, driver.LogOptions{}, &b); err != nil {
		f.Fatal(err)
	}
	return b.String()
}

// wantProblem wants a problem of that code that says all these words.
func wantProblem(t testing.TB, err error, code problem.Code, words ...string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != code {
		t.Fatalf("error %v, want a problem of code %s", err, code)
	}
	for _, w := range words {
		if !strings.Contains(p.Message, w) {
			t.Errorf("the problem does not say %q: %s", w, p.Message)
		}
	}
	if p.Hint == "" {
		t.Errorf("the problem has no hint: %s", p.Message)
	}
}

// living is how many processes did live:FOLDER in the fixture's folder, and are still alive.
func (f *fixture) living() (n int) {
	f.Helper()
	entries, err := os.ReadDir(f.tmp)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		file, err := os.Open(f.file(e.Name()))
		if err != nil {
			f.Fatal(err)
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil {
			n++
		}
		_ = file.Close()
	}
	return n
}

// TestEngineDies kills the Engine in the midst of each method. Whoever waits is served when it is back.
func TestEngineDies(t *testing.T) {
	t.Parallel()
	e := dockertest.Start(t)
	f := newFixture(t, e)
	f.startAndWait(func() driver.Spec { s := f.spec("stays", "stay"); s.Restart = true; return s }())

	t.Run("Start", func(t *testing.T) {
		for _, after := range []time.Duration{0, 80 * time.Millisecond, 200 * time.Millisecond} {
			f.TB = t
			s := f.spec("started", "live:"+f.tmp, "stay")
			done := make(chan error, 1)
			go func() {
				_, err := f.Start(f.ctx, s)
				done <- err
			}()
			time.Sleep(after)
			e.Kill(t)
			e.Return(t)
			if err := <-done; err != nil {
				t.Fatalf("the start that was interrupted after %s: %v", after, err)
			}
			// What ran when the Engine died was ended by its return, unless it is to be started again.
			if st := f.start(s); st.Phase != driver.Healthy {
				t.Errorf("status %+v", st)
			}
			f.until("it runs", func() bool { return f.living() > 0 })
			if n := f.living(); n != 1 {
				t.Errorf("%d run after the start that was interrupted after %s, want one", n, after)
			}
			if err := f.Stop(f.ctx, "started"); err != nil {
				t.Error(err)
			}
			if n := f.living(); n != 0 {
				t.Errorf("%d run after the stop", n)
			}
		}
	})
	t.Run("Wait", func(t *testing.T) {
		f.TB = t
		s := f.spec("waits", "until:"+f.file("go"), "env:"+f.file("up"), "stay")
		s.Restart = true
		s.Health = app.Health{Command: []string{"/app", "drivertest-app", "has:" + f.file("up")}, Interval: 500 * time.Millisecond, Timeout: 5 * time.Second, Retries: 3, Start: time.Minute}
		f.start(s)
		done := make(chan error, 1)
		go func() {
			_, err := f.Wait(f.ctx, s.ID)
			done <- err
		}()
		f.until("asked", func() bool { return strings.Contains(f.status(s.ID).Reason, "exit code 1") })
		e.Kill(t)
		f.touch("go")
		e.Return(t)
		if err := <-done; err != nil {
			t.Errorf("the wait that was interrupted: %v", err)
		}
	})
	t.Run("Stop", func(t *testing.T) {
		f.TB = t
		s := f.spec("stops", "on-term:"+f.file("asked"), "env:"+f.file("listens"), "stay")
		s.Restart, s.Stop.Grace = true, 3*time.Second
		f.startAndWait(s)
		f.until("listening", func() bool { _, err := os.Stat(f.file("listens")); return err == nil })
		done := make(chan error, 1)
		go func() { done <- f.Stop(f.ctx, s.ID) }()
		f.until("asked to end", func() bool { _, err := os.Stat(f.file("asked")); return err == nil })
		e.Kill(t)
		e.Return(t)
		if err := <-done; err != nil {
			t.Errorf("the stop that was interrupted: %v", err)
		}
		if _, err := f.Status(f.ctx, s.ID); !errors.Is(err, driver.ErrNotFound) {
			t.Errorf("after the stop: %v", err)
		}
	})
	f.TB = t
	if st := f.status("stays"); st.Phase != driver.Healthy || st.PID == 0 {
		t.Errorf("the one with a restart policy does not run after all this: %+v", st)
	}
	e.Kill(t)
	ctx, cancel := context.WithTimeout(f.ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := f.List(ctx, driver.Filter{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a list without an Engine, cancelled: %v", err)
	}
	e.Return(t)
}

func TestRemovedByHand(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "live:"+f.tmp, "stay")
	f.startAndWait(s)
	done := make(chan error, 1)
	s2 := f.spec("slow", "stay")
	s2.Health = app.Health{Command: []string{"/app", "drivertest-app", "exit:1"}, Interval: time.Second, Timeout: time.Second, Retries: 3, Start: time.Minute}
	f.start(s2)
	go func() {
		_, err := f.Wait(f.ctx, "slow")
		done <- err
	}()
	ended, followed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := f.Ended(f.ctx, "web")
		ended <- err
	}()
	go func() { followed <- f.Logs(f.ctx, "web", driver.LogOptions{Follow: true}, io.Discard) }()
	f.until("it runs", func() bool { return f.living() == 1 })
	for _, id := range []string{"web", "slow"} {
		if _, err := f.stranger.ContainerRemove(f.ctx, f.nameOf(id), client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; !errors.Is(err, driver.ErrNotFound) && !strings.Contains(err.Error(), "killed") {
		t.Errorf("waiting for one that is killed and removed: %v", err)
	}
	if _, err := f.Status(f.ctx, "web"); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("status of one that was removed: %v", err)
	}
	if err := <-ended; err != nil && !errors.Is(err, driver.ErrNotFound) { // it may be seen ended before it is gone
		t.Errorf("awaiting the end of one that was removed: %v", err)
	}
	if err := <-followed; err != nil && !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("following one that was removed: %v", err)
	}
	if err := f.Stop(f.ctx, "web"); err != nil {
		t.Error(err)
	}
	f.startAndWait(s)

	// Stopped by hand, it is told as ended, and Start makes it run again.
	if _, err := f.stranger.ContainerStop(f.ctx, f.nameOf("web"), client.ContainerStopOptions{}); err != nil {
		t.Fatal(err)
	}
	if st := f.status("web"); st.Phase != driver.Exited || st.ExitCode != -1 && st.ExitCode != 0 {
		t.Errorf("status of one that was stopped by hand: %+v", st)
	}
	if st := f.startAndWait(s); st.Phase != driver.Healthy {
		t.Errorf("started again: %+v", st)
	}
}

// nameOf is a replica's container, as a stranger finds it.
func (f *fixture) nameOf(id string) string {
	f.Helper()
	all, err := f.stranger.ContainerList(f.ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.
		Add("label", "greenroom.replica="+id).Add("label", "greenroom.home="+f.Name())})
	if err != nil || len(all.Items) != 1 {
		f.Fatalf("containers of %s: %v, %v", id, all.Items, err)
	}
	return all.Items[0].ID
}

func TestImageVanishes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	i := dockertest.App(t)
	i.Comment = t.Name()
	if _, err := f.Load(f.ctx, bytes.NewReader(i.Archive(t))); err != nil {
		t.Fatal(err)
	}
	s := f.spec("web", "stay")
	s.Container.Image = i.ID(t)
	f.startAndWait(s)
	if err := f.Stop(f.ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.stranger.ImageRemove(f.ctx, i.ID(t), client.ImageRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	_, err := f.Start(f.ctx, s)
	wantProblem(t, err, problem.NotFound, i.ID(t))
	if ok, err := f.Has(f.ctx, i.ID(t)); ok || err != nil {
		t.Errorf("has: %v, %v", ok, err)
	}
}

func TestNameTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "stay")
	f.start(s)
	name := ""
	in, err := f.stranger.ContainerInspect(f.ctx, f.nameOf("web"), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name = strings.TrimPrefix(in.Container.Name, "/")
	if err := f.Stop(f.ctx, "web"); err != nil {
		t.Fatal(err)
	}
	made, err := f.stranger.ContainerCreate(f.ctx, client.ContainerCreateOptions{Name: name, Image: f.image})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := f.stranger.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Errorf("the stranger's container is gone: %v", err)
		}
	})
	_, err = f.Start(f.ctx, s)
	wantProblem(t, err, problem.Blocked, name, made.ID[:12])
	if err := errors.Join(f.Stop(f.ctx, "web"), f.Remove(f.ctx, "shop", "qa", true)); err != nil {
		t.Error(err)
	}
	if all, err := f.List(f.ctx, driver.Filter{}); err != nil || len(all) != 0 {
		t.Errorf("the stranger's is listed: %+v, %v", all, err)
	}
}

// TestHealthcheckHangs is on an Engine of its own: those before version 23 may hang themselves when a check is killed that
// was about to begin.
func TestHealthcheckHangs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Start(t))
	s := f.spec("web", "stay")
	s.Health = app.Health{Command: []string{"/app", "drivertest-app", "stay"}, Interval: 200 * time.Millisecond, Timeout: 2 * time.Second, Retries: 2, Start: 4 * time.Second}
	f.start(s)
	_, err := f.Wait(f.ctx, s.ID)
	wantProblem(t, err, problem.Fail, "not healthy 4 s after its start", "no answer within 2 s")
	if err := f.Stop(f.ctx, s.ID); err != nil {
		t.Error(err)
	}
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "print:hungry", "eat:256", "stay")
	s.Container.Resources = driver.Resources{Memory: 48 << 20, CPUs: 1, Pids: 50}
	f.start(s)
	f.until("ended", func() bool { return f.status("web").Phase == driver.Exited })
	st := f.status("web")
	if !st.OutOfMemory || st.ExitCode != -1 || !strings.Contains(st.Reason, "its limit of") || !strings.Contains(st.Reason, "hungry") {
		t.Errorf("status %+v, want that its memory limit ended it", st)
	}
	_, err := f.Wait(f.ctx, "web")
	wantProblem(t, err, problem.Fail, "more memory than its limit")
}

func TestNoEngine(t *testing.T) {
	_, err := docker.New(docker.Options{Host: "unix://" + filepath.Join(t.TempDir(), "none.sock"), Home: "x"})
	wantProblem(t, err, problem.Unavailable, "no Docker Engine answers at unix://")
	_, err = docker.New(docker.Options{Host: "nonsense", Home: "x"})
	wantProblem(t, err, problem.Invalid, "nonsense")
}

// TestDiskFull has the Engine's disk be full of layers, and then of what a container writes.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.StartSmall(t, 48<<20))
	f.startAndWait(f.spec("web", "stay"))
	noise := make([]byte, 64<<20)
	i := dockertest.Image{Files: map[string][]byte{"noise": noise}}
	_, err := f.Load(f.ctx, bytes.NewReader(i.Archive(t)))
	wantProblem(t, err, problem.Unavailable, "the disk of the Docker Engine is full")
	dir := t.TempDir()
	for name, content := range map[string][]byte{"Dockerfile": []byte("FROM scratch\nCOPY . /\n"), "noise": noise} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = f.Build(f.ctx, docker.Build{Context: dir}, func(string) {})
	wantProblem(t, err, problem.Unavailable, "the disk of the Docker Engine is full")
	if st := f.status("web"); st.Phase != driver.Healthy {
		t.Errorf("what ran before: %+v", st)
	}

	// Now not even a container's own small files find room.
	full := filepath.Join(f.engine.Data(), "full")
	if err := fillUp(full); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	_, err = f.Start(f.ctx, f.spec("more", "stay"))
	wantProblem(t, err, problem.Unavailable, "the disk of the Docker Engine is full")
	if _, err := f.Status(f.ctx, "more"); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("what could not be started: %v", err)
	}
	if st := f.status("web"); st.Phase != driver.Healthy {
		t.Errorf("what ran before: %+v", st)
	}
	if err := f.Stop(f.ctx, "web"); err != nil {
		t.Errorf("a stop, which makes room: %v", err)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	f.startAndWait(f.spec("more", "stay"))
}

// fillUp writes a file until the disk is full.
func fillUp(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	return errors.Join(err, f.Close())
}

// TestFollowOverRestart follows one that ends and is started again.
func TestFollowOverRestart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "count:"+f.file("starts"), "print:begun", "until:"+f.file("die"), "print:ended", "exit:1")
	s.Restart = true
	f.start(s)
	ctx, cancel := context.WithCancel(f.ctx)
	var out syncBuffer
	done := make(chan error, 1)
	go func() { done <- f.Logs(ctx, "web", driver.LogOptions{Follow: true}, &out) }()
	f.until("the first line", func() bool { return out.String() == "begun\n" })
	f.touch("die")
	f.until("the end, and what came after", func() bool { return strings.HasPrefix(out.String(), "begun\nended\nbegun\n") })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("following ended with %v", err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestStray leaves a process of a container that the Engine does not know to run, as one does that dies in a start.
func TestStray(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "stay")
	if err := docker.Create(f.ctx, f.Driver, s); err != nil {
		t.Fatal(err)
	}
	group := ""
	for _, root := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err == nil {
			group = filepath.Join(root, f.nameOf("web"))
			break
		}
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(group) })
	stray := exec.Command("sleep", "600")
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(stray.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = stray.Wait() // it is killed
		close(ended)
	}()
	if err := f.Stop(f.ctx, "web"); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute): // it was killed, and its parent is a step behind
		t.Error("it runs after the stop")
		_ = stray.Process.Kill()
	}
}

// TestHealthcheckGivenUp has less time for a health command than a program takes to be started. An Engine before version 23 that
// is told so gives it up while it is being started, and hangs.
func TestHealthcheckGivenUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Start(t))
	s := f.spec("web", "stay")
	s.Health = app.Health{Command: []string{"/app", "drivertest-app", "exit:0"}, Interval: 10 * time.Millisecond, Timeout: 10 * time.Millisecond, Retries: 2, Start: 2 * time.Second}
	f.start(s)
	_, err := f.Wait(f.ctx, s.ID)
	if err != nil { // a fast machine may do it
		wantProblem(t, err, problem.Fail, "no answer within 10 ms")
	}
	for range 20 { // it is asked all the time
		f.status(s.ID)
	}
	if err := f.Stop(f.ctx, s.ID); err != nil {
		t.Error(err)
	}
}

// TestEndNotTold has the Engine fail to say when a container ends: that nothing is known is no exit code 0.
func TestEndNotTold(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	var asked atomic.Int32
	d, err := docker.New(docker.Options{Host: "unix://" + failing(t, strings.TrimPrefix(f.engine.Host, "unix://"), func(r *http.Request) bool {
		wait := strings.HasSuffix(r.URL.Path, "/wait")
		if wait {
			asked.Add(1)
		}
		return wait
	}), Home: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := f.spec("job", "print:begun", "stay")
	s.Restart = false
	if _, err := d.Start(f.ctx, s); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		st, err := d.Ended(f.ctx, "job")
		if err == nil && st.ExitCode != -1 {
			err = fmt.Errorf("it ended with %+v", st)
		}
		ended <- err
	}()
	f.until("it was asked twice", func() bool { return asked.Load() >= 2 })
	select {
	case err := <-ended:
		t.Fatalf("what runs has ended: %v", err)
	default:
	}
	if _, err := f.stranger.ContainerKill(f.ctx, f.nameOf("job"), client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := docker.Create(f.ctx, d, f.spec("never", "stay")); err != nil {
		t.Fatal(err)
	}
	_, err = d.Ended(f.ctx, "never")
	wantProblem(t, err, problem.Unavailable, "nobody saw how never ended")
}

// failing is a socket that leads to an Engine, and answers for it where fails says so that something went wrong.
func failing(t *testing.T, to string, fails func(*http.Request) bool) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "failing.sock")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", to)
	}}
	proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine"
	}}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fails(r) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"message":"something went wrong"}`))
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server in the middle ended with %v", err)
		}
		transport.CloseIdleConnections()
	})
	return name
}
