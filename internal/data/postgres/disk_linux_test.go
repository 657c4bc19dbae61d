package postgres

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// TestSnapshotOntoAFullDisk has a disk that is smaller than the snapshot: that is told, and leaves nothing behind.
func TestSnapshotOntoAFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: mounting a small disk takes root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("NOT TESTED: no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE random (x text)", "INSERT INTO random SELECT md5(random()::text) || md5(random()::text) FROM generate_series(1, 100000)")
	_, err := d.Snapshot(bounded(t), filepath.Join(dir, "snapshot"), data.SnapshotOptions{Rules: keepAll(t, d), Key: testKey})
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable {
		t.Errorf("got %v", err)
	}
	mustContain(t, problem.From(err).Message+problem.From(err).Hint, "the disk is full", "df -h "+dir)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
