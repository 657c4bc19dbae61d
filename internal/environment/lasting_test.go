package environment

import (
	"maps"
	"slices"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/release"
)

// TestShared: what is the same in two releases is named alike in both, and whatever changes it gives it another name.
func TestShared(t *testing.T) {
	make := func(change func(cache *app.Service, files map[string]release.Artifact)) release.Release {
		cache := app.Service{
			Name: "cache", Kind: app.KindContainer, Order: app.StopFirst, Replicas: 1, Image: "sha256:1", Env: map[string]string{"A": "1"},
			Container: &app.Container{Mounts: []app.Mount{{Files: "cache.conf", Target: "/cache.conf"}}},
		}
		files := map[string]release.Artifact{"service/cache": {Digest: "sha256:a"}, "service/web": {Digest: "sha256:b"}}
		change(&cache, files)
		web := app.Service{Name: "web", Kind: app.KindContainer, Order: app.StartFirst}
		return release.Release{Contents: app.Contents{Services: []app.Service{cache, web}}, Files: files}
	}
	nothing := func(*app.Service, map[string]release.Artifact) {}
	e := &Environment{App: "shop", Name: "production"}
	first := make(nothing)
	id := func(r release.Release, service string) string {
		s, _ := r.Contents.Service(service)
		return e.replicaID(r, s, 0)
	}
	for what, c := range map[string]struct {
		change func(*app.Service, map[string]release.Artifact)
		shared bool
	}{
		"its release": {func(_ *app.Service, f map[string]release.Artifact) {
			f["service/web"] = release.Artifact{Digest: "sha256:c"}
		}, true},
		"its image":  {func(s *app.Service, _ map[string]release.Artifact) { s.Image = "sha256:2" }, false},
		"a variable": {func(s *app.Service, _ map[string]release.Artifact) { s.Env = map[string]string{"A": "2"} }, false},
		"its files": {func(_ *app.Service, f map[string]release.Artifact) {
			f["service/cache"] = release.Artifact{Digest: "sha256:c"}
		}, false},
		"how it is kept": {func(s *app.Service, _ map[string]release.Artifact) { s.Order = app.StartFirst }, false},
	} {
		second := make(func(s *app.Service, f map[string]release.Artifact) {
			c.change(s, f)
			f["checks"] = release.Artifact{Digest: "sha256:d"}
		})
		if got := slices.Equal(Shared(second, first), []string{"cache"}); got != c.shared {
			t.Errorf("%s changed: shared %t", what, got)
		}
		if same := id(first, "cache") == id(second, "cache"); same != c.shared {
			t.Errorf("%s changed: its replica is called %s, and before %s", what, id(second, "cache"), id(first, "cache"))
		}
		if id(first, "web") == id(second, "web") {
			t.Errorf("%s changed: web is called %s in both releases", what, id(first, "web"))
		}
		if !maps.Equal(first.Files, make(nothing).Files) {
			t.Fatal("the releases share what they have")
		}
	}
}
