package environment

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/home"
	"greenroom/internal/problem"
)

func lasting(t *testing.T) *Environment {
	t.Helper()
	e := &Environment{App: "shop", Name: "production", world: &World{Home: home.Home(t.TempDir())}}
	for _, dir := range []string{e.snapshots(), filepath.Dir(e.BackupFile("x"))} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func isProblem(t *testing.T, err error, code problem.Code) {
	t.Helper()
	if p := problem.From(err); p == nil || p.Code != code {
		t.Errorf("%v is no %s", err, code)
	}
}

// TestDamagedSnapshot: one that can't be read is named, hides no other, counts as none of those that are kept, and can be
// removed.
func TestDamagedSnapshot(t *testing.T) {
	e := lasting(t)
	for i, id := range []string{"1", "2", "3"} {
		f, err := data.NewFolder(filepath.Join(e.snapshots(), id))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 11, 26, 9, i, 0, 0, time.UTC)
		if _, err := f.Complete(data.Snapshot{Engine: "postgres", Version: "15", Schema: "s", Taken: at}); err != nil {
			t.Fatal(err)
		}
	}
	bad := filepath.Join(e.snapshots(), "3")
	if err := os.WriteFile(filepath.Join(bad, data.Manifest), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(verifiedFile(filepath.Join(e.snapshots(), "2")), []byte(`{"at":"20`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := e.Snapshot("2"); err != nil || s.Verified != nil {
		t.Errorf("a torn note proves %v, %v", s.Verified, err)
	}
	if _, err := e.Snapshot("3"); err == nil {
		t.Error("a damaged one can be used")
	}
	if err := e.sweepSnapshots(1, nil); err != nil {
		t.Fatal(err)
	}
	all, err := e.Snapshots()
	if err != nil || len(all) != 2 || all[0].ID != "2" || all[0].Damaged != "" || all[1].ID != "3" || all[1].Damaged == "" {
		t.Errorf("left are %+v, %v", all, err)
	}
	if err := e.RemoveSnapshot("3"); err != nil {
		t.Error(err)
	}
	isProblem(t, e.RemoveSnapshot("3"), problem.NotFound)
	isProblem(t, e.RemoveSnapshot("../snapshots"), problem.NotFound)
	if _, err := os.Stat(e.snapshots()); err != nil {
		t.Error(err)
	}
}

// TestNewerSnapshot: one that a newer Greenroom made is told as that, is not swept away, and is in nobody's way.
func TestNewerSnapshot(t *testing.T) {
	e := lasting(t)
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	for i, id := range []string{"1", "2"} {
		f, err := data.NewFolder(filepath.Join(e.snapshots(), id))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Complete(data.Snapshot{Engine: "postgres", Version: "15", Schema: "s", Taken: at.Add(time.Duration(i) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if err := f.Discard(); err != nil {
			t.Fatal(err)
		}
	}
	newer := []byte(fmt.Sprintf(`{"format":%d}`, data.SnapshotFormat+1))
	manifest := filepath.Join(e.snapshots(), "2", data.Manifest)
	sum := fmt.Sprintf("%x  %s\n", sha256.Sum256(newer), data.Manifest)
	if err := errors.Join(os.WriteFile(manifest, newer, 0o600), os.WriteFile(manifest+".sha256", []byte(sum), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := e.Snapshot("2")
	isProblem(t, err, problem.Unavailable)
	if err := e.sweepSnapshots(1, nil); err != nil {
		t.Fatal(err)
	}
	all, err := e.Snapshots()
	if err != nil || len(all) != 2 || all[0].ID != "1" || all[0].Damaged != "" || !all[1].Newer || !strings.Contains(all[1].Damaged, "newer Greenroom") {
		t.Errorf("there are %+v, %v", all, err)
	}
}

// TestReadBackIsKept: that every row was read back is told apart from that all were counted, and a later load takes nothing
// from it. An earlier Greenroom's note says that they were counted.
func TestReadBackIsKept(t *testing.T) {
	e := lasting(t)
	f, err := data.NewFolder(filepath.Join(e.snapshots(), "1"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	if _, err := f.Complete(data.Snapshot{Engine: "postgres", Version: "15", Schema: "s", Taken: at}); err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(); err != nil {
		t.Fatal(err)
	}
	want := func(verified, readBack time.Time) {
		t.Helper()
		s, err := e.Snapshot("1")
		if err != nil || s.Verified == nil || !s.Verified.At.Equal(verified) || !s.Verified.ReadBack.Equal(readBack) {
			t.Fatalf("noted is %+v, %v", s.Verified, err)
		}
	}
	note := func(at time.Time, readBack bool) {
		t.Helper()
		s, err := e.Snapshot("1")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.verified(at, data.Loaded{Rows: 7}, readBack); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(verifiedFile(filepath.Join(e.snapshots(), "1")), []byte(`{"at":"2026-11-26T09:00:00Z","loaded":{"rows":7,"tables":1,"schema":"s","took":1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	want(at, time.Time{})
	note(at.Add(time.Hour), false)
	want(at.Add(time.Hour), time.Time{})
	note(at.Add(2*time.Hour), true)
	want(at.Add(2*time.Hour), at.Add(2*time.Hour))
	note(at.Add(3*time.Hour), false)
	want(at.Add(3*time.Hour), at.Add(2*time.Hour))
}

// TestTornBackup: a backup of which nothing can be read any more is named, hides no other, restores nothing, and can be
// removed.
func TestTornBackup(t *testing.T) {
	e := lasting(t)
	for _, id := range []string{"r1", "r2"} {
		if err := os.WriteFile(e.BackupFile(id), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(infoFile(e.BackupFile("r1")), []byte(`{"release":"sha256:0123","taken":7}`), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := e.Backups()
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, b := range all {
		if (b.Damaged != "") != (b.ID == "r1") || b.Release != "" {
			t.Errorf("%+v", b)
		}
	}
	_, err = e.BackupOf("r1")
	isProblem(t, err, problem.Unavailable)
	if err := e.RemoveBackup("r1"); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"r1", "", "../r2", "../../staging/backups/r2"} {
		isProblem(t, e.RemoveBackup(id), problem.NotFound)
	}
}
