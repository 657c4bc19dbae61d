package daemon

import (
	"archive/tar"
	"bytes"
	"context"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/problem"
)

// stateFile is a file in an archive of a state.
type stateFile struct{ name, text string }

// smallState are the files of a small state, which all hold its name.
func smallState(name string) []stateFile {
	return []stateFile{
		{headName, `{"format":1,"version":"v1"}`}, {storeName, name}, {"keys/" + name, name}, {"keys/active", name}, {"secrets/identity.age", name},
		{"artifacts/blobs/sha256/" + name, name}, {"environments/app/production/data/uploads/" + name, name}, {endName, ""},
	}
}

func archiveOf(t *testing.T, files []stateFile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		must(t, w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.text)), Format: tar.FormatPAX}))
		_, err := w.Write([]byte(f.text))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// wantState fails unless the folder holds exactly these files.
func wantState(t *testing.T, home string, files []stateFile) {
	t.Helper()
	want := map[string]string{}
	for _, f := range files {
		if f.name != headName && f.name != endName {
			want[f.name] = f.text
		}
	}
	got := map[string]string{}
	must(t, filepath.WalkDir(home, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(file)
		name, _ := filepath.Rel(home, file)
		got[name] = string(text)
		return err
	}))
	delete(got, "daemon.lock")
	if !maps.Equal(got, want) {
		t.Errorf("it holds %v\nwant %v", got, want)
	}
}

// A restore that is killed, behind any file and on its way out, leaves a folder in which no Greenroom starts; the next one
// restores another archive as if the first had never been.
func TestStateRestoreAfterAKill(t *testing.T) {
	first, second := smallState("first"), smallState("second")
	for behind := range first {
		home := filepath.Join(t.TempDir(), "home")
		must(t, begin(home))
		a := arrival{home: home, folders: map[string]bool{}}
		r := tar.NewReader(bytes.NewReader(archiveOf(t, first)))
		must(t, readHead(r))
		for range behind {
			f, err := r.Next()
			must(t, err)
			if f.Name == endName {
				must(t, a.end())
				break
			}
			must(t, a.extract(f, r))
		}
		wantProblem(t, wholeRestore(home), problem.Blocked, "interrupted", "greenroom state restore FILE")
		must(t, restoreState(t.Context(), home, bytes.NewReader(archiveOf(t, second))))
		must(t, wholeRestore(home))
		wantState(t, home, second)
	}
}

// With the store in its place the restore is done, whether its mark is gone or not.
func TestStateRestoreThatWasDoneBeforeAKill(t *testing.T) {
	home, first := filepath.Join(t.TempDir(), "home"), smallState("first")
	must(t, restoreState(t.Context(), home, bytes.NewReader(archiveOf(t, first))))
	must(t, os.WriteFile(filepath.Join(home, restoringName), nil, 0o600))
	wantProblem(t, restoreState(t.Context(), home, bytes.NewReader(archiveOf(t, smallState("second")))), problem.Blocked, "has a state already")
	must(t, wholeRestore(home))
	wantState(t, home, first)
}

// What fails takes back all of it, so that the next one, and a Greenroom that begins with nothing, find nothing.
func TestStateRestoreThatFails(t *testing.T) {
	good := smallState("first")
	without := func(name string) []stateFile {
		return slices.DeleteFunc(slices.Clone(good), func(f stateFile) bool { return f.name == name })
	}
	whole := archiveOf(t, good)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for what, c := range map[string]struct {
		ctx     context.Context
		archive []byte
	}{
		"cut off":             {t.Context(), whole[:len(whole)/2]},
		"without its end":     {t.Context(), archiveOf(t, without(endName))},
		"without a store":     {t.Context(), archiveOf(t, without(storeName))},
		"climbing out":        {t.Context(), archiveOf(t, append(good[:2:2], stateFile{"keys/../../x", ""}))},
		"the mark":            {t.Context(), archiveOf(t, append(good[:2:2], stateFile{restoringName, ""}))},
		"a folder as a file":  {t.Context(), archiveOf(t, append(good[:2:2], stateFile{"keys", ""}))},
		"a file as a folder":  {t.Context(), archiveOf(t, append(good[:3:3], stateFile{"keys/first/x", ""}))},
		"that is not awaited": {ended, whole},
	} {
		t.Run(what, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), "home")
			if err := restoreState(c.ctx, home, bytes.NewReader(c.archive)); err == nil {
				t.Error("nobody objects")
			}
			must(t, wholeRestore(home))
			wantState(t, home, nil)
			must(t, restoreState(t.Context(), home, bytes.NewReader(whole)))
			wantState(t, home, good)
		})
	}
}

// What lies there without a mark is no restore's, and stays.
func TestStateRestoreBesideSomethingElse(t *testing.T) {
	for _, folder := range restoredFolders {
		home := t.TempDir()
		own := stateFile{folder + "/own", "mine"}
		must(t, os.Mkdir(filepath.Join(home, folder), 0o700))
		must(t, os.WriteFile(filepath.Join(home, own.name), []byte(own.text), 0o600))
		wantProblem(t, restoreState(t.Context(), home, bytes.NewReader(archiveOf(t, smallState("first")))), problem.Blocked, "something in "+folder, "--home")
		wantState(t, home, []stateFile{own})
	}
}

// TestRestoreIsKilled kills a restore that waits for the rest of its archive.
func TestStateRestoreIsKilled(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	dir := newFolder(t)
	home, pipe := filepath.Join(dir, "home"), filepath.Join(dir, "archive")
	must(t, syscall.Mkfifo(pipe, 0o600))
	cmd := exec.Command(built.greenroom, "--home", home, "state", "restore", pipe)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	must(t, cmd.Start())
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	must(t, err)
	first := smallState("first")
	// A pipe holds less than this: when all is written most of it was read, and so the key before it was written.
	long := archiveOf(t, append(first[:3:3], stateFile{"artifacts/long", strings.Repeat("x", 4<<20)}))
	_, err = w.Write(long[:len(long)/2])
	must(t, err)
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Error("it was not killed")
	}
	must(t, w.Close())
	if _, err := os.Stat(filepath.Join(home, "keys", "first")); err != nil {
		t.Fatal("it had not come far enough:", err)
	}
	out, err := exec.Command(built.greenroom, "--home", home, "daemon").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "was interrupted") {
		t.Errorf("a Greenroom starts with that: %v %s", err, out)
	}
	file, second := filepath.Join(dir, "second.tar"), smallState("second")
	must(t, os.WriteFile(file, archiveOf(t, second), 0o600))
	if out, err := exec.Command(built.greenroom, "--home", home, "state", "restore", file).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	wantState(t, home, second)
}

func TestIsDatabase(t *testing.T) {
	c := app.Contents{Database: &app.Database{File: "data/shop.db"}}
	for name, is := range map[string]bool{
		"data/shop.db": true, "data/shop.db-wal": true, "data/shop.db-shm": true, "data/shop.db-journal": true,
		"data/shop.db.restore": true, "data/shop.db.pristine": true, "data/shop.db.pristine.partial-wal": true,
		"data/shop.db.csv": false, "data/shop.db-exports/1": false, "data/shop.db2": false, "data/shop.db.restored/a": false, "shop.db": false,
		"other/data/shop.db": false, "data/shop.d": false,
	} {
		if got := isDatabase(c, name); got != is {
			t.Errorf("%s: %v", name, got)
		}
	}
	if isDatabase(app.Contents{}, "data/shop.db") || isDatabase(app.Contents{Database: &app.Database{}}, "") {
		t.Error("an app without a file for its database has one")
	}
}
