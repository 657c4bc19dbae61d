package artifact

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/problem"
)

func appBuild(files ...string) app.Build { return app.Build{Files: files} }

const unpacked = `dr-xr-xr-x bin 
-r-xr-xr-x bin/shop #!/bin/sh
echo shop

dr-xr-xr-x public 
-r--r--r-- public/index.html <h1>shop</h1>
Lrwxrwxrwx public/latest index.html
-r--r--r-- public/style.css body {}
`

func TestUnpackLaysOutReadOnly(t *testing.T) {
	umask := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(umask) })
	s, id := stored(t)
	dir := filepath.Join(placed(t), "web")
	must(t, s.Unpack(t.Context(), id, ServiceFiles("web"), dir))
	if got := listing(t, dir); got != unpacked {
		t.Errorf("got\n%s", got)
	}
	info, err := os.Stat(dir)
	must(t, err)
	if info.Mode() != os.ModeDir|0o555 {
		t.Errorf("the folder has mode %s", info.Mode())
	}
	must(t, s.Verify(t.Context(), id, ServiceFiles("web"), dir))
	checks := filepath.Join(filepath.Dir(dir), "checks")
	must(t, s.Unpack(t.Context(), id, Checks, checks))
	out, err := exec.Command(filepath.Join(checks, "test", "smoke")).CombinedOutput()
	if err != nil {
		t.Errorf("the check does not run: %v %s", err, out)
	}
}

func TestUnpackReusesWhatIsIntact(t *testing.T) {
	s, id := stored(t)
	dir := filepath.Join(placed(t), "web")
	must(t, s.Unpack(t.Context(), id, "service/web", dir))
	before, err := os.Stat(dir)
	must(t, err)
	must(t, s.Unpack(t.Context(), id, "service/web", dir))
	after, err := os.Stat(dir)
	must(t, err)
	if !os.SameFile(before, after) {
		t.Error("it was laid out anew")
	}
}

// changes are the ways in which somebody may touch what runs.
var changes = []struct {
	name string
	do   func(dir string) error
	want string
}{
	{"a changed file", func(dir string) error { return overwrite(dir+"/public/style.css", "body {]") }, `"public/style.css" was changed`},
	{"a longer file", func(dir string) error { return overwrite(dir+"/public/style.css", "body {} ") }, `"public/style.css" was changed`},
	{"a removed file", func(dir string) error { return os.Remove(dir + "/public/style.css") }, `"public/style.css" is missing`},
	{"an added file", func(dir string) error { return os.WriteFile(dir+"/bin/extra", nil, 0o444) }, `"bin/extra" was added`},
	{"an added file at the root", func(dir string) error { return os.WriteFile(dir+"/.env", nil, 0o444) }, `".env" was added`},
	{"an added folder", func(dir string) error { return os.Mkdir(dir+"/bin/extra", 0o555) }, `"bin/extra" was added`},
	{"an added symlink", func(dir string) error { return os.Symlink("shop", dir+"/bin/x") }, `"bin/x" was added`},
	{"an executable", func(dir string) error { return os.Chmod(dir+"/public/style.css", 0o555) }, `"public/style.css" has mode -r-xr-xr-x instead of -r--r--r--`},
	{"a writable file", func(dir string) error { return os.Chmod(dir+"/public/style.css", 0o644) }, `"public/style.css" has mode`},
	{"a setuid file", func(dir string) error { return os.Chmod(dir+"/bin/shop", 0o555|os.ModeSetuid) }, `"bin/shop" has mode`},
	{"a writable folder", func(dir string) error { return os.Chmod(dir+"/bin", 0o777) }, `"bin" has mode`},
	{"a writable root", func(dir string) error { return os.Chmod(dir, 0o755) }, `"." has mode`},
	{"another symlink", func(dir string) error { return relink("style.css", dir+"/public/latest") }, `"public/latest" is not the symlink`},
	{"a symlink for a file", func(dir string) error { return relink("index.html", dir+"/public/style.css") }, `"public/style.css" is a`},
	{"a folder for a file", func(dir string) error {
		if err := os.Remove(dir + "/public/style.css"); err != nil {
			return err
		}
		return os.Mkdir(dir+"/public/style.css", 0o555)
	}, `"public/style.css" is a folder`},
	{"a pipe for a file", func(dir string) error {
		if err := os.Remove(dir + "/public/style.css"); err != nil {
			return err
		}
		return syscall.Mkfifo(dir+"/public/style.css", 0o444)
	}, `"public/style.css" is a named pipe`},
	{"a symlink for a folder with the same files", func(dir string) error {
		if err := os.Rename(dir+"/public", dir+"/other"); err != nil {
			return err
		}
		return os.Symlink("other", dir+"/public")
	}, `"public" is no folder any more`},
	{"a folder that is gone", func(dir string) error { return RemoveTree(dir) }, "is not laid out"},
	{"a file for the folder", func(dir string) error {
		if err := RemoveTree(dir); err != nil {
			return err
		}
		return os.WriteFile(dir, nil, 0o600)
	}, "can't be opened as a folder"},
}

