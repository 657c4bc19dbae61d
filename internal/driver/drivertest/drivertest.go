// Package drivertest is the suite that every implementation of driver.Driver passes. Only tests import it.
package drivertest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/human"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// Open makes a driver over a state folder. Called again with the same folder it makes a second one, as another daemon
// would have, or the same daemon after its death.
type Open func(t *testing.T, dir string) driver.Driver

// QuickEnd is a variable that takes the second away which a program built with the race detector waits before it ends.
const QuickEnd = "GORACE=atexit_sleep_ms=0"

// World is the driver that the suite runs against, and in what it differs from a driver of processes.
type World struct {
	Open Open
	// Containers says that replicas are containers: an image has a command, and a folder is made where there is none.
	Containers bool
	// Fit makes a spec of the suite's, which is a process's, the driver's. What the replica finds in folder and what it is
	// to listen on has to stay where it is. nil leaves it.
	Fit func(t *testing.T, s driver.Spec, folder string) driver.Spec
	// Bare says that a spec without a command is a good one.
	Bare bool
	// Adds are the variables that a replica has beside its spec's and the marker.
	Adds []string
	// Kept is how many bytes are kept of all that the replicas of the driver over this folder print; nil measures the folder.
	Kept func(t *testing.T, dir string) int64
	// Flood is how many bytes one prints who is not to be held up; 0 is 256 MiB.
	Flood int
	// Lines is how many lines of 14 bytes are more than is kept; 0 is 3 Mi.
	Lines int
	// Short is a time in which a replica has certainly answered once, and too short to wait for it; 0 is a second.
	Short time.Duration
	// Ask is how often a health command is run; 0 is every 20 ms.
	Ask time.Duration
	// Look is how often the suite looks whether something has come about; 0 is every 5 ms.
	Look time.Duration
}

// Run runs the suite, but for those of its tests that mean nothing to the driver.
func Run(t *testing.T, w World, without ...string) {
	w.Flood, w.Lines, w.Short = cmp.Or(w.Flood, 256<<20), cmp.Or(w.Lines, 3<<20), cmp.Or(w.Short, time.Second)
	w.Ask, w.Look = cmp.Or(w.Ask, 20*time.Millisecond), cmp.Or(w.Look, 5*time.Millisecond)
	for name, test := range map[string]func(*bench){
		"StartHealthStop":       startHealthStop,
		"StartTwice":            startTwice,
		"Environment":           environment,
		"StopKillsAll":          stopKillsAll,
		"StopSignal":            stopSignal,
		"IgnoresTerm":           ignoresTerm,
		"StopOfMissing":         stopOfMissing,
		"Missing":               missing,
		"BadSpecs":              badSpecs,
		"CannotStart":           cannotStart,
		"Filter":                filter,
		"HealthTCP":             healthTCP,
		"HealthCommand":         healthCommand,
		"HealthNone":            healthNone,
		"Sick":                  sick,
		"DiesAfterHealthy":      diesAfterHealthy,
		"Flaps":                 flaps,
		"NeverHealthy":          neverHealthy,
		"NeverListens":          neverListens,
		"Exits":                 exits,
		"ExitsLeavingOthers":    exitsLeavingOthers,
		"CrashLoop":             crashLoop,
		"TakenPort":             takenPort,
		"Recover":               recovered,
		"TwoDriversOneReplica":  twoDriversOneReplica,
		"ConcurrentStartStop":   concurrentStartStop,
		"PrintsWithoutEnd":      printsWithoutEnd,
		"LogsTail":              logsTail,
		"LogsFollow":            logsFollow,
		"LogsOfStopped":         logsOfStopped,
		"LogsAcrossRotation":    logsAcrossRotation,
		"LogsOfALineWithoutEnd": logsOfALineWithoutEnd,
		"PrintsItsSecrets":      printsItsSecrets,
	} {
		if slices.Contains(without, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newBench(t, w))
		})
	}
}

// bench is one test's driver and folders.
type bench struct {
	*testing.T
	driver.Driver
	world World
	ctx   context.Context
	dir   string // the driver's
	tmp   string // the application's
}

