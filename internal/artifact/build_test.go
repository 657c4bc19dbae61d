package artifact

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/internal/app"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

func TestMain(m *testing.M) {
	if mainOfChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

func TestBuildGivesTheSameReleaseEverywhere(t *testing.T) {
	files := map[string]string{
		"src/main":                           "source",
		"ünïcode/Ñ":                          "nfc",
		"ünïcode/N\u0303":                    "nfd",
		"Case":                               "upper",
		"case":                               "lower",
		strings.Repeat("long/", 60) + "file": "6",
		"a":                                  "before a.b and a/c in the order of names, not of folders",
		"a.b":                                "1",
		"ab/c":                               "2",
		"not-utf8-\xff/file\xfe":             "3",
		"line\nbreak":                        "4",
		"tool*":                              "5",
		"deep/er/up":                         "-> ../../Case",
		strings.Repeat("l/", 60) + "ink":     "-> x",
	}
	made := app.Build{Run: `printf 'built by %s' "$MAKER" > out && chmod 0777 out && mkdir -p empty/folder`}
	first := build(t, BuildOptions{
		Repository: repository(t, files), App: shop(made, "test/smoke"), Env: append(os.Environ(), "MAKER=make"),
	})

	// Another folder, another umask, another order of making, other times, hard links, another order of the definition's files.
	umask := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(umask) })
	other := filepath.Join(t.TempDir(), "some where else")
	must(t, os.Mkdir(other, 0o700))
	names := slices.Sorted(maps.Keys(files))
	slices.Reverse(names)
	for _, name := range names {
		write(t, other, map[string]string{name: files[name]})
	}
	for name, content := range map[string]string{
		"bin/shop*": "#!/bin/sh\necho shop\n", "public/style.css": "body {}", "public/index.html": "<h1>shop</h1>",
		"public/latest": "-> index.html", "test/smoke*": "#!/bin/sh\n", ".git/config": "other",
	} {
		write(t, other, map[string]string{name: content})
	}
	must(t, os.Remove(filepath.Join(other, "a.b")))
	must(t, os.WriteFile(filepath.Join(other, ".git", "one"), []byte("1"), 0o600))
	must(t, os.Link(filepath.Join(other, ".git", "one"), filepath.Join(other, "a.b")))
	must(t, os.Chtimes(filepath.Join(other, "Case"), time.Unix(1, 0), time.Unix(1e9, 5)))
	second := build(t, BuildOptions{Repository: other, App: shop(made, "test/smoke"), Env: append(os.Environ(), "MAKER=make")})

	if a, b := first.Release.Digest(), second.Release.Digest(); a != b {
		t.Fatalf("two builds of the same: %s and %s\n%s\n%s", a, b, first.Release.Bytes(), second.Release.Bytes())
	}
	if a, b := exported(t, first), exported(t, second); !bytes.Equal(a, b) {
		t.Fatal("two builds of the same export different bytes")
	}

	changes := map[string]func(){
		"a byte": func() { write(t, other, map[string]string{"Case": "Upper"}) },
		"a mode": func() { must(t, os.Chmod(filepath.Join(other, "Case"), 0o755)) },
		"a name": func() { must(t, os.Rename(filepath.Join(other, "Case"), filepath.Join(other, "CASE"))) },
		"a symlink": func() {
			must(t, os.Remove(filepath.Join(other, "deep/er/up")))
			write(t, other, map[string]string{"deep/er/up": "-> ../../case"})
		},
		"a check": func() { write(t, other, map[string]string{"test/smoke*": "#!/bin/sh\ntrue\n"}) },
	}
	seen := map[release.Digest]string{first.Release.Digest(): "nothing"}
	for _, what := range slices.Sorted(maps.Keys(changes)) {
		changes[what]()
		got := build(t, BuildOptions{Repository: other, App: shop(made, "test/smoke"), Env: append(os.Environ(), "MAKER=make")})
		if before := seen[got.Release.Digest()]; before != "" {
			t.Errorf("changing %s gave the same release as changing %s", what, before)
		}
		seen[got.Release.Digest()] = what
	}
}

func exported(t testing.TB, b Built) []byte {
	t.Helper()
	var buf bytes.Buffer
	must(t, b.Export(t.Context(), &buf))
	return buf.Bytes()
}

