package data

import (
	"bytes"
	"crypto/sha256"
	"fmt"
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
		"another format":  func(s string) string { return strings.Replace(s, `"format": 2`, `"format": 0`, 1) },
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

// manifested is a folder with that manifest, and its digest, beside the file that written writes.
func manifested(t *testing.T, manifest string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "snapshot")
	written(t, dir)
	sum := fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(manifest)), Manifest)
	for name, text := range map[string]string{Manifest: manifest, Manifest + ".sha256": sum} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// formatOne is a manifest as it was written before the rules stood in it.
const formatOne = `{
 "format": 1,
 "engine": "postgres",
 "version": "15.1",
 "taken": "2026-01-02T03:04:05.000000006Z",
 "took": 0,
 "schema": "abc",
 "masked": "abc",
 "rules": "",
 "tables": [
  {
   "name": "a",
   "rows": 0,
   "bytes": 0,
   "sum": "",
   "source": 0
  }
 ],
 "literals": 0,
 "files": [
  {
   "name": "rows",
   "size": 7,
   "sha256": "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
  }
 ],
 "size": 7,
 "source": 0,
 "canaries": 0
}
`

// TestAnOlderFormat is read, verified, and carried to another machine as it is.
func TestAnOlderFormat(t *testing.T) {
	dir := manifested(t, formatOne)
	s, err := VerifySnapshot(t.Context(), dir)
	if err != nil || s.Format != 1 || s.Tables[0].Name != "a" {
		t.Fatalf("%+v, %v", s, err)
	}
	var archive bytes.Buffer
	if err := WriteArchive(t.Context(), &archive, dir, "1", testSeal); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "snapshot")
	if _, err := ReadArchive(t.Context(), &archive, into(to, fmt.Sprintf("%x", sha256.Sum256([]byte(formatOne))))); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(to, Manifest)); err != nil || string(text) != formatOne {
		t.Errorf("the manifest is %s, %v", text, err)
	}
}

// TestANewerFormat is told as such and not as damaged, whatever else is in it, in a folder and on its way; one that was altered
// is damaged.
func TestANewerFormat(t *testing.T) {
	newer := func(t *testing.T, err error) {
		t.Helper()
		p := problem.From(err)
		if p == nil || p.Code != problem.Unavailable || !strings.Contains(p.Message, "was made by a newer Greenroom (format 3, this one knows 2): upgrade this one") || p.Hint == "" {
			t.Errorf("got %v", err)
		}
	}
	manifest := strings.Replace(formatOne, `"format": 1,`, `"format": 3, "chunks": [{"of": 7}],`, 1)
	manifest = strings.Replace(manifest, `"tables": [`, `"tables": {"elsewhere": true}, "kept": [`, 1)
	dir := manifested(t, manifest)
	if err := os.WriteFile(filepath.Join(dir, "more"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := ReadSnapshot(dir)
	newer(t, err)

	good, _ := exported(t, 2000)
	entries := entriesOf(t, good)
	entries[2].content = []byte(manifest)
	parent := t.TempDir()
	_, err = ReadArchive(t.Context(), bytes.NewReader(archiveOf(t, entries)), into(filepath.Join(parent, "snapshot"), fmt.Sprintf("%x", sha256.Sum256([]byte(manifest)))))
	newer(t, err)
	wantNothing(t, parent)

	if err := os.WriteFile(filepath.Join(dir, Manifest), []byte(strings.Replace(formatOne, `"format": 1`, `"format": 3`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSnapshot(dir); problem.From(err) == nil || problem.From(err).Code != problem.Fail {
		t.Errorf("what was altered is answered with %v", err)
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
	f.Add([]byte(formatOne))
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
