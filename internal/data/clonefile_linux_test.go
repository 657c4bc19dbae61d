package data

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCloneFile copies a file where its blocks can be shared and where they can't, and is told how. The copy stays what it is
// when the file changes.
func TestCloneFile(t *testing.T) {
	for kind, want := range map[string]string{"tmpfs": "file copy", "btrfs": "clone", "xfs": "clone"} {
		t.Run(kind, func(t *testing.T) {
			dir := mounted(t, kind)
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			content := bytes.Repeat([]byte("Greenroom "), 1<<20)
			if err := os.WriteFile(from, content, 0o600); err != nil {
				t.Fatal(err)
			}
			before := used(t, dir)
			how, err := CloneFile(from, to, 0o640)
			if err != nil || how != want {
				t.Fatalf("it was copied by %q, %v", how, err)
			}
			if grown := used(t, dir) - before; (grown < int64(len(content))/2) != (want == "clone") {
				t.Errorf("by %s the copy of %d bytes takes up %d", how, len(content), grown)
			}
			if err := os.WriteFile(from, []byte("another"), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(to)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("the copy has %d bytes, %v", len(got), err)
			}
			if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("%v, %v", info, err)
			}
			if _, err := CloneFile(from, to, 0o640); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over a file that is there: %v", err)
			}
		})
	}
}

// mounted is a folder on a file system of that kind.
func mounted(t *testing.T, kind string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: mounting a file system takes root")
	}
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	steps := [][]string{{"truncate", "--size=400M", image}, {"mkfs." + kind, "-q", image}, {"mount", "-o", "loop", image, at}}
	if kind == "tmpfs" {
		steps = [][]string{{"mount", "-t", "tmpfs", "none", at}}
	}
	for _, argv := range steps {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
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

// used is how many bytes of a file system are taken once all is written.
func used(t *testing.T, dir string) int64 {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s unix.Statfs_t
	if err := errors.Join(unix.Syncfs(int(f.Fd())), unix.Statfs(dir, &s)); err != nil {
		t.Fatal(err)
	}
	return int64(s.Blocks-s.Bfree) * s.Bsize
}
