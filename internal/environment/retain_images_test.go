package environment

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/home"
	"greenroom/internal/release"
)

// shelfOfImages is an Engine as a build and a sweep know it.
type shelfOfImages struct {
	artifact.Images
	t     *testing.T
	all   map[string]dockertest.Image // by tag, and by id
	kept  []string
	fails error
	left  bool // something of the app's is there
}

func (s *shelfOfImages) Anything(context.Context, string) (bool, error) { return s.left, s.fails }

func (s *shelfOfImages) Find(_ context.Context, name string) (string, error) {
	return s.all[name].ID(s.t), nil
}

func (s *shelfOfImages) Keep(_ context.Context, id string) error {
	s.kept = append(s.kept, id)
	return nil
}

func (s *shelfOfImages) Save(_ context.Context, id string, w io.Writer) error {
	_, err := w.Write(s.all[id].Archive(s.t))
	return err
}

func (s *shelfOfImages) Kept(context.Context) ([]string, error) {
	return slices.Clone(s.kept), s.fails
}

func (s *shelfOfImages) Prune(_ context.Context, needed []string) (pruned []string, err error) {
	s.kept = slices.DeleteFunc(s.kept, func(id string) bool {
		drop := !slices.Contains(needed, id)
		if drop {
			pruned = append(pruned, id)
		}
		return drop
	})
	return pruned, nil
}

// TestSweepImages: an image goes with the last release that has it, not before a build that made it had its time, and none goes
// where anything is not known.
func TestSweepImages(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	h := home.Home(t.TempDir())
	must(t, h.Make())
	artifacts, err := artifact.Open(t.Context(), h.Artifacts())
	must(t, err)
	w := &World{Home: h, Artifacts: artifacts, Now: func() time.Time { return now }}
	s := &shelfOfImages{t: t, all: map[string]dockertest.Image{}}
	ids := map[string]string{}
	for _, name := range []string{"web:1", "web:2", "cache:7"} {
		i := dockertest.Image{Files: map[string][]byte{"hello": []byte(name)}, Comment: name}
		ids[name] = i.ID(t)
		s.all[name], s.all[i.ID(t)] = i, i
	}
	build := func(web string) release.Digest {
		container := func(name, tag string) app.Service {
			return app.Service{Name: name, Kind: app.KindContainer, Replicas: 1, Container: &app.Container{Tag: tag}}
		}
		b, err := artifact.Build(t.Context(), artifact.BuildOptions{Repository: t.TempDir(), Images: s, App: app.App{Name: "shop",
			Contents: app.Contents{Services: []app.Service{container("cache", "cache:7"), container("web", web)}}}})
		must(t, err)
		defer b.Close() //nolint:errcheck // a folder of the test's
		_, err = artifacts.Put(t.Context(), b)
		must(t, err)
		return b.Release.Digest()
	}
	first, second := build("web:1"), build("web:2")
	wantKept := func(when string, removed int, names ...string) {
		t.Helper()
		n, err := w.sweepImages(t.Context(), s)
		var left []string
		for _, name := range names {
			left = append(left, ids[name])
		}
		got := slices.Compact(slices.Sorted(slices.Values(s.kept)))
		slices.Sort(left)
		if err != nil || n != removed || !slices.Equal(got, left) {
			t.Fatalf("%s: %d removed, %v, kept %v, want %v", when, n, err, got, left)
		}
	}
	all := []string{"web:1", "web:2", "cache:7"}
	wantKept("all releases are here", 0, all...)
	_, err = artifacts.Sweep(t.Context(), func(d release.Digest) bool { return d == second })
	must(t, err)
	wantKept("one is gone, and may be built again just now", 0, all...)
	now = now.Add(-24 * time.Hour)
	wantKept("the clock was set back", 0, all...)
	now = now.Add(buildTime)
	free := w.HoldReleases()
	wantKept("somebody brings a release", 0, all...)
	free()
	s.fails = errors.New("the Engine is away")
	if _, err := w.sweepImages(t.Context(), s); !errors.Is(err, s.fails) {
		t.Fatalf("of an Engine that is away it says %v", err)
	}
	s.fails = nil
	wantKept("it is not needed any more", 1, "web:2", "cache:7")
	if again := build("web:1"); again != first {
		t.Fatalf("built again it is %s, not %s", again, first)
	}
	wantKept("built again", 0, all...)
	spoil(t, h, first)
	now = now.Add(2 * buildTime)
	if n, err := w.sweepImages(t.Context(), s); err == nil || n != 0 {
		t.Fatalf("a release can't be read: %d removed, %v", n, err)
	}
}

// spoil damages what is kept of a release's document.
func spoil(t *testing.T, h home.Home, d release.Digest) {
	t.Helper()
	name := filepath.Join(h.Artifacts(), "blobs", "sha256", string(d[len("sha256:"):]))
	must(t, os.Chmod(name, 0o600))
	must(t, os.WriteFile(name, []byte("nonsense"), 0o600))
}

// TestEraseImages takes an app's images, leaves those of others and what is being built, and forgets the app when there is nothing
// more of it, and nobody has to look again.
func TestEraseImages(t *testing.T) {
	h := home.Home(t.TempDir())
	must(t, h.Make())
	artifacts, err := artifact.Open(t.Context(), h.Artifacts())
	must(t, err)
	w := &World{Home: h, Artifacts: artifacts, Now: time.Now, Engine: NewEngine(h, nil)}
	s := &shelfOfImages{t: t, all: map[string]dockertest.Image{}}
	id := func(name string) string {
		i := dockertest.Image{Files: map[string][]byte{"hello": []byte(name)}, Comment: name}
		s.all[name], s.all[i.ID(t)] = i, i
		return i.ID(t)
	}
	build := func(name string, images ...string) {
		var services []app.Service
		for i, tag := range images {
			services = append(services, app.Service{Name: "s" + string(rune('0'+i)), Kind: app.KindContainer, Replicas: 1, Container: &app.Container{Tag: tag}})
		}
		b, err := artifact.Build(t.Context(), artifact.BuildOptions{Repository: t.TempDir(), Images: s, App: app.App{Name: name, Contents: app.Contents{Services: services}}})
		must(t, err)
		defer b.Close() //nolint:errcheck // a folder of the test's
		_, err = artifacts.Put(t.Context(), b)
		must(t, err)
	}
	own, both, others, building := id("own"), id("both"), id("others"), id("building")
	build("shop", "own", "both")
	build("blog", "both", "others")
	s.kept = []string{own, both, others, building}
	noted := func() bool {
		_, err := os.Stat(filepath.Join(h.Containers(), "shop"))
		return err == nil
	}
	must(t, os.WriteFile(filepath.Join(h.Containers(), "shop"), nil, 0o600))
	s.left = true
	must(t, w.eraseImages(t.Context(), "shop", s))
	if want := []string{both, others, building}; !slices.Equal(s.kept, want) {
		t.Errorf("kept are %v, not %v", s.kept, want)
	}
	if !noted() {
		t.Error("an app is forgotten of which there is something")
	}
	s.left = false
	must(t, w.eraseImages(t.Context(), "shop", s))
	if !noted() {
		t.Error("the only app is forgotten while there is an image that nobody knows")
	}
	must(t, os.WriteFile(filepath.Join(h.Containers(), "blog"), nil, 0o600))
	must(t, w.eraseImages(t.Context(), "shop", s))
	if noted() {
		t.Error("an app of which there is nothing is not forgotten")
	}
}