func TestBuildPacksWhatIsNamed(t *testing.T) {
	more := map[string]string{
		".dockerignore":    "# comment\nsecret*\n\n**/*.log\ntmp/\n!tmp/keep\n/only-root\n",
		"secret.env":       "s",
		"sub/secret.env":   "not at the root",
		"app.log":          "l",
		"sub/deep/app.log": "l",
		"tmp/junk":         "j",
		"tmp/keep":         "k",
		"only-root":        "x",
		"sub/only-root":    "y",
		"sub/.git":         "gitdir: elsewhere",
		"state/store.db":   "greenroom's own",
	}
	all := ".dockerignore bin/shop public/index.html public/latest public/style.css sub/only-root sub/secret.env test/smoke tmp/keep"
	cases := []struct {
		name  string
		files []string
		more  map[string]string
		want  string
	}{
		{name: "everything but what is ignored", want: all},
		{name: "greenroom's own ignore file counts", more: map[string]string{".greenroomignore": "*\n!public/*.css\n"}, want: "public/style.css"},
		{name: "a file", files: []string{"bin/shop"}, want: "bin/shop"},
		{name: "a folder", files: []string{"./public/"}, want: "public/index.html public/latest public/style.css"},
		{name: "a name is not ignored", files: []string{"secret.env"}, want: "secret.env"},
		{name: "a glob", files: []string{"public/*.css", "b?n/[a-s]*"}, want: "bin/shop public/style.css"},
		{name: "a glob over folders", files: []string{"**/*.log"}, want: "app.log sub/deep/app.log"},
		{name: "a glob that matches a folder", files: []string{"su*/d**"}, want: "sub/deep/app.log"},
		{name: "twice is once", files: []string{"bin", "bin/shop", "bin/*"}, want: "bin/shop"},
		{name: "everything by name", files: []string{"."}, want: ".dockerignore app.log bin/shop only-root public/index.html public/latest " +
			"public/style.css secret.env sub/deep/app.log sub/only-root sub/secret.env test/smoke tmp/junk tmp/keep"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := repository(t, more)
			write(t, dir, c.more)
			built := build(t, BuildOptions{Repository: dir, App: shop(app.Build{Files: c.files}), State: filepath.Join(dir, "state")})
			if got := contents(t, built, "service/web"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if got := contents(t, built, Checks); got != "" {
				t.Errorf("a check without files packed %s", got)
			}
		})
	}
}

// contents lists the names in an artifact.
func contents(t testing.TB, b Built, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join(b.dir, hexOf(b.Release.Files[name].Digest)))
	must(t, err)
	defer func() { must(t, f.Close()) }()
	var names []string
	must(t, scan(f, func(e entry, _ io.Reader) error { names = append(names, e.name); return nil }))
	return strings.Join(names, " ")
}

func TestBuildRefuses(t *testing.T) {
	cases := []struct {
		name  string
		build app.Build
		more  map[string]string
		make  func(t *testing.T, dir string)
		code  problem.Code
		want  string
	}{
		{name: "a missing file", build: app.Build{Files: []string{"bin/none", "bin"}}, code: problem.Invalid, want: `"bin/none" does not exist`},
		{name: "a glob without matches", build: app.Build{Files: []string{"dist/*.js"}}, code: problem.Invalid, want: `"dist/*.js" stands for no file`},
		{name: "an empty folder", build: app.Build{Run: "mkdir dist", Files: []string{"dist"}}, code: problem.Invalid, want: `"dist" stands for no file`},
		{name: "a broken glob", build: app.Build{Files: []string{"dist/[ab"}}, code: problem.Invalid, want: `"dist/[ab" is not a pattern`},
		{name: "a climbing file", build: app.Build{Files: []string{"../else"}}, code: problem.Invalid, want: "leads out"},
		{name: "an absolute file", build: app.Build{Files: []string{"/etc/passwd"}}, code: problem.Invalid, want: "leads out"},
		{name: "a climbing context", build: app.Build{Context: "../else"}, code: problem.Invalid, want: "leads out of the repository"},
		{name: "a missing context", build: app.Build{Context: "none"}, code: problem.Invalid, want: `"none" does not exist`},
		{name: "a climbing symlink", more: map[string]string{"out": "-> ../x"}, code: problem.Invalid, want: `the symlink "out" points to "../x"`},
		{name: "an absolute symlink", more: map[string]string{"out": "-> /etc/passwd"}, code: problem.Invalid, want: "not a relative path"},
		{name: "a symlink that climbs behind another", more: map[string]string{"x/y/a": "-> ../..", "l": "-> x/y/a/../secret"},
			code: problem.Invalid, want: `"l" points to`},
		{name: "a context behind a symlink that leads out", build: app.Build{Context: "ctx"}, more: map[string]string{"ctx": "-> /etc"},
			code: problem.Invalid, want: "the build context"},
		{name: "a named pipe", make: func(t *testing.T, dir string) { must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)) },
			code: problem.Invalid, want: `"pipe" is a named pipe`},
		{name: "a socket", make: func(t *testing.T, dir string) {
			l, err := net.Listen("unix", filepath.Join(dir, "sock"))
			must(t, err)
			t.Cleanup(func() { must(t, l.Close()) })
		}, code: problem.Invalid, want: `"sock" is a socket`},
		{name: "a broken ignore file", more: map[string]string{".dockerignore": "\n[\n"}, code: problem.Invalid, want: ".dockerignore, line 2"},
		{name: "a build that fails", build: app.Build{Run: "seq 1000; echo no such thing >&2; exit 2"}, code: problem.Fail, want: "exit code 2\n"},
		{name: "a build that can't start", build: app.Build{Run: "no-such-command"}, code: problem.Fail, want: "exit code 127"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := repository(t, c.more)
			if c.make != nil {
				c.make(t, dir)
			}
			_, err := Build(t.Context(), BuildOptions{Repository: dir, App: shop(c.build), Env: os.Environ()})
			wantProblem(t, err, c.code, c.want)
			if problem.From(err).Hint == "" {
				t.Error("no hint")
			}
		})
	}
}

