package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"greenroom/internal/api"
	"greenroom/internal/home"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
)

// TestFullDisk fills the disk that the state folder is on in the middle of a promotion. Customers don't notice; the run
// waits, or is taken back, and ends when there is room again; nothing is lost.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	dir, disk := smallDisk(t)
	h := newHouseIn(t, dir, filepath.Join(disk, "home"))
	s := withPostgres().saying("watch: 200ms", "watch: 3s") // in which the disk is filled
	live := h.live(s)
	next := h.build(s.as("v2", ""))
	customers := h.customersOf(h.status().Address)

	run := h.begin(next)
	h.awaitStep(run.ID, "share-50")
	room := h.fill(disk)
	h.eventually("the daemon says so", func() string {
		h.fill(disk) // also what was given back meanwhile
		if log := lastOf(h.home.Log(), 4000); !strings.Contains(log, "full") {
			return log
		}
		return ""
	})
	if now, err := h.client.Run(h.ctx(), run.ID); err != nil || now.Outcome != "" {
		t.Fatalf("the run is told as %q, %v", now.Outcome, err)
	}
	_, err := h.client.Start(h.ctx(), toProduction(next))
	wantProblem(t, err, problem.Blocked, run.ID)
	h.eventually("what can't be kept is refused", func() string {
		h.fill(disk)
		err = h.client.SecretSet(h.ctx(), api.SecretName{App: appUnderTest, Environment: "production", Name: "X"}, []byte("x"))
		if err == nil {
			return "there was room for it"
		}
		return ""
	})
	wantProblem(t, err, problem.Unavailable, "the disk is full", "make room where "+string(h.home))
	room()

	run = h.await(run.ID)
	switch run.Outcome {
	case plan.Succeeded:
		live = next
	case plan.RolledBack:
		if !strings.Contains(run.Reason, "full") {
			t.Errorf("it was taken back because %s", run.Reason)
		}
	default:
		t.Fatalf("%s: %s", run.Outcome, run.Reason)
	}
	customers.wantFlawless(t, customers.cut())
	h.wantSound(live)
	h.killDaemon() // what was written is whole
	h.start()
	h.wantSound(live)
}

// smallDisk mounts a disk of its own that a test can fill, with the databases beside it: a database server with a full
// disk ends, whatever Greenroom does.
func smallDisk(t *testing.T) (dir, disk string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: mounting a small disk takes root")
	}
	dir = newFolder(t)
	disk = filepath.Join(dir, "disk")
	h := home.Home(filepath.Join(disk, "home"))
	beside := filepath.Join(dir, "environments")
	must(t, errors.Join(os.Mkdir(disk, 0o755), os.Mkdir(beside, 0o711)))
	mount := func(source, target, kind string, flags uintptr, data string) {
		if err := unix.Mount(source, target, kind, flags, data); err != nil {
			t.Skipf("SKIPPED: no small disk can be mounted here: %v", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	mount("tmpfs", disk, "tmpfs", 0, "size=256m,mode=0755")
	must(t, os.MkdirAll(h.Environments(), 0o711))
	mount(beside, h.Environments(), "", unix.MS_BIND, "")
	return dir, disk
}

// fill leaves no byte on a disk, until room is called. What was given back since is taken by another call.
func (h *house) fill(disk string) (room func()) {
	h.Helper()
	ballast := filepath.Join(disk, "ballast")
	f, err := os.OpenFile(ballast, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(h, err)
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
	return func() { must(h, os.Remove(ballast)) }
}
