package data

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/problem"
)

func testSnapshot() Snapshot {
	return Snapshot{Engine: "postgres", Version: "15.1", Taken: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Schema: "abc", Masked: "abc",
		Tables: []SnapshotTable{{Name: "b", Rows: 2, Changed: map[string]int64{"x": 1}}, {Name: "a"}}}
}

// written writes a snapshot with a file into dir.
func written(t *testing.T, dir string) Snapshot {
	t.Helper()
	f, err := NewFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := f.Create("rows")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := f.Complete(testSnapshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFolder(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "snapshot")
	s := written(t, dir)
	if s.Size != 7 || s.Format != SnapshotFormat || len(s.Files) != 1 || s.Tables[0].Name != "a" {
		t.Errorf("%+v", s)
	}
	got, err := VerifySnapshot(t.Context(), dir)
	if err != nil || got.Size != s.Size || got.Tables[1].Changed["x"] != 1 || !got.Taken.Equal(s.Taken) {
		t.Errorf("%+v, %v", got, err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestFolderOfTheDead has a folder that somebody still writes, and one whose writer was killed.
func TestFolderOfTheDead(t *testing.T) {
	parent := t.TempDir()
	alive, err := NewFolder(filepath.Join(parent, "alive"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(parent, ".dead.partial", "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFolder(filepath.Join(parent, "alive")); problem.From(err) == nil || problem.From(err).Code != problem.Blocked {
		t.Errorf("two wrote the same snapshot: %v", err)
	}
	written(t, filepath.Join(parent, "third"))
	if _, err := os.Stat(filepath.Join(parent, ".dead.partial")); err == nil {
		t.Error("what a killed one left is still there")
	}
	if _, err := alive.Create("rows"); err != nil {
		t.Errorf("the folder of a living one was swept: %v", err)
	}
	if err := alive.Discard(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(parent, ".alive.partial")); err == nil {
		t.Error("Discard left its folder")
	}
}

func TestFullDisk(t *testing.T) {
	err := fullDisk("/snapshots/one", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	if p := problem.From(err); p.Code != problem.Unavailable || !strings.Contains(p.Hint, "/snapshots") {
		t.Errorf("%+v", p)
	}
}

// TestManifestIsStrict changes the text of a manifest in ways that JSON would take, with a digest that agrees.
func TestManifestIsStrict(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"unknown key":     func(s string) string { return strings.Replace(s, "{", `{"more": 1,`, 1) },
		"key twice":       func(s string) string { return strings.Replace(s, `"engine"`, `"engine": "x", "engine"`, 1) },
		"another case":    func(s string) string { return strings.Replace(s, `"engine"`, `"Engine"`, 1) },
		"something after": func(s string) string { return s + "{}" },
		"space":           func(s string) string { return s + " " },
		"another format":  func(s string) string { return strings.Replace(s, `"format": 1`, `"format": 2`, 1) },
		"another size":    func(s string) string { return strings.Replace(s, `"size": 7,`, `"size": 8,`, 1) },
		"climbing out":    func(s string) string { return strings.Replace(s, `"rows"`, `"../rows"`, 1) },
		"no engine":       func(s string) string { return strings.Replace(s, `"postgres"`, `""`, 1) },
		"unsorted":        func(s string) string { return strings.Replace(s, `"name": "a"`, `"name": "c"`, 1) },
		"twice":           func(s string) string { return strings.Replace(s, `"name": "a"`, `"name": "b"`, 1) },
		"negative":        func(s string) string { return strings.Replace(s, `"rows": 2`, `"rows": -2`, 1) },
		"larger indexes":  func(s string) string { return strings.Replace(s, `"source": 0`, `"source": 0, "index": 1`, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "snapshot")
			written(t, dir)
			file := filepath.Join(dir, Manifest)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			changed := change(string(text))
			if changed == string(text) {
				t.Fatal("nothing was changed")
			}
			if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(file + ".sha256"); err != nil { // Intact takes a file without one as it is
				t.Fatal(err)
			}
			if _, err := ReadSnapshot(dir); problem.From(err) == nil || problem.From(err).Code != problem.Fail {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzParseSnapshot(f *testing.F) {
	s := testSnapshot()
	s.Format = SnapshotFormat
	s.Sort()
	text, err := encodeSnapshot(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSnapshot(text)
		if err != nil {
			return
		}
		if again, err := encodeSnapshot(s); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q is read and written as %q", text, again)
		}
	})
}
