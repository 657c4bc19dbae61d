package daemon

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/artifact"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// inFiles writes a small repository with containers.
func inFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"greenroom.yaml": "app: shop\ndriver: docker\n",
		"compose.yaml": `services:
  web:
    build: {context: web, args: {VERSION: v1}}
    ports: ["8080:8080"]
    volumes: ["./conf:/etc/shop:ro"]
  worker:
    build: {context: web, dockerfile_inline: "FROM scratch\nCOPY main /worker\n"}
  cache: {image: "cache:7"}
`,
		"web/Dockerfile":    "FROM scratch\nARG VERSION\nLABEL version=$VERSION\nCOPY . /\n",
		"web/.dockerignore": "secret\n",
		"web/main":          "main", "web/secret": "secret", "conf/shop.conf": "color = green",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestBuildOnAnEngine builds a release with containers on a real Engine, twice, and brings its images back from the release
// into an Engine that has lost them.
func TestBuildOnAnEngine(t *testing.T) {
	e := dockertest.Start(t)
	t.Setenv("DOCKER_HOST", e.Host)
	t.Setenv("GREENROOM_HOME", t.TempDir())
	d, err := docker.New(docker.Options{Host: e.Host, Home: os.Getenv("GREENROOM_HOME")})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // only the connection
	cache := dockertest.Image{Files: map[string][]byte{"cache": []byte("7")}, Tags: []string{"cache:7"}}
	if _, err := d.Load(t.Context(), bytes.NewReader(cache.Archive(t))); err != nil {
		t.Fatal(err)
	}
	repository := inFiles(t)
	store, err := artifact.Open(t.Context(), filepath.Join(t.TempDir(), "releases"))
	if err != nil {
		t.Fatal(err)
	}
	build := func(given map[string]string) release.Release {
		t.Helper()
		def, err := Program{Version: "test"}.Load(t.Context(), repository)
		if err != nil {
			t.Fatal(err)
		}
		def.Images = given
		b, err := Program{Version: "test"}.Build(t.Context(), def, func(ev api.Event) {
			if ev.State == plan.Started {
				t.Log(ev.Step, ev.Text)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		id, err := store.Import(t.Context(), b.Layout)
		if err := b.Layout.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := store.Release(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first, second := build(nil), build(nil)
	if first.Digest() != second.Digest() {
		t.Errorf("two builds of the same differ:\n%s\n%s", first.Bytes(), second.Bytes())
	}
	ids := map[string]string{}
	for _, s := range first.Contents.Services {
		ids[s.Name] = s.Image
	}
	if ids["cache"] != cache.ID(t) || ids["web"] == ids["worker"] {
		t.Errorf("the images are %v, and the cache's is %s", ids, cache.ID(t))
	}
	if pruned, err := d.Prune(t.Context(), nil); err != nil || len(pruned) != 3 {
		t.Errorf("kept were %d images: %v", len(pruned), err)
	}
	for _, name := range []string{"web", "worker"} {
		if has, err := d.Has(t.Context(), ids[name]); err != nil || has {
			t.Fatalf("the image of %s is still there: %v", name, err)
		}
		dir := filepath.Join(t.TempDir(), "image")
		if err := store.Unpack(t.Context(), first.Digest(), artifact.ImageFiles(name), dir); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = artifact.RemoveTree(dir) })
		f, err := os.Open(filepath.Join(dir, artifact.ImageArchive))
		if err != nil {
			t.Fatal(err)
		}
		if err := artifact.CheckImage(f, ids[name]); err != nil {
			t.Errorf("the archive of %s: %v", name, err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		loaded, err := d.Load(t.Context(), f)
		_ = f.Close() // what it was sent with has closed it
		if err != nil || len(loaded) != 1 || loaded[0].ID != ids[name] {
			t.Errorf("the archive of %s has %v in it: %v", name, loaded, err)
		}
	}
	// What CI built is taken by its name, and pinned by what that stands for now.
	given := build(map[string]string{"web": "cache:7"})
	web, _ := given.Contents.Service("web")
	if web.Image != cache.ID(t) || web.Container.Tag != "cache:7" {
		t.Errorf("given was cache:7, and it is %s, called %s", web.Image, web.Container.Tag)
	}
}

// TestBuildWithoutAnEngine: one clear message, before anything is built.
func TestBuildWithoutAnEngine(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	t.Setenv("GREENROOM_HOME", t.TempDir())
	def, err := Program{}.Load(t.Context(), inFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Program{}.Build(t.Context(), def, func(ev api.Event) { t.Errorf("it went on: %s", ev.Text) })
	p := problem.From(err)
	if p == nil || p.Code != problem.Unavailable || !strings.Contains(fmt.Sprint(err), "Docker Engine") || p.Hint == "" {
		t.Errorf("%v, hint %q", err, p.Hint)
	}
	if engineAnswers(t.Context()) {
		t.Error("an Engine answers where there is none")
	}
}