// overwrite changes a read-only file, and leaves it read-only.
func overwrite(name, content string) error {
	return errors.Join(os.Chmod(name, 0o644), os.WriteFile(name, []byte(content), 0o644), os.Chmod(name, 0o444))
}

func relink(target, name string) error {
	if err := os.Remove(name); err != nil {
		return err
	}
	return os.Symlink(target, name)
}

func TestVerifyFindsEveryChange(t *testing.T) {
	s, id := stored(t)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(placed(t), "web")
			must(t, s.Unpack(t.Context(), id, "service/web", dir))
			makeWritable(t, dir)
			must(t, c.do(dir))
			makeReadOnly(t, dir)
			if c.name == "a writable root" || c.name == "a writable folder" {
				must(t, c.do(dir))
			}
			wantProblem(t, s.Verify(t.Context(), id, "service/web", dir), problem.Fail, c.want)

			must(t, s.Unpack(t.Context(), id, "service/web", dir))
			if got := listing(t, dir); got != unpacked {
				t.Errorf("laid out anew:\n%s", got)
			}
			must(t, s.Verify(t.Context(), id, "service/web", dir))
			if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func makeWritable(t *testing.T, dir string) {
	for _, d := range []string{"", "/bin", "/public"} {
		must(t, os.Chmod(dir+d, 0o755))
	}
}

func makeReadOnly(t *testing.T, dir string) {
	for _, d := range []string{"/bin", "/public", "/other", ""} {
		if info, err := os.Lstat(dir + d); err == nil && info.IsDir() {
			must(t, os.Chmod(dir+d, 0o555))
		}
	}
}

func TestVerifyNamesTheFirstFew(t *testing.T) {
	s, id := stored(t)
	dir := filepath.Join(placed(t), "web")
	must(t, s.Unpack(t.Context(), id, "service/web", dir))
	must(t, os.Chmod(dir, 0o755))
	for _, name := range strings.Fields("1 2 3 4 5 6 7") {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o444))
	}
	wantProblem(t, s.Verify(t.Context(), id, "service/web", dir), problem.Fail, "; and 3 more")
}

func TestUnpackClearsWhatAKilledOneLeft(t *testing.T) {
	s, id := stored(t)
	parent := placed(t)
	left := filepath.Join(parent, ".web.tmp-123")
	write(t, left, map[string]string{"bin/shop": "half"})
	must(t, os.Chmod(filepath.Join(left, "bin"), 0o555))
	must(t, os.Chmod(left, 0o555))
	must(t, s.Unpack(t.Context(), id, "service/web", filepath.Join(parent, "web")))
	if entries, _ := os.ReadDir(parent); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}

func TestUnpackTellsOfDiskErrors(t *testing.T) {
	s, id := stored(t)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	wantProblem(t, s.Unpack(t.Context(), id, "service/web", filepath.Join(file, "web")), problem.Unavailable, "can't be laid out")
}

func TestUnpackedFilesHaveTheTimeOfTheirUnpacking(t *testing.T) {
	s, id := stored(t)
	dir := filepath.Join(placed(t), "web")
	must(t, s.Unpack(t.Context(), id, "service/web", dir))
	info, err := os.Stat(filepath.Join(dir, "bin", "shop"))
	must(t, err)
	if time.Since(info.ModTime()) > time.Hour {
		t.Errorf("time %s: browsers would keep the old release's files", info.ModTime())
	}
}

func TestRemoveTree(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, map[string]string{"kept/file": "x"})
	must(t, os.Chmod(filepath.Join(outside, "kept"), 0o555))
	t.Cleanup(func() { must(t, os.Chmod(filepath.Join(outside, "kept"), 0o755)) })
	dir := filepath.Join(t.TempDir(), "tree")
	write(t, dir, map[string]string{"a/b/c": "x", "a/out": "-> " + filepath.Join(outside, "kept")})
	for _, d := range []string{"a/b", "a", ""} {
		must(t, os.Chmod(filepath.Join(dir, d), 0o555))
	}
	for range 2 {
		must(t, RemoveTree(dir))
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
	info, err := os.Stat(filepath.Join(outside, "kept"))
	must(t, err)
	if info.Mode().Perm() != 0o555 {
		t.Error("it followed a symlink")
	}
}
