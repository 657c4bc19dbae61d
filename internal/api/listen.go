package api

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"greenroom/internal/problem"
)

// maxSocketPath is how long the path of a unix socket can be, in bytes: sun_path less its end, on macOS, which has the
// shorter one (104; Linux has 108).
const maxSocketPath = 103

// Listen makes the socket of that path with these permissions. What a dead daemon left there is replaced; where one
// answers, it is Blocked. Two that
// start at once are kept apart by the lock of the state folder, not here. The socket's file stays when the listener closes, so that a closing daemon never takes away
// the socket of its successor.
func Listen(path string, perm fs.FileMode) (net.Listener, error) {
	fresh := filepath.Join(filepath.Dir(path), ".new")
	if n := max(len(path), len(fresh)); n > maxSocketPath {
		return nil, problem.New(problem.Invalid, "the path %s is too long for a socket (%d bytes, at most %d)", path, n, maxSocketPath).WithHint("set GREENROOM_HOME to a shorter folder")
	}
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close() // nothing was sent
		return nil, problem.New(problem.Blocked, "another Greenroom runs on %s", filepath.Dir(path)).
			WithHint("greenroom status")
	}
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ln, err := net.Listen("unix", fresh)
	if err != nil {
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	// Permissions first, then the name: nobody connects in between.
	if err := errors.Join(os.Chmod(fresh, perm), os.Rename(fresh, path)); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}
