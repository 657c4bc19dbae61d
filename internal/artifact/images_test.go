package artifact

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/app"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// engine is an Images that keeps its images as texts.
type engine struct {
	has      map[string]string // names to ids
	remote   map[string]string // what a registry has, by name
	moves    bool              // each pull finds another image
	pulled   []string
	built    []ImageBuild
	contexts []string // what each build was given, as listed
	kept     []string
	saved    int
	content  func(id string, saving int) []byte // what Save writes
	fails    error
}

// configs are those of images, by their ids.
var configs sync.Map

// idOf is the id of an image that was made of this text, with one layer.
func idOf(text string) string {
	config := fmt.Sprintf(`{"made":%q,"rootfs":{"diff_ids":[%q]}}`, text, release.Of([]byte("layer")))
	id := string(release.Of([]byte(config)))
	configs.Store(id, config)
	return id
}

func (e *engine) Build(_ context.Context, b ImageBuild, say func(string)) (string, error) {
	say("Step 1/1")
	if e.fails != nil {
		return "", e.fails
	}
	var names []string
	err := filepath.WalkDir(b.Context, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(b.Context, name)
		if err == nil && !d.IsDir() && (b.Hide == nil || !b.Hide(filepath.ToSlash(rel))) {
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	text, bad := os.ReadFile(filepath.Join(b.Context, b.Dockerfile))
	e.built, e.contexts = append(e.built, b), append(e.contexts, strings.Join(names, " "))
	return idOf(fmt.Sprint(string(text), b.Target, b.Args)), errors.Join(err, bad)
}

func (e *engine) Find(_ context.Context, name string) (string, error) {
	if id, ok := e.has[name]; ok {
		return id, nil
	}
	return "", problem.New(problem.NotFound, "the Docker Engine has no image %s", name)
}

func (e *engine) Pull(_ context.Context, name string, say func(string)) (string, error) {
	say("Pulling")
	e.pulled = append(e.pulled, name)
	text, ok := e.remote[name]
	if !ok {
		return "", problem.New(problem.Unavailable, "image %s can't be pulled: no such host", name).WithHint("try again")
	}
	if e.moves {
		text += fmt.Sprint(len(e.pulled))
	}
	return idOf(text), nil
}

func (e *engine) Keep(_ context.Context, id string) error {
	e.kept = append(e.kept, id)
	return nil
}

func (e *engine) Save(_ context.Context, id string, w io.Writer) error {
	e.saved++
	_, err := w.Write(e.content(id, e.saved))
	return err
}

// dockerSave is an archive as an Engine writes it: in another order and with other times each time.
func dockerSave(id string, saving int) []byte {
	config, _ := configs.Load(id)
	headers := []tar.Header{
		{Name: "blobs/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "blobs/sha256/" + id[7:], Uname: config.(string)},
		{Name: "blobs/sha256/aa", Uname: "layer"},
		{Name: "ab/layer.tar", Linkname: "../blobs/sha256/aa", Typeflag: tar.TypeSymlink},
		{Name: "manifest.json", Uname: `[{"Config":"blobs/sha256/` + id[7:] + `","Layers":["ab/layer.tar"]}]`},
		{Name: "repositories", Uname: "{}"},
	}
	for i := range headers {
		headers[i].ModTime = time.Unix(int64(1000*saving+i), 0)
	}
	if saving%2 == 0 {
		slices.Reverse(headers)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := h.Uname
		h.Uname, h.Gid, h.Size, h.Mode = "", saving, int64(len(content)), 0o640
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return append(b.Bytes(), make([]byte, 10<<10)...) // as GNU tar fills its last record
}

func newEngine() *engine {
	return &engine{content: dockerSave, has: map[string]string{}, remote: map[string]string{"redis:7": "redis", "nginx:1": "nginx"}}
}

func container(name, tag string, build *app.ImageBuild) app.Service {
	return app.Service{Name: name, Kind: app.KindContainer, Container: &app.Container{Tag: tag, Build: build}}
}

func containers(list ...app.Service) app.App {
	return app.App{Name: "shop", Contents: app.Contents{Services: list}}
}

func withDockerfile(t testing.TB) string {
	return repository(t, map[string]string{
		"Dockerfile": "FROM scratch\n", "web/Dockerfile": "FROM web\n", "web/main": "main", "web/secret": "s", "web/.dockerignore": "secret\n",
		"web/Prod": "FROM prod\n", "web/Prod.dockerignore": "main\n", "conf/Dockerfile": "FROM conf", "conf/nginx.conf": "events {}", "conf/link": "-> nginx.conf",
	})
}

// TestImages: every container is pinned by id, whether it is built, found, pulled or given, and its image travels.
func TestImages(t *testing.T) {
	e := newEngine()
	e.has["shop/api:ci"] = idOf("api")
	e.moves = true
	web := &app.ImageBuild{Context: "web", Dockerfile: "Dockerfile", Target: "final", Args: map[string]string{"V": "1"}}
	files := container("proxy", "nginx:1", nil)
	files.Build = &app.Build{Context: ".", Files: []string{"conf"}}
	a := containers(
		container("api", "shop/api:1", &app.ImageBuild{Context: "nowhere"}),
		container("cache", "redis:7", nil), container("queue", "redis:7", nil),
		app.Service{Name: "db", Kind: app.KindPostgres, Image: "postgres:16"},
		files, container("jobs", "shop/web:1", nil), container("web", "shop/web:1", web), container("worker", "", web),
	)
	var steps []string
	built := build(t, BuildOptions{
		Repository: withDockerfile(t), App: a, Images: e, Given: map[string]string{"api": "shop/api:ci"},
		Progress: func(s Step) { steps = append(steps, s.Name+": "+s.Says) },
	})
	got := map[string]string{}
	for _, s := range built.Release.Contents.Services {
		got[s.Name] = s.Image
	}
	webID := idOf("FROM web\nfinalmap[V:1]")
	want := map[string]string{
		"api": idOf("api"), "cache": idOf("redis1"), "queue": idOf("redis1"), "db": "postgres:16", "proxy": idOf("nginx2"),
		"jobs": webID, "web": webID, "worker": webID,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if api, _ := built.Release.Contents.Service("api"); api.Container.Tag != "shop/api:ci" {
		t.Errorf("the release calls the image that was given %q", api.Container.Tag)
	}
	for _, s := range a.Contents.Services {
		if s.Container != nil && (s.Image != "" || s.Container.Tag == "shop/api:ci") {
			t.Errorf("the definition's own %s was changed: %s, %s", s.Name, s.Image, s.Container.Tag)
		}
	}
	if diff := cmp.Diff([]string{"redis:7", "nginx:1"}, e.pulled); diff != "" {
		t.Errorf("pulled (-want +got):\n%s", diff)
	}
	if len(e.built) != 1 || e.saved != 4 || len(e.kept) != 7 {
		t.Errorf("%d built, %d saved, %d kept", len(e.built), e.saved, len(e.kept))
	}
	for _, line := range []string{"web: build the image from web/Dockerfile", "api: image shop/api:ci is " + idOf("api")[7:19], "cache: pull redis:7", "proxy: pack conf", "jobs: pack the image of jobs"} {
		if !slices.Contains(steps, line) {
			t.Errorf("no step %q in\n%s", line, strings.Join(steps, "\n"))
		}
	}
	store := open(t)
	id, err := store.Put(t.Context(), built)
	must(t, err)
	dir := placed(t)
	must(t, store.Unpack(t.Context(), id, ImageFiles("web"), filepath.Join(dir, "image")))
	must(t, store.Unpack(t.Context(), id, ServiceFiles("proxy"), filepath.Join(dir, "files")))
	if got := listing(t, filepath.Join(dir, "files")); !strings.Contains(got, "conf/nginx.conf events {}") {
		t.Errorf("the files of proxy are\n%s", got)
	}
	archived, err := os.ReadFile(filepath.Join(dir, "image", ImageArchive))
	must(t, err)
	inside := t.TempDir()
	root, err := os.OpenRoot(inside)
	must(t, err)
	must(t, spread(bytes.NewReader(archived), root))
	must(t, root.Close())
	if b, err := os.ReadFile(filepath.Join(inside, "ab", "layer.tar")); err != nil || string(b) != "layer" {
		t.Errorf("a layer in the archive is %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(inside, "manifest.json")); err != nil || !strings.Contains(string(b), webID[7:]) {
		t.Errorf("the manifest in the archive is %q, %v", b, err)
	}
}

// TestImagePackedOnce: an image that the store has from an earlier release is neither packed nor sent again, unless it is damaged
// there, or gone by the time that the release comes in.
func TestImagePackedOnce(t *testing.T) {
	e, store := newEngine(), open(t)
	dir := withDockerfile(t)
	o := BuildOptions{Repository: dir, App: containers(container("cache", "redis:7", nil)), Images: e}
	first := build(t, o)
	id, err := store.Put(t.Context(), first)
	must(t, err)
	packed := first.Release.Files[ImageFiles("cache")]
	o.Packed = func(ctx context.Context, image string) (release.Artifact, bool) {
		if image != idOf("redis") {
			t.Errorf("asked for %s", image)
		}
		return packed, store.HasImage(ctx, packed, image)
	}
	o.App = containers(container("cache", "redis:7", nil), container("queue", "redis:7", nil))
	second := build(t, o)
	if e.saved != 1 || second.Release.Files[ImageFiles("cache")] != packed || second.Release.Files[ImageFiles("queue")] != packed {
		t.Errorf("saved %d times, for %v", e.saved, second.Release.Files)
	}
	if _, err := open(t).Put(t.Context(), second); err == nil {
		t.Error("a store without the image took the release")
	}
	wantWhole := func(id release.Digest) {
		t.Helper()
		dir := placed(t)
		must(t, store.Unpack(t.Context(), id, ImageFiles("cache"), filepath.Join(dir, "image")))
	}
	next, err := store.Put(t.Context(), second)
	must(t, err)
	wantWhole(next)
	_, err = store.Sweep(t.Context(), func(d release.Digest) bool { return d != id })
	must(t, err)
	wantWhole(next)

	must(t, os.Chmod(store.blobPath(packed.Digest), 0o600))
	must(t, os.WriteFile(store.blobPath(packed.Digest), make([]byte, packed.Size), 0o600))
	third := build(t, o)
	if e.saved != 2 {
		t.Errorf("saved %d times, the damaged one not again", e.saved)
	}
	next, err = store.Put(t.Context(), third)
	must(t, err)
	wantWhole(next)
	gone := build(t, o)
	must(t, os.Remove(store.blobPath(packed.Digest)))
	_, err = store.Put(t.Context(), gone)
	wantProblem(t, err, problem.Invalid, "is missing")
}

// TestImagesAreTheSameRelease: an image that the Engine saves in another order, at another time, is the same bytes.
func TestImagesAreTheSameRelease(t *testing.T) {
	e := newEngine()
	a := containers(container("cache", "redis:7", nil))
	first := build(t, BuildOptions{Repository: withDockerfile(t), App: a, Images: e})
	second := build(t, BuildOptions{Repository: withDockerfile(t), App: a, Images: e})
	if first.Release.Digest() != second.Release.Digest() || e.saved != 2 {
		t.Errorf("%s and %s, saved %d times", first.Release.Bytes(), second.Release.Bytes(), e.saved)
	}
}

// TestImageContexts: a build sees what Docker's own would, and never Greenroom's own folder.
func TestImageContexts(t *testing.T) {
	for _, tc := range []struct {
		name  string
		build app.ImageBuild
		want  string
	}{
		{"dockerignore", app.ImageBuild{Context: "web", Dockerfile: "Dockerfile"}, ".dockerignore Dockerfile Prod Prod.dockerignore main"},
		{"its own", app.ImageBuild{Context: "web", Dockerfile: "Prod"}, ".dockerignore Dockerfile Prod Prod.dockerignore secret"},
		{"state", app.ImageBuild{Context: "conf", Dockerfile: "Dockerfile"}, "Dockerfile link nginx.conf"},
		{"inline", app.ImageBuild{Context: "web", Inline: "FROM x\n"}, ".dockerignore .greenroom.Dockerfile Dockerfile Prod Prod.dockerignore main"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEngine()
			dir := withDockerfile(t)
			write(t, dir, map[string]string{"conf/state/greenroom.db": "x", "conf/state/deep/er": "x"})
			build := build(t, BuildOptions{Repository: dir, State: filepath.Join(dir, "conf", "state"), App: containers(container("web", "", &tc.build)), Images: e})
			if len(e.contexts) != 1 || e.contexts[0] != tc.want {
				t.Errorf("the context is %q, want %q", e.contexts, tc.want)
			}
			if s := build.Release.Contents.Services[0]; tc.build.Inline != "" && s.Image != idOf("FROM x\nmap[]") {
				t.Errorf("built from another Dockerfile: %s", s.Image)
			}
			left, err := filepath.Glob(filepath.Join(build.dir, "*-*"))
			must(t, err)
			if len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestImageFaults: each has its words, and nothing stays behind.
func TestImageFaults(t *testing.T) {
	hostile := func(headers ...tar.Header) func(string, int) []byte {
		return func(string, int) []byte { return archive(t, headers...) }
	}
	cache := container("cache", "redis:7", nil)
	never := container("cache", "mine:1", nil)
	never.Container.Pull = app.PullNever
	built := container("web", "", &app.ImageBuild{Context: "web", Dockerfile: "Dockerfile"})
	for _, tc := range []struct {
		name   string
		app    app.App
		given  map[string]string
		change func(*engine)
		none   bool
		code   problem.Code
		want   string
	}{
		{name: "no engine", app: containers(cache), none: true, code: problem.Unavailable, want: "shop has containers, and there is no Docker Engine to build them"},
		{name: "given to none", app: containers(cache), given: map[string]string{"web": "x"}, code: problem.Invalid, want: "an image is given for web, which is no container of shop"},
		{name: "given without containers", app: containers(), given: map[string]string{"web": "x"}, code: problem.Invalid, want: "an image is given for web, and no service of shop is a container"},
		{name: "never", app: containers(never), code: problem.NotFound, want: "cache: the Docker Engine has no image mine:1, and `pull_policy: never` forbids to fetch it"},
		{name: "not there", app: containers(container("x", "gone:1", nil)), code: problem.Unavailable, want: "x: image gone:1 can't be pulled: no such host"},
		{name: "build fails", app: containers(built), change: func(e *engine) { e.fails = problem.New(problem.Fail, "the build failed: no shell") }, code: problem.Fail, want: "web: the build failed: no shell"},
		{name: "no context", app: containers(container("web", "", &app.ImageBuild{Context: "gone"})), code: problem.Invalid, want: "web: the build context can't travel"},
		{name: "no archive", app: containers(cache), change: func(e *engine) { e.content = func(string, int) []byte { return []byte("x") } }, code: problem.Unavailable, want: "the image of cache can't be packed"},
		{name: "out of its folder", app: containers(cache), change: func(e *engine) { e.content = hostile(tar.Header{Name: "../../x", Uname: "x"}) }, code: problem.Unavailable, want: "the image of cache can't be packed"},
		{name: "through a link", app: containers(cache), change: func(e *engine) {
			e.content = hostile(tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, tar.Header{Name: "a/x", Uname: "x"})
		}, code: problem.Unavailable, want: "the image of cache can't be packed"},
		{name: "a device", app: containers(cache), change: func(e *engine) { e.content = hostile(tar.Header{Name: "d", Typeflag: tar.TypeChar}) }, code: problem.Unavailable, want: `has "d" of type '3' in it`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			e := newEngine()
			if tc.change != nil {
				tc.change(e)
			}
			o := BuildOptions{Repository: withDockerfile(t), App: tc.app, Given: tc.given, Images: e}
			if tc.none {
				o.Images = nil
			}
			_, err := Build(t.Context(), o)
			wantProblem(t, err, tc.code, tc.want)
			if left := listing(t, tmp); left != "" {
				t.Errorf("left behind:\n%s", left)
			}
		})
	}
}

// TestImageInterrupted: a build that is interrupted while an image is saved ends, and says so.
func TestImageInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := newEngine()
	e.content = func(id string, n int) []byte {
		cancel()
		return dockerSave(id, n)
	}
	_, err := Build(ctx, BuildOptions{Repository: withDockerfile(t), App: containers(container("cache", "redis:7", nil)), Images: e})
	wantProblem(t, err, problem.Interrupted, "the image of cache was not packed")
}
