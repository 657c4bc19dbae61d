package artifact

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/problem"
)

// Deploy is the artifact with the files in which a team's own deploy runs.
const Deploy = "deploy"

// deploy packs what a team's own deploy runs in, and pins the images that its commands are told of. It is nil for an app that
// has none.
func (b *builder) deploy(ctx context.Context) (*app.Deploy, error) {
	if b.App.Contents.Deploy == nil {
		return nil, nil
	}
	d := *b.App.Contents.Deploy
	var err error
	if d.Images, err = b.given(d); err != nil {
		return nil, err
	}
	if d.Build != "" {
		b.tell(Deploy, "run %s", d.Build)
		if err := b.run(ctx, Deploy, b.root.Name(), d.Build); err != nil {
			return nil, err
		}
	}
	b.tell(Deploy, "pack %s", orElse(strings.Join(d.Files, ", "), "all of the repository"))
	names, err := (selection{names: d.Files, state: b.State}).list(b.root)
	if err != nil {
		return nil, b.explain(err, Deploy, "the files")
	}
	return &d, b.pack(ctx, Deploy, Deploy, b.root, names)
}

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,30}$`)

// given are the images of the definition, with those that CI built in their place. Nobody here fetches one: what is not
// pinned by a digest could be another one where it is deployed.
func (b *builder) given(d app.Deploy) (map[string]string, error) {
	images := maps.Clone(d.Images)
	for _, name := range slices.Sorted(maps.Keys(b.Given)) {
		image := b.Given[name]
		switch {
		case d.Names != nil && !slices.Contains(d.Names, name):
			return nil, problem.New(problem.Invalid, "an image is given for %s, which is no service of %s", name, b.App.Name).
				WithHint("its services are %s", strings.Join(d.Names, ", "))
		case !serviceName.MatchString(name):
			return nil, problem.New(problem.Invalid, "an image is given for %q, which can't be a service's name", name).
				WithHint("greenroom build --image web=NAME@sha256:…")
		case !app.PinnedImage(image):
			return nil, problem.New(problem.Invalid, "the image %s of %s is not pinned: by tomorrow its name may stand for another one", image, name).
				WithHint("greenroom build --image %s=NAME@sha256:…, with the digest that the push printed", name)
		}
		if images == nil {
			images = map[string]string{}
		}
		images[name] = image
	}
	return images, nil
}
