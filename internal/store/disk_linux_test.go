package store

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"greenroom/internal/problem"
)

// A disk of its own that is really full, not only a limit of SQLite's.
func TestARealFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: mounting a small disk takes root; TestAFullDisk covers the rules")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("NOT TESTED: no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := openFile(t, filepath.Join(dir, "state.db"))
	r := mustCreate(t, s, promotion("production"))
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk has no end")
	}
	var err error
	for range 1000 {
		if _, err = s.Append(t.Context(), r.ID, started); err != nil {
			break
		}
	}
	wantProblem(t, err, problem.Unavailable, "the disk is full", "make room where "+dir)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, r.ID, started)
}
