package docker_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/problem"
)

// saw is what a container printed that did these words.
func (f *fixture) saw(c driver.Container, words ...string) string {
	f.Helper()
	s := f.spec("looks", append(words, "print:seen", "stay")...)
	c.Image, c.Mounts = f.image, s.Container.Mounts
	s.Container = &c
	f.start(s)
	f.until("seen", func() bool { return strings.HasSuffix(f.logs(s.ID), "seen\n") })
	said := f.logs(s.ID)
	if err := f.Stop(f.ctx, s.ID); err != nil {
		f.Error(err)
	}
	return said
}

// TestWalls takes each wall around a container down, and has it look: with the wall it sees another thing than without.
func TestWalls(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	machine := func(file string) string {
		leads, err := os.Readlink(file)
		if err != nil {
			t.Fatal(err)
		}
		return leads
	}
	words := []string{
		"link:/proc/self/ns/net", "link:/proc/self/ns/pid", "link:/proc/self/ns/ipc", "show:/proc/self/status", "show:/proc/self/mountinfo",
		"may:/dev/journal",
	}
	walled := f.saw(driver.Container{}, words...)
	for name, c := range map[string]struct {
		driver.Container
		with, without string // what it sees with the wall, and without
	}{
		"network":           {driver.Container{Network: "host"}, "", machine("/proc/self/ns/net")},
		"processes":         {driver.Container{PID: "host"}, "", machine("/proc/self/ns/pid")},
		"memory segments":   {driver.Container{IPC: "host"}, "", machine("/proc/self/ns/ipc")},
		"a device":          {driver.Container{Devices: []string{"/dev/kmsg:/dev/journal:w"}}, "/dev/journal \n", "/dev/journal w\n"},
		"system calls":      {driver.Container{SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined", "label=disable"}}, "Seccomp:\t2", "Seccomp:\t0"},
		"parts of /proc":    {driver.Container{SecurityOpt: []string{"systempaths=unconfined"}}, " /proc/sys ", ""},
		"no new privileges": {driver.Container{NoNewPrivs: true}, "NoNewPrivs:\t0", "NoNewPrivs:\t1"},
	} {
		got := f.saw(c.Container, words...)
		if c.with != "" && (!strings.Contains(walled, c.with) || strings.Contains(got, c.with)) {
			t.Errorf("%s: %q is to be seen with the wall and not without it:\n%s", name, c.with, got)
		}
		if c.without != "" && (strings.Contains(walled, c.without) || !strings.Contains(got, c.without)) {
			t.Errorf("%s: %q is to be seen without the wall and not with it:\n%s", name, c.without, got)
		}
	}
}

// TestPrivileged has a container see the machine's devices. Where the machine lacks a right itself, as one does that is a
// container, no Engine can give it, and says so.
func TestPrivileged(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "may:/dev/kmsg", "show:/proc/self/status", "print:seen", "stay")
	s.Container.Privileged = true
	_, err := f.Start(f.ctx, s)
	if !hasAllRights(t) {
		wantProblem(t, err, problem.Invalid, "has not got the rights itself")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	f.until("seen", func() bool { return strings.HasSuffix(f.logs("web"), "seen\n") })
	if got := f.logs("web"); !strings.Contains(got, "/dev/kmsg rw") && !strings.Contains(got, "/dev/kmsg wr") || !strings.Contains(got, "Seccomp:\t0") {
		t.Errorf("it sees\n%s", got)
	}
}

// hasAllRights says whether this process has every right that the kernel knows.
func hasAllRights(t *testing.T) bool {
	t.Helper()
	status, err1 := os.ReadFile("/proc/self/status")
	last, err2 := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "CapBnd:\t")
	mine, err1 := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	n, err2 := strconv.Atoi(strings.TrimSpace(string(last)))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return mine == 1<<(n+1)-1
}

// TestMachineNetwork dials one in the machine's network at a port of the machine, and ends all of one among the machine's
// processes.
func TestMachineNetwork(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "live:"+f.tmp, "fork:"+f.tmp, "daemon:"+f.tmp, "serve:tcp:127.0.0.1:4711", "stay")
	s.Container.Network, s.Container.PID = "host", "host"
	s.Listen = driver.Endpoint{Network: "tcp", Address: "127.0.0.1:4711"}
	s.Health = app.Health{HTTP: "/", Interval: 20 * time.Millisecond, Timeout: 5 * time.Second, Retries: 2, Start: time.Minute}
	st := f.startAndWait(s)
	if st.Listen != s.Listen {
		t.Errorf("status %+v", st)
	}
	f.until("its children run", func() bool { return f.living() == 3 })
	if err := f.Stop(f.ctx, "web"); err != nil {
		t.Error(err)
	}
	f.until("nothing of it runs", func() bool { return f.living() == 0 })
}
