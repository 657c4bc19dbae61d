package artifact

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// write makes a file below dir; a content that begins with "-> " makes a symlink, a name that ends in "*" an executable.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		exec := strings.HasSuffix(name, "*")
		file := filepath.Join(dir, strings.TrimSuffix(name, "*"))
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			must(t, os.Symlink(target, file))
			continue
		}
		must(t, os.WriteFile(file, []byte(content), 0o644))
		if exec {
			must(t, os.Chmod(file, 0o755))
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantProblem fails unless err is a problem of that code whose message holds text.
func wantProblem(t testing.TB, err error, code problem.Code, text string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != code || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v, want a problem of code %s with %q", err, code, text)
	}
}

// shop is an app with one service and one check.
func shop(build app.Build, checkFiles ...string) app.App {
	return app.App{Name: "shop", Contents: app.Contents{
		Services: []app.Service{
			{Name: "db", Kind: app.KindPostgres, Image: "postgres:15"},
			{Name: "web", Kind: app.KindProcess, Build: &build, Command: []string{"bin/shop"}, Env: map[string]string{"A": "ü", "B": "2"}},
		},
		Checks: []app.Check{{Name: "smoke", Run: "test/smoke", Files: checkFiles}},
	}}
}

// repository is a folder with a small shop in it.
func repository(t testing.TB, more map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"bin/shop*":         "#!/bin/sh\necho shop\n",
		"public/style.css":  "body {}",
		"public/index.html": "<h1>shop</h1>",
		"public/latest":     "-> index.html",
		"test/smoke*":       "#!/bin/sh\n",
		".git/HEAD":         "ref: refs/heads/main",
	})
	write(t, dir, more)
	return dir
}

func build(t testing.TB, o BuildOptions) Built {
	t.Helper()
	if o.Env == nil {
		o.Env = os.Environ()
	}
	built, err := Build(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, built.Close()) })
	return built
}

// open opens a new store in a folder that the test's end can remove.
func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "releases"))
	must(t, err)
	return s
}

// placed is a folder for artifacts that are laid out, which are read-only.
func placed(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			must(t, RemoveTree(filepath.Join(dir, e.Name())))
		}
	})
	return dir
}

// stored is a store with one small release in it.
func stored(t testing.TB) (*Store, release.Digest) {
	t.Helper()
	s := open(t)
	built := build(t, BuildOptions{Repository: repository(t, nil), App: shop(app.Build{Files: []string{"bin", "public"}}, "test/smoke")})
	id, err := s.Put(t.Context(), built)
	must(t, err)
	return s, id
}

// listing is what lies in a folder: mode, name, content or target, a line for each.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		must(t, err)
		rel, err := filepath.Rel(dir, name)
		must(t, err)
		content := ""
		switch {
		case d.Type() == fs.ModeSymlink:
			content, err = os.Readlink(name)
		case !d.IsDir():
			var text []byte
			text, err = os.ReadFile(name)
			content = string(text)
		}
		b.WriteString(info.Mode().String() + " " + rel + " " + content + "\n")
		return err
	}))
	return b.String()
}

// archive writes a tar with these headers; what a header's Uname holds is the content, and is taken out of it.
func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := h.Uname
		h.Uname = ""
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = map[byte]int64{tar.TypeReg: 0o644, tar.TypeSymlink: 0o777}[h.Typeflag]
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		must(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write([]byte(content))
			must(t, err)
		}
	}
	must(t, w.Close())
	return b.Bytes()
}
