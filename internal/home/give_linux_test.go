package home_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"greenroom/internal/home"
)

// Any numbers do: who has them is nobody's business here.
const uid, gid = 54321, 54322

// tree makes a folder with a file, a folder in which nobody may look, and links out of it.
func tree(t *testing.T) (dir, outside string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can give files away")
	}
	dir, outside = filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "outside")
	closed := filepath.Join(dir, "closed")
	for _, err := range []error{
		os.MkdirAll(closed, 0o755), os.Mkdir(outside, 0o755),
		os.WriteFile(filepath.Join(outside, "secret"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "file"), nil, 0o600), os.WriteFile(filepath.Join(closed, "file"), nil, 0),
		os.Chmod(filepath.Join(closed, "file"), 0o755|fs.ModeSetuid|fs.ModeSetgid),
		os.Symlink(outside, filepath.Join(dir, "link")), os.Symlink(filepath.Join(outside, "secret"), filepath.Join(closed, "link")),
		os.Symlink("nowhere", filepath.Join(dir, "broken")), os.Chmod(closed, 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, outside
}

// strangers are the names in a folder, itself included, that are not the user's.
func strangers(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != uid || st.Gid != gid {
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestGive(t *testing.T) {
	dir, outside := tree(t)
	for range 2 {
		if err := home.Give(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		if s := strangers(t, dir); len(s) > 0 {
			t.Errorf("not given: %v", s)
		}
	}
	if s := strangers(t, outside); len(s) != 2 {
		t.Errorf("what a link leads to was given: of two only %v is left", s)
	}
	info, err := os.Stat(filepath.Join(dir, "closed", "file"))
	if err != nil || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		t.Errorf("a file that lends its owner's rights was given as it was: %v, %v", info.Mode(), err)
	}
}

// A call that was cut off before any of its changes is made whole by the next.
func TestGiveCutOff(t *testing.T) {
	for _, done := range [][]string{{}, {"file"}, {"file", "link", "closed/file"}, {"file", "link", "broken", "closed", "closed/file", "closed/link"}} {
		dir, _ := tree(t)
		for _, name := range done {
			if err := os.Lchown(filepath.Join(dir, name), uid, gid); err != nil {
				t.Fatal(err)
			}
		}
		if own, err := home.Belongs(dir, uid, gid); own || err != nil {
			t.Errorf("after %v it counts as given: %v", done, err)
		}
		if err := home.Give(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		if s := strangers(t, dir); len(s) > 0 {
			t.Errorf("after %v it is not given: %v", done, s)
		}
	}
}

func TestGiveNothing(t *testing.T) {
	if err := home.Give(filepath.Join(t.TempDir(), "missing"), uid, gid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}

// Folders that an earlier version left open are closed, and those through which environments' users pass are not.
func TestMake(t *testing.T) {
	h := home.Home(filepath.Join(t.TempDir(), "home"))
	if err := os.MkdirAll(h.Artifacts(), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Make(); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]fs.FileMode{
		string(h): 0o711, h.Environments(): 0o711, h.Files(): 0o711, h.Runs(): 0o711,
		h.Artifacts(): 0o700, h.Replicas(): 0o700, h.Edge(): 0o700, h.Uploads(): 0o700,
	} {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v; want %v", dir, info.Mode(), err, want)
		}
	}
}
