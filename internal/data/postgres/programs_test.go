package postgres

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/problem"
)

func TestMajor(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]int{"16": 16, "16.4": 16, "16.4-alpine3.20": 16, "17beta1": 17, "latest": 0, "": 0, "alpine": 0, "bookworm": 0} {
		if got := Major(tag); got != want {
			t.Errorf("%q: %d, want %d", tag, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	here := []Programs{{Bin: "/a", Major: 15, Version: "15.7"}, {Bin: "/b", Major: 17, Version: "17.1"}, {Bin: "/c", Major: 17, Version: "17.0"}, {Bin: "/d", Major: 9}}
	cases := []struct {
		want   int
		bin    string
		notice string
	}{
		{15, "/a", ""},
		{17, "/b", ""},
		{0, "/b", ""},
		{16, "/b", "PostgreSQL 16 is not on this machine: PostgreSQL 17.1 from /b serves in its place"},
		{9, "/b", "PostgreSQL 9 is not on this machine: PostgreSQL 17.1 from /b serves in its place"},
	}
	for _, c := range cases {
		if got, ok := choose(here, c.want); !ok || got.Bin != c.bin || got.Notice != c.notice {
			t.Errorf("%d: %+v, %v", c.want, got, ok)
		}
	}
	if _, ok := choose(here[3:], 9); ok {
		t.Error("chose a version that is too old")
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	p := programs(t)
	if p.Major < oldest || !strings.HasPrefix(p.Version, fmt.Sprint(p.Major)) || p.Notice != "" || !filepath.IsAbs(p.Bin) {
		t.Errorf("%+v", p)
	}
	other, err := Find(fmt.Sprint(p.Major + 50))
	if err != nil || other.Bin != p.Bin || other.Notice == "" {
		t.Errorf("%+v, %v", other, err)
	}
}

// TestFindForData has data of this machine's version, and a tag that asks for a later one.
func TestFindForData(t *testing.T) {
	t.Parallel()
	p := programs(t)
	dir := t.TempDir()
	later := fmt.Sprint(p.Major + 50)
	if got, err := FindFor(later, dir); err != nil || !strings.Contains(got.Notice, "not on this machine") {
		t.Errorf("without data: %+v, %v", got, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte(fmt.Sprintln(p.Major)), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := FindFor(later, dir)
	if err != nil || got.Major != p.Major {
		t.Errorf("%+v, %v", got, err)
	}
	mustContain(t, got.Notice, "asks for PostgreSQL "+later, dir, "PostgreSQL "+p.Version)
}

// TestFindFollowsLinks has a server in PATH that is a link, as some packages make them, without pg_dump beside it.
func TestFindFollowsLinks(t *testing.T) {
	t.Parallel()
	p := programs(t)
	dir := t.TempDir()
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.Symlink(p.path(name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok := new(Finder).inspect(dir); !ok || got.Bin != p.Bin {
		t.Errorf("%+v, %v", got, ok)
	}
}

// TestFinderAsksOnce: a server is run once, however often it is found, and again where another has taken its place, or where
// it could not say its version.
func TestFinderAsksOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	server := func(says string) {
		t.Helper()
		next := filepath.Join(dir, "next")
		if err := os.WriteFile(next, []byte("#!/bin/sh\necho run >> '"+log+"'\n"+says+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "postgres")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "initdb"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	var f Finder
	for _, c := range []struct {
		says, version string
		runs          int // by then
	}{
		{"exit 1", "", 2},
		{"echo 'postgres (PostgreSQL) 15.7 (Debian)'", "15.7", 3},
		{"echo 'postgres (PostgreSQL) 17beta1'", "17beta1", 4},
	} {
		server(c.says)
		for range 2 {
			if p, ok := f.inspect(dir); p.Version != c.version && ok || ok != (c.version != "") || ok && p.Major != Major(c.version) {
				t.Errorf("%s: %+v, %v", c.says, p, ok)
			}
		}
		told, err := os.ReadFile(log)
		if err != nil || strings.Count(string(told), "run\n") != c.runs {
			t.Errorf("after %s it was run %q times, %v", c.says, told, err)
		}
	}
}

// TestFetch unpacks an archive that stands in the module's cache already, made of this machine's own programs, and
// starts a server from it.
func TestFetch(t *testing.T) {
	t.Parallel()
	p := programs(t)
	version, err := archiveVersion(p.Major)
	if err != nil {
		t.Skip("SKIPPED: the module knows no archive of this machine's version")
	}
	if os.Getenv(Folders) != "" {
		t.Skip("SKIPPED: the archive is packed from an installation that is where it was built for")
	}
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("SKIPPED: xz is missing, with which the archive is packed")
	}
	cache := filepath.Join(folder(t), "cache")
	if err := os.Mkdir(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(cache, fmt.Sprintf("embedded-postgres-binaries-%s-%s-%s.txz", runtime.GOOS, archiveArch(), version))

	if err := os.WriteFile(archive, []byte("not an archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Fetch(bounded(t), fmt.Sprint(p.Major), cache); problem.From(err) == nil || problem.From(err).Code != problem.Unavailable {
		t.Errorf("a damaged archive: %v", err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Fetch(cancelled, fmt.Sprint(p.Major), cache); err == nil {
		t.Error("a damaged archive, cancelled: no error")
	}
	pack(t, p, archive)
	// The race detector makes unpacking slow, and a busy machine slower.
	patient, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	for range 2 { // the second time it is there
		got, err := Fetch(patient, fmt.Sprint(p.Major), cache)
		if err != nil {
			t.Fatal(err)
		}
		if got.Version != p.Version || !strings.HasPrefix(got.Bin, cache) {
			t.Errorf("%+v", got)
		}
		if err := got.need("pg_dump"); problem.From(err) == nil || problem.From(err).Code != problem.Unavailable {
			t.Errorf("an archive has no pg_dump: %v", err)
		}
	}
	eventually(t, "the cache is swept", func() bool {
		left, _ := filepath.Glob(filepath.Join(cache, ".unpack-*"))
		return len(left) == 0
	})
	got, err := Fetch(patient, fmt.Sprint(p.Major), cache)
	if err != nil {
		t.Fatal(err)
	}
	r, err := boot(bounded(t), newServer(got, filepath.Join(folder(t), "server")))
	if err != nil {
		t.Fatal(err)
	}
	r.end(syscall.SIGINT)
}

func TestFetchOfAnUnknownVersion(t *testing.T) {
	t.Parallel()
	_, err := Fetch(bounded(t), "9.6", t.TempDir())
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable || p.Hint == "" {
		t.Errorf("got %v", err)
	}
}

func archiveArch() string {
	if runtime.GOARCH == "arm64" {
		return "arm64v8"
	}
	return runtime.GOARCH
}

// pack makes an archive like the module's: the server's programs and what initdb loads, in tar and xz.
func pack(t *testing.T, p Programs, archive string) {
	t.Helper()
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	xz := exec.Command("xz", "-0", "--stdout")
	in, err := xz.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	xz.Stdout = f
	if err := xz.Start(); err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(in)
	for _, name := range []string{"bin/postgres", "bin/initdb", "lib/dict_snowball.so", "lib/plpgsql.so"} {
		content, err := os.ReadFile(filepath.Join(filepath.Dir(p.Bin), name))
		if err != nil {
			t.Fatal(err)
		}
		err = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), in.Close(), xz.Wait(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
