package postgres

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// CloneFolder is data.CloneFolder, for a server's data.
func CloneFolder(ctx context.Context, from, to string) (how string, err error) {
	return data.CloneFolder(ctx, from, to)
}

// clonePristine makes a data folder out of From's. Its accounts and databases come along, and what ALTER SYSTEM set; all
// other settings are in Command and in Dir. A server that still runs there, or one of another major version, is Blocked.
func (s Server) clonePristine(ctx context.Context, fresh string) error {
	version, err := os.ReadFile(filepath.Join(s.From, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.NotFound, "there is no data folder of PostgreSQL at %s", s.From)
	}
	if err != nil {
		return err
	}
	if v := strings.TrimSpace(string(version)); v != strconv.Itoa(s.Programs.Major) {
		return problem.New(problem.Blocked, "the data in %s are of PostgreSQL %s, the programs in %s are of %s", s.From, v, s.Programs.Bin, s.Programs.Version)
	}
	lock := filepath.Join(s.From, "postmaster.pid")
	if pid := lockPID(lock); pid > 0 && serves(pid, s.From) {
		return problem.New(problem.Blocked, "the server in %s runs (process %d): only a stopped one can be copied", s.From, pid)
	}
	if _, err := data.CloneFolder(ctx, s.From, fresh); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(fresh, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !s.Fast {
		if err := syncFolder(fresh); err != nil {
			return err
		}
	}
	return s.give(fresh)
}

// syncFolder waits until all that is in a folder is on the disk, as initdb does.
func syncFolder(dir string) error {
	return filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
