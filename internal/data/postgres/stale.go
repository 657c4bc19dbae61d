package postgres

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// clearStale removes the lock files of a server that was killed. PostgreSQL does so itself unless their pid belongs to
// somebody by now, as it often does after a reboot: then it would refuse to start for ever.
func (s Server) clearStale(context.Context) error {
	if s.runs() {
		return nil
	}
	stale, _ := filepath.Glob(filepath.Join(s.Sockets(), ".s.PGSQL.*")) // the only error is a malformed pattern
	for _, name := range append(stale, s.lockFile()) {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// runs says whether a server works on the data.
func (s Server) runs() bool {
	pid := lockPID(s.lockFile())
	return pid > 0 && serves(pid, s.data())
}

func (s Server) lockFile() string { return filepath.Join(s.data(), "postmaster.pid") }

// lockPID is the pid in a server's lock file, its first line; 0 when there is none.
func lockPID(name string) int {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0
	}
	return pid
}