func TestBuildShowsTheEndOfItsOutput(t *testing.T) {
	var out bytes.Buffer
	var steps []string
	_, err := Build(t.Context(), BuildOptions{
		Repository: repository(t, nil), App: shop(app.Build{Run: "seq 100000; echo the reason >&2; exit 1"}), Env: os.Environ(),
		Output: &out, Progress: func(s Step) { steps = append(steps, s.Name+": "+s.Says) },
	})
	if problem.ExitCode(err) != 1 || !strings.HasSuffix(err.Error(), "\n  100000\n  the reason") || len(err.Error()) > 1000 {
		t.Errorf("got exit code %d and %q", problem.ExitCode(err), err)
	}
	if out.Len() < 500_000 {
		t.Errorf("of the output came only %d bytes", out.Len())
	}
	if got := strings.Join(steps, "|"); !strings.HasPrefix(got, "web: run seq") {
		t.Errorf("steps %s", got)
	}
}

func TestBuildRunsASharedBuildOnce(t *testing.T) {
	dir := repository(t, nil)
	a := shop(app.Build{Run: "echo x >> ran", Files: []string{"ran"}})
	worker := a.Contents.Services[1]
	worker.Name = "worker"
	plain := app.Service{Name: "plain", Kind: app.KindProcess, Command: []string{"/usr/bin/env"}}
	a.Contents.Services = append(a.Contents.Services, worker, plain)
	built := build(t, BuildOptions{Repository: dir, App: a})
	ran, err := os.ReadFile(filepath.Join(dir, "ran"))
	must(t, err)
	if string(ran) != "x\n" || built.Release.Files["service/web"] != built.Release.Files["service/worker"] {
		t.Errorf("ran %q, files %v", ran, built.Release.Files)
	}
	if got := contents(t, built, "service/plain"); got != "" {
		t.Errorf("a service without a build has %s", got)
	}
	s := open(t)
	id, err := s.Put(t.Context(), built)
	must(t, err)
	must(t, s.Unpack(t.Context(), id, ServiceFiles("plain"), filepath.Join(placed(t), "plain")))
}

func TestBuildStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := repository(t, nil)
	_, err := Build(ctx, BuildOptions{
		Repository: dir, App: shop(app.Build{Run: "echo started; exec sleep 600"}), Env: os.Environ(),
		Output: writerFunc(func([]byte) { cancel() }),
	})
	wantProblem(t, err, problem.Interrupted, "interrupted")
	if !errors.Is(err, context.Canceled) {
		t.Error("the cause is lost")
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestPackTellsOfDiskErrors(t *testing.T) {
	root, err := os.OpenRoot(repository(t, nil))
	must(t, err)
	defer func() { must(t, root.Close()) }()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full on this machine")
	}
	defer func() { must(t, full.Close()) }()
	if err := pack(root, []string{"bin/shop"}, full); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("packing onto a full disk: %v", err)
	}
	if err := pack(root, []string{"bin/none"}, io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("packing a file that is gone: %v", err)
	}
}