func newBench(t *testing.T, w World) *bench {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	b := &bench{T: t, world: w, ctx: ctx, dir: t.TempDir(), tmp: t.TempDir()}
	b.Driver = b.open()
	t.Cleanup(b.stopAll)
	return b
}

// open makes another driver over the bench's folder.
func (b *bench) open() driver.Driver { return b.world.Open(b.T, b.dir) }

// Start is the driver's, of a spec that is fitted to it.
func (b *bench) Start(ctx context.Context, s driver.Spec) (driver.Status, error) {
	return b.Driver.Start(ctx, b.fit(s))
}

func (b *bench) fit(s driver.Spec) driver.Spec {
	if b.world.Fit == nil {
		return s
	}
	return b.world.Fit(b.T, s, b.tmp)
}

// stopAll leaves nothing running, also when the test's time is over.
func (b *bench) stopAll() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := b.List(ctx, driver.Filter{})
	if err != nil {
		b.Error(err)
	}
	for _, st := range all {
		if err := b.Stop(ctx, st.ID); err != nil {
			b.Error(err)
		}
	}
}

// file is a name in the application's folder.
func (b *bench) file(name string) string { return filepath.Join(b.tmp, name) }

// touch makes a file that the application waits for.
func (b *bench) touch(name string) string {
	b.Helper()
	if err := os.WriteFile(b.file(name), nil, 0o600); err != nil {
		b.Fatal(err)
	}
	return b.file(name)
}

// folder makes a folder for the application.
func (b *bench) folder(name string) string {
	b.Helper()
	if err := os.Mkdir(b.file(name), 0o700); err != nil {
		b.Fatal(err)
	}
	return b.file(name)
}

// spec is a replica that does these words, without a health question.
func (b *bench) spec(words ...string) driver.Spec {
	b.Helper()
	return driver.Spec{
		ID: "shop.web.1", App: "shop", Environment: "qa", Service: "web", Release: "sha256:1",
		Command: append([]string{self(b.T), appName}, words...), Dir: b.tmp, Env: map[string]string{"PATH": "/usr/bin:/bin", "GORACE": "atexit_sleep_ms=0"},
		Stop: app.Stop{Signal: "SIGTERM", Grace: 5 * time.Second},
	}
}

// web is a replica that answers HTTP on a unix socket after it did these words.
func (b *bench) web(words ...string) driver.Spec {
	b.Helper()
	listen := driver.Endpoint{Network: "unix", Address: b.file("web.sock")}
	s := b.spec(append(words, "serve:unix:"+listen.Address, "stay")...)
	s.Listen, s.Health = listen, httpHealth()
	return s
}

func httpHealth() app.Health {
	return app.Health{HTTP: "/up", Interval: 20 * time.Millisecond, Timeout: 10 * time.Second, Retries: 2, Start: time.Minute}
}

func (b *bench) start(s driver.Spec) driver.Status {
	b.Helper()
	st, err := b.Start(b.ctx, s)
	if err != nil {
		b.Fatalf("start %s: %v", s.ID, err)
	}
	return st
}

func (b *bench) startAndWait(s driver.Spec) driver.Status {
	b.Helper()
	b.start(s)
	return b.wait(s.ID)
}

func (b *bench) wait(id string) driver.Status {
	b.Helper()
	st, err := b.Wait(b.ctx, id)
	if err != nil {
		b.Fatalf("wait for %s: %v\n%s", id, err, b.logs(id, 20))
	}
	if st.Phase != driver.Healthy {
		b.Fatalf("wait for %s gave phase %s", id, st.Phase)
	}
	return st
}

// waitFails wants Wait to give a problem whose message has all these words.
func (b *bench) waitFails(id string, words ...string) {
	b.Helper()
	st, err := b.Wait(b.ctx, id)
	if err == nil {
		b.Fatalf("wait gave %+v, want a problem", st)
	}
	b.wantProblem(err, words...)
}

// startOrWaitFails is waitFails for what a driver may find out at once, or only when the replica says so.
func (b *bench) startOrWaitFails(s driver.Spec, words ...string) {
	b.Helper()
	if _, err := b.Start(b.ctx, s); err != nil {
		b.wantProblem(err, words...)
		return
	}
	b.waitFails(s.ID, words...)
}

