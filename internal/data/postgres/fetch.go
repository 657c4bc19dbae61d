package postgres

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	embedded "github.com/fergusstrange/embedded-postgres"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
)

// Fetch gets the server's programs where the machine has none: from the archive of the embedded-postgres module, which is
// downloaded once and kept in cache, a folder. Call it only where a person wanted that: it is a connection to the outside.
//
// The archives hold initdb and postgres and not pg_dump or pg_restore, so a backup asks for an installation (see
// Database.Backup).
func Fetch(ctx context.Context, tag, cache string) (Programs, error) {
	version, err := archiveVersion(Major(tag))
	if err != nil {
		return Programs{}, err
	}
	dir := filepath.Join(cache, "postgresql-"+string(version))
	if p, ok := new(Finder).inspect(filepath.Join(dir, "bin")); ok {
		return p, nil
	}
	if err := unpack(ctx, version, cache, dir); err != nil {
		return Programs{}, problem.New(problem.Unavailable, "PostgreSQL %s could not be fetched: %w", version, err).
			WithHint("%s", install(Major(tag)))
	}
	p, ok := new(Finder).inspect(filepath.Join(dir, "bin"))
	if !ok {
		return Programs{}, problem.New(problem.Unavailable,
			"the programs in PostgreSQL %s's archive do not run on this machine", version).WithHint("%s", install(Major(tag)))
	}
	return p, nil
}

// unpack puts the archive's content into dir, whole or not at all.
func unpack(ctx context.Context, version embedded.PostgresVersion, cache, dir string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(cache, ".unpack-*")
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		done <- extract(version, cache, tmp)
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		// The module's download takes no context: it is left to its end, and what it makes is removed then.
		go func() {
			<-done //nolint:errcheck // nobody waits for it any more
			_ = os.RemoveAll(tmp)
		}()
		return ctx.Err()
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // only a temporary folder
	if err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(tmp, "programs"), dir); err != nil {
		if _, ok := new(Finder).inspect(filepath.Join(dir, "bin")); ok {
			return nil // somebody else was faster
		}
		return err
	}
	return nil
}

// extract downloads and unpacks into tmp/programs. The module can only do so on the way to a running server of its own;
// it is stopped right after it by a data folder that can't be made, because it stands below a file.
func extract(version embedded.PostgresVersion, cache, tmp string) error {
	stop := filepath.Join(tmp, "stop")
	if err := atomicfile.Write(stop, nil, 0o600); err != nil {
		return err
	}
	programs := filepath.Join(tmp, "programs")
	err := embedded.NewDatabase(embedded.DefaultConfig().
		Version(version).Port(0).CachePath(cache).BinariesPath(programs).
		RuntimePath(filepath.Join(tmp, "run")).DataPath(filepath.Join(stop, "data")).
		Logger(io.Discard)).Start()
	if err == nil || !strings.Contains(err.Error(), "unable to clean up data directory") {
		return fmt.Errorf("unpack into %s: %w", tmp, err)
	}
	return openToAll(programs)
}

// openToAll lets every system user read the programs, whatever the umask was: the server runs as another one.
func openToAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// archiveVersion is the release that the module knows of a major version; 0 is its default.
func archiveVersion(major int) (embedded.PostgresVersion, error) {
	known := map[int]embedded.PostgresVersion{
		0: embedded.V18, 13: embedded.V13, 14: embedded.V14, 15: embedded.V15, 16: embedded.V16, 17: embedded.V17, 18: embedded.V18,
	}
	v, ok := known[major]
	if !ok {
		return "", problem.New(problem.Unavailable, "there is no archive of PostgreSQL %s for %s",
			strconv.Itoa(major), runtime.GOOS).WithHint("%s", install(major))
	}
	return v, nil
}
