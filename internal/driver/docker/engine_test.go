package docker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/problem"
)

// following reads a replica's logs as they are written.
func (f *fixture) following(id string) (out *syncBuffer, end func() error) {
	ctx, cancel := context.WithCancel(f.ctx)
	out = new(syncBuffer)
	done := make(chan error, 1)
	go func() { done <- f.Logs(ctx, id, driver.LogOptions{Follow: true}, out) }()
	return out, func() error {
		cancel()
		return <-done
	}
}

// phases are all that Status tells of a replica from now on until end is called, each once.
func (f *fixture) phases(id string) (end func() []driver.Phase) {
	ctx, cancel := context.WithCancel(f.ctx)
	seen := []driver.Phase{f.status(id).Phase}
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			st, err := f.Status(ctx, id)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				f.Errorf("status of %s: %v", id, err)
			case !slices.Contains(seen, st.Phase):
				seen = append(seen, st.Phase)
			}
		}
	})
	return func() []driver.Phase {
		cancel()
		wg.Wait()
		return seen
	}
}

// TestEngineRestarts has the Engine go down in order, as an upgrade of it does, and come back. It ends its containers and starts
// those again that are to be: of these nobody is ever told that they have ended.
func TestEngineRestarts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Start(t))
	s := f.spec("stays", "print:begun", "bye", "stay")
	s.Restart = true
	f.startAndWait(s)
	once := f.spec("once", "stay")
	f.startAndWait(once)
	out, unfollow := f.following(s.ID)
	f.until("the first line", func() bool { return out.String() == "begun\n" })
	ended := make(chan driver.Status, 1)
	go func() {
		st, err := f.Ended(f.ctx, once.ID)
		if err != nil {
			t.Error(err)
		}
		ended <- st
	}()
	looked := f.phases(s.ID)
	f.engine.Shut(t)
	f.engine.Return(t)
	if _, err := f.Wait(f.ctx, s.ID); err != nil {
		t.Errorf("the one that is started again: %v", err)
	}
	if seen := looked(); slices.Contains(seen, driver.Exited) {
		t.Errorf("while the Engine was away it was told as %v", seen)
	}
	f.until("what it printed before and after", func() bool { return out.String() == "begun\nbye, terminated\nbegun\n" })
	if err := unfollow(); !errors.Is(err, context.Canceled) {
		t.Errorf("following ended with %v", err)
	}
	if st := <-ended; st.Phase != driver.Exited {
		t.Errorf("the one that is not started again: %+v", st)
	}
	if st := f.start(once); st.Phase != driver.Healthy {
		t.Errorf("started again: %+v", st)
	}
}

// TestEngineLivesApart kills an Engine whose containers live on without it.
func TestEngineLivesApart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.StartLive(t))
	s := f.spec("web", "print:one", "until:"+f.file("go"), "print:two", "until:"+f.file("more"), "print:three", "stay")
	st := f.startAndWait(s)
	out, unfollow := f.following(s.ID)
	f.until("the first line", func() bool { return out.String() == "one\n" })
	waits := f.spec("waits", "until:"+f.file("more"), "env:"+f.file("up"), "stay")
	waits.Health = app.Health{Command: []string{"/app", "drivertest-app", "has:" + f.file("up")}, Interval: 500 * time.Millisecond, Timeout: 5 * time.Second, Retries: 3, Start: time.Minute}
	f.start(waits)
	done := make(chan error, 1)
	go func() {
		_, err := f.Wait(f.ctx, waits.ID)
		done <- err
	}()
	looked := f.phases(s.ID)
	f.engine.Kill(t)
	f.touch("go")
	f.engine.Return(t)
	f.touch("more")
	if err := <-done; err != nil {
		t.Errorf("the wait that was interrupted: %v", err)
	}
	f.until("all that it printed, once", func() bool { return out.String() == "one\ntwo\nthree\n" })
	if err := unfollow(); !errors.Is(err, context.Canceled) {
		t.Errorf("following ended with %v", err)
	}
	if seen := looked(); !slices.Equal(seen, []driver.Phase{driver.Healthy}) {
		t.Errorf("it was told as %v", seen)
	}
	if after := f.start(s); after.PID != st.PID || after.Phase != driver.Healthy {
		t.Errorf("it was %+v, and is %+v", st, after)
	}
	if err := f.Stop(f.ctx, s.ID); err != nil {
		t.Error(err)
	}
}