// neverHealthy starts a replica that is not healthy in its time, and wants a problem that has all these words and tells the
// time. On a busy machine a short one is over before the replica did and said anything: then it gets more.
func (b *bench) neverHealthy(s driver.Spec, words ...string) {
	b.Helper()
	s.Health.Start = b.world.Short
	for {
		b.start(s)
		st, err := b.Wait(b.ctx, s.ID)
		if err == nil {
			b.Fatalf("wait gave %+v, want a problem", st)
		}
		if says(err.Error(), words) || s.Health.Start > 30*time.Second {
			b.wantProblem(err, append(words, human.Duration(s.Health.Start)+" after its ")...)
			return
		}
		b.stop(s.ID)
		s.Health.Start *= 4
	}
}

func says(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

func (b *bench) wantProblem(err error, words ...string) {
	b.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		b.Fatalf("error %v, want a problem", err)
	}
	for _, w := range words {
		if !bytes.Contains([]byte(p.Message), []byte(w)) {
			b.Errorf("the problem does not say %q:\n%s", w, p.Message)
		}
	}
}

func (b *bench) stop(id string) {
	b.Helper()
	if err := b.Stop(b.ctx, id); err != nil {
		b.Errorf("stop %s: %v", id, err)
	}
}

func (b *bench) status(id string) driver.Status {
	b.Helper()
	st, err := b.Status(b.ctx, id)
	if err != nil {
		b.Fatalf("status of %s: %v", id, err)
	}
	return st
}

// until waits for a status that a function likes.
func (b *bench) until(id, what string, likes func(driver.Status) bool) driver.Status {
	b.Helper()
	var st driver.Status
	b.eventually(what, func() bool {
		st = b.status(id)
		return likes(st)
	})
	return st
}

func (b *bench) eventually(what string, ok func() bool) {
	b.Helper()
	for !ok() {
		select {
		case <-b.ctx.Done():
			b.Fatalf("%s: it did not come about", what)
		case <-time.After(b.world.Look):
		}
	}
}

func (b *bench) logs(id string, tail int) string {
	b.Helper()
	var out bytes.Buffer
	if err := b.Logs(b.ctx, id, driver.LogOptions{Tail: tail}, &out); err != nil {
		b.Errorf("logs of %s: %v", id, err)
	}
	return out.String()
}

// size is how many bytes the file has.
func (b *bench) size(name string) int {
	info, err := os.Stat(b.file(name))
	if err != nil {
		return 0
	}
	return int(info.Size())
}

// alive is something of a replica that may run.
type alive interface{ Alive() bool }

// lifeline is a file that somebody locks as long as he lives: it tells also of one whose pid is another's here.
type lifeline string

// Alive says whether somebody holds it.
func (l lifeline) Alive() bool {
	f, err := os.Open(string(l))
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // read only
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// living are the processes that did live:FOLDER, and are still alive.
func (b *bench) living(folder string) []alive {
	b.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		b.Fatal(err)
	}
	var all []alive
	for _, e := range entries {
		if l := lifeline(filepath.Join(folder, e.Name())); l.Alive() {
			all = append(all, l)
		}
	}
	return all
}

// forked waits until so many processes did live:FOLDER.
func (b *bench) forked(folder string, n int) []alive {
	b.Helper()
	b.eventually(fmt.Sprintf("%d processes in %s", n, folder), func() bool { return len(b.living(folder)) >= n })
	return b.living(folder)
}

func (b *bench) identify(pid int) proc.Identity {
	b.Helper()
	id, err := proc.Identify(pid)
	if err != nil {
		b.Fatalf("process %d: %v", pid, err)
	}
	return id
}

func (b *bench) wantGone(all ...alive) {
	b.Helper()
	for _, a := range all {
		if a.Alive() {
			b.Errorf("%v still runs", a)
		}
	}
}

// port is a port on 127.0.0.1 on which nobody listens.
func (b *bench) port() driver.Endpoint {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only asked for its address
	return driver.Endpoint{Network: "tcp", Address: l.Addr().String()}
}

func self(t *testing.T) string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}
