package cli

import (
	"context"
	"maps"
	"strings"
	"testing"

	"greenroom/internal/api"
)

// TestBuildImages: images that somebody else built reach the build, each by its service.
func TestBuildImages(t *testing.T) {
	p := newPerson(t)
	var got Definition
	p.deps.Build = func(ctx context.Context, d Definition, tell func(api.Event)) (Built, error) {
		got = d
		return fakeBuild(ctx, d, tell)
	}
	if r := p.types(t.Context(), "build", "--image", "web=shop/web:v7", "--image", "api=host:5000/api@sha256:00=", "-v"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if want := map[string]string{"web": "shop/web:v7", "api": "host:5000/api@sha256:00="}; !maps.Equal(got.Images, want) || string(got.Home) != p.home {
		t.Errorf("built with %v, for %s", got.Images, got.Home)
	}
	for args, want := range map[string]string{
		"--image web":                   `--image takes SERVICE=IMAGE, not "web"`,
		"--image =x":                    `--image takes SERVICE=IMAGE, not "=x"`,
		"--image web=":                  `--image takes SERVICE=IMAGE, not "web="`,
		"--image web=a:1 --image web=b": "two images are given for web",
	} {
		r := p.types(t.Context(), append([]string{"build"}, strings.Fields(args)...)...)
		if r.code != 2 || !strings.Contains(r.err, want) {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