// everything is each thing that a driver is asked for, and the error of it.
func (f *fixture) everything(d *docker.Driver) map[string]error {
	s := f.spec("other", "stay")
	all := map[string]error{}
	_, all["Start"] = d.Start(f.ctx, s)
	_, all["Status"] = d.Status(f.ctx, "web")
	_, all["List"] = d.List(f.ctx, driver.Filter{})
	_, all["Wait"] = d.Wait(f.ctx, "web")
	_, all["Ended"] = d.Ended(f.ctx, "nobody")
	all["Stop"] = d.Stop(f.ctx, "web")
	all["Logs"] = d.Logs(f.ctx, "web", driver.LogOptions{}, io.Discard)
	all["Remove"] = d.Remove(f.ctx, "shop", "qa", true)
	all["RemoveNetworks"] = d.RemoveNetworks(f.ctx, "shop", "qa", func(string) bool { return false })
	_, all["EnsureNetwork"] = d.EnsureNetwork(f.ctx, "shop", "qa", "default", docker.Addressed)
	_, all["EnsureVolume"] = d.EnsureVolume(f.ctx, "shop", "qa", "data")
	_, all["Has"] = d.Has(f.ctx, f.image)
	all["Keep"] = d.Keep(f.ctx, f.image)
	_, all["Prune"] = d.Prune(f.ctx, nil)
	return all
}

// TestEngineAway asks an Engine for everything that is gone, and one that takes questions and answers none. What is not known
// is told as that: nothing has ended, and nothing is there no more.
func TestEngineAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.StartLive(t))
	st := f.startAndWait(f.spec("web", "print:begun", "stay"))
	hurried := docker.Hurry(openOn(t, f.engine, t.Name()), 60)
	ended := make(chan error, 1)
	go func() {
		_, err := hurried.Ended(f.ctx, "web")
		ended <- err
	}()
	f.engine.Freeze(t)
	wantProblem(t, <-ended, problem.Unavailable, "did not answer within")
	for what, err := range f.everything(hurried) {
		t.Run(what, func(t *testing.T) { wantProblem(t, err, problem.Unavailable, "did not answer within") })
	}
	f.engine.Thaw(t)
	following, out := make(chan error, 1), new(syncBuffer)
	go func() { following <- hurried.Logs(f.ctx, "web", driver.LogOptions{Follow: true}, out) }()
	f.until("it is followed", func() bool { return out.String() != "" })
	f.engine.Kill(t)
	for what, err := range f.everything(hurried) {
		t.Run(what, func(t *testing.T) {
			wantProblem(t, err, problem.Unavailable, "no Docker Engine answers at "+f.engine.Host)
		})
	}
	wantProblem(t, <-following, problem.Unavailable, "no Docker Engine answers")
	if _, err := docker.New(docker.Options{Host: f.engine.Host, Home: "x"}); err == nil {
		t.Error("there is a new driver without an Engine")
	} else {
		wantProblem(t, err, problem.Unavailable, "no Docker Engine answers")
	}
	f.engine.Return(t)
	if after := f.status("web"); after.PID != st.PID || after.Phase != driver.Healthy {
		t.Errorf("what nobody touched was %+v, and is %+v", st, after)
	}
}

// TestEngineSlow has every answer of the Engine come late.
func TestEngineSlow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	d, err := docker.New(docker.Options{Host: "unix://" + slowly(t, strings.TrimPrefix(f.engine.Host, "unix://")), Home: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := f.spec("web", "print:hello", "bye", "stay")
	if _, err := d.Start(f.ctx, s); err != nil {
		t.Fatal(err)
	}
	if st, err := d.Wait(f.ctx, s.ID); err != nil || st.Phase != driver.Healthy {
		t.Errorf("wait: %+v, %v", st, err)
	}
	if all, err := d.List(f.ctx, driver.Filter{}); err != nil || len(all) != 1 || all[0].Phase != driver.Healthy {
		t.Errorf("list: %+v, %v", all, err)
	}
	if err := d.Stop(f.ctx, s.ID); err != nil {
		t.Error(err)
	}
	if _, err := d.Status(f.ctx, s.ID); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("after the stop: %v", err)
	}
}

// slowly is a socket that leads to another one, out of which everything comes a moment late.
func slowly(t *testing.T, to string) string {
	t.Helper()
	const moment = 100 * time.Millisecond
	name := filepath.Join(t.TempDir(), "slow.sock")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			wg.Go(func() {
				_, _ = io.Copy(out, in) // whoever goes ends it
				_ = out.(*net.UnixConn).CloseWrite()
			})
			wg.Go(func() {
				b := make([]byte, 64<<10)
				for {
					n, err := out.Read(b)
					time.Sleep(moment)
					if _, bad := in.Write(b[:n]); err != nil || bad != nil {
						break
					}
				}
				_, _ = in.Close(), out.Close()
			})
		}
	})
	return name
}
