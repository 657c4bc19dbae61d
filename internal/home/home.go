// Package home says where things lie in the state folder.
package home

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"greenroom/internal/problem"
)

// maxSocketPath is the longest path that a unix socket can have on all systems (sun_path is 104 bytes on macOS, 108 on
// Linux, one of them for the final zero).
const maxSocketPath = 103

// Home is the state folder of one Greenroom.
type Home string

// System is the state folder of the Greenroom that root runs: a machine's own.
const System Home = "/var/lib/greenroom"

// Default is the state folder of the Greenroom to speak to where none is named: this user's own (see Own), or the machine's
// where the user runs none and there is one.
func Default() (Home, error) {
	own, err := Own()
	if err != nil || os.Getenv("GREENROOM_HOME") != "" || own == System {
		return own, err
	}
	if _, err := os.Lstat(own.Socket()); err == nil {
		return own, nil
	}
	if _, err := os.Lstat(System.Socket()); err == nil {
		return System, nil
	}
	return own, nil
}

// Own is this user's own state folder: GREENROOM_HOME, else /var/lib/greenroom for root (the programs of other system
// users have to reach into it, which root's own folder forbids), else the XDG state folder.
func Own() (Home, error) {
	if h := os.Getenv("GREENROOM_HOME"); h != "" {
		return abs(h)
	}
	if os.Getuid() == 0 {
		return System, nil
	}
	if x := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(x) {
		return Home(filepath.Join(x, "greenroom")), nil
	}
	u, err := os.UserHomeDir()
	if err != nil {
		return "", problem.New(problem.Invalid, "there is no home folder to keep state in: %w", err).
			WithHint("set GREENROOM_HOME to a folder")
	}
	return Home(filepath.Join(u, ".local", "state", "greenroom")), nil
}

func abs(path string) (Home, error) {
	a, err := filepath.Abs(path)
	if err != nil {
		return "", problem.New(problem.Invalid, "state folder %s: %w", path, err)
	}
	return Home(a), nil
}

// Make creates the state folder. Other users may pass through it (each environment runs as one) but not list it.
func (h Home) Make() error {
	if err := os.MkdirAll(string(h), 0o755); err != nil {
		return problem.New(problem.Unavailable, "the state folder can't be made: %w", err).
			WithHint("set GREENROOM_HOME to a folder that you may write to")
	}
	if err := os.Chmod(string(h), 0o711); err != nil && !errors.Is(err, fs.ErrPermission) { // #nosec G302 -- see above
		return err
	}
	for perm, dirs := range map[fs.FileMode][]string{
		0o700: {h.Edge(), h.Replicas(), h.Artifacts(), h.Uploads(), h.Networks(), h.Containers()},
		0o711: {h.Environments(), h.Files(), h.Runs()}, // those in them say who may come in
	} {
		for _, dir := range dirs {
			if err := makeFolder(dir, perm); err != nil {
				return problem.New(problem.Unavailable, "the state folder can't be made: %w", err)
			}
		}
	}
	return nil
}

// makeFolder makes a folder, or gives one that an earlier version made these permissions.
func makeFolder(dir string, perm fs.FileMode) error {
	if err := os.MkdirAll(dir, perm); err != nil {
		return err
	}
	if err := os.Chmod(dir, perm); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

func (h Home) join(elem ...string) string {
	return filepath.Join(append([]string{string(h)}, elem...)...)
}

// Lock is the file that the one daemon of this folder holds.
func (h Home) Lock() string { return h.join("daemon.lock") }

// Accounts is the file that whoever makes a system user holds.
func (h Home) Accounts() string { return h.join("accounts.lock") }

// Store is the database of everything that is kept.
func (h Home) Store() string { return h.join("greenroom.db") }

// Secrets is the folder of the key that secrets are sealed with.
func (h Home) Secrets() string { return h.join("secrets") }

// Keys is the folder of the keys that the daemon signs with.
func (h Home) Keys() string { return h.join("keys") }

// Builder is the folder of the key that this user's builds are signed with.
func (h Home) Builder() string { return h.join("builder") }

// Artifacts is the OCI layout of all releases.
func (h Home) Artifacts() string { return h.join("artifacts") }

// Files is the folder of unpacked artifacts, read-only, shared by all environments.
func (h Home) Files() string { return h.join("files") }

// Replicas is the folder of the process driver.
func (h Home) Replicas() string { return h.join("replicas") }

// Edge is the folder of the edge.
func (h Home) Edge() string { return h.join("edge") }

// Runs is the folder of the working folders of runs' checks.
func (h Home) Runs() string { return h.join("runs") }

// Uploads is the folder of releases that are on their way in.
func (h Home) Uploads() string { return h.join("uploads") }

// Environments is the folder of all environments' and stages' data.
func (h Home) Environments() string { return h.join("environments") }

// Environment is the folder of one environment's or stage's data.
func (h Home) Environment(app, name string) string { return h.join("environments", app, name) }

// Networks is the folder of all stages' network namespaces, one at <app>/<stage>.
func (h Home) Networks() string { return h.join("networks") }

// Network is the folder of one stage's network namespace.
func (h Home) Network(app, name string) string { return h.join("networks", app, name) }

// Containers is where an empty file of each app's name says that it has, or had, containers in the Engine.
func (h Home) Containers() string { return h.join("containers") }

// Log is the daemon's log.
func (h Home) Log() string { return h.join("daemon.log") }

// Socket is where the daemon listens: in the state folder, or in a folder of this user's own under the temporary folder
// where that path is too long for a socket.
func (h Home) Socket() string {
	p := h.join("api.sock")
	if len(p) <= maxSocketPath {
		return p
	}
	sum := sha256.Sum256([]byte(h))
	return filepath.Join(os.TempDir(), fmt.Sprintf("greenroom-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6])), "api.sock")
}
