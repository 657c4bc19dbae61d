package datatest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Mounted is a folder below dir on a file system of its own of that kind (tmpfs, btrfs, xfs), with room for two gigabytes. It
// skips, and says so, where none can be had.
func Mounted(t testing.TB, dir, kind string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: mounting a file system takes root")
	}
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := os.Mkdir(at, 0o755); err != nil { // #nosec G301 -- a database server of another user goes through it
		t.Fatal(err)
	}
	steps := [][]string{{"truncate", "--size=2G", image}, {"mkfs." + kind, "-q", image}, {"mount", "-o", "loop", image, at}} // it takes up only what is written
	if kind == "tmpfs" {
		steps = [][]string{{"mount", "-t", "tmpfs", "none", at}}
	}
	for _, argv := range steps {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil { // #nosec G204 -- a test's own
			t.Skipf("NOT TESTED: no %s can be had here: %v: %v: %s", kind, argv, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	return at
}

// Taken is how many bytes of a file system are taken once all is written.
func Taken(t testing.TB, dir string) int64 {
	t.Helper()
	f, err := os.Open(dir) // #nosec G304 -- a test's own
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read from
	var s unix.Statfs_t
	if err := errors.Join(unix.Syncfs(int(f.Fd())), unix.Statfs(dir, &s)); err != nil {
		t.Fatal(err)
	}
	return int64(s.Blocks-s.Bfree) * s.Bsize // #nosec G115 -- no file system is that large
}
