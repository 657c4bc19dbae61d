package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"greenroom/internal/driver"
	"greenroom/internal/proc"
)

// The names in the state folder. An id begins with a letter or digit, so stopped is none.
const (
	lockFile    = "lock"
	crashFile   = "crash"
	logFolder   = "log"
	stopped     = ".stopped"
	keepStopped = 20 // so many stopped replicas' logs are kept
)

// errBusy says that somebody else holds the folder's lock: its supervisor, or a driver that is removing it.
var errBusy = errors.New("the replica has a supervisor")

// take locks a replica's folder. It fails with errBusy at once, and with fs.ErrNotExist when the folder is missing.
// The kernel frees the lock when the holder dies, so a lock that can be had means that no supervisor lives.
func take(folder string) (*os.File, error) {
	name := filepath.Join(folder, lockFile)
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errBusy
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		// Whoever held the lock before may have moved the folder away: then this is the lock of nothing.
		mine, err1 := f.Stat()
		there, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// takeNew is take for a folder that may be missing: it is made then.
func takeNew(folder string) (*os.File, error) {
	for {
		if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		f, err := take(folder)
		if !errors.Is(err, fs.ErrNotExist) { // moved away in between
			return f, err
		}
	}
}

// clean kills what a supervisor that died has left running. The caller holds the lock. A process is known by its
// identity or by the mark in its environment, never by its pid alone.
func clean(folder string) error {
	st, err := readState(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is written before anything runs
	}
	if err != nil {
		st = state{} // damaged: the marks are left
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		left, err := proc.Marked(mark(folder))
		if err == nil {
			left, err = addDeploying(left, folder, st.Child)
		}
		if err != nil {
			return err
		}
		if st.Child.Alive() {
			// Its leader lives, so the group is still the replica's.
			_ = syscall.Kill(-st.Child.PID, syscall.SIGKILL)
			left = append(left, st.Child)
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: process %d can't be killed", filepath.Base(folder), left[0].PID)
		}
		for _, p := range left {
			_ = p.Signal(syscall.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond) // they are not our children: nobody tells when they are gone
	}
}

// retire moves a replica's folder to those of the stopped ones, with nothing but the logs in it. The caller holds the
// lock, and nothing of the replica runs any more.
func retire(folder string) error {
	dir := filepath.Join(filepath.Dir(folder), stopped)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Moved as a whole first: what is removed in place could be removed under the feet of the next one who takes it.
	id := filepath.Base(folder)
	kept, moved := filepath.Join(dir, id), filepath.Join(dir, fmt.Sprintf(".%s.%d", id, os.Getpid()))
	if err := os.Rename(folder, moved); err != nil {
		return err
	}
	logs := filepath.Join(moved, logFolder)
	if !hasOutput(logs) { // then what the replica before it printed is worth more
		return os.RemoveAll(moved)
	}
	entries, err := os.ReadDir(moved)
	for _, e := range entries {
		if e.Name() != logFolder {
			err = errors.Join(err, os.RemoveAll(filepath.Join(moved, e.Name())))
		}
	}
	now := time.Now()
	return errors.Join(err, os.RemoveAll(kept), os.Rename(moved, kept), os.Chtimes(kept, now, now), prune(dir))
}

func hasOutput(logs string) bool {
	entries, err := os.ReadDir(logs)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Size() > 0 {
			return true
		}
	}
	return false
}

// prune removes all but the stopped replicas' folders that were stopped last.
func prune(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	type old struct {
		name string
		when time.Time
	}
	var all []old
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			all = append(all, old{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b old) int { return cmp.Or(b.when.Compare(a.when), cmp.Compare(a.name, b.name)) })
	for i := keepStopped; i < len(all); i++ {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, all[i].name)))
	}
	return err
}

// forget removes a replica that has no supervisor any more. gone is false while somebody holds its lock.
func (d *Driver) forget(id string) (gone bool, err error) {
	folder := d.folder(id)
	lock, err := take(folder)
	switch {
	case errors.Is(err, errBusy):
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	}
	err = clean(folder)
	if err == nil {
		err = retire(folder)
	}
	return err == nil, errors.Join(err, lock.Close())
}

// killSupervisor kills a supervisor that holds its lock but does not answer, and returns when it is gone. What it leaves
// running is cleaned up by whoever takes the lock next.
func (d *Driver) killSupervisor(ctx context.Context, id string) {
	st, err := readState(d.folder(id))
	if err != nil {
		return
	}
	_ = st.Supervisor.Signal(syscall.SIGKILL)
	for st.Supervisor.Alive() && driver.Sleep(ctx, retry) == nil {
	}
}
