package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Images are where containers' images are made and found: a Docker Engine. An image's id is "sha256:…".
type Images interface {
	// Build makes an image; say is told what that prints.
	Build(ctx context.Context, b ImageBuild, say func(string)) (id string, err error)
	// Find is what a name stands for now, or a problem of code NotFound.
	Find(ctx context.Context, name string) (id string, err error)
	// Pull fetches what a name stands for in its registry.
	Pull(ctx context.Context, name string, say func(string)) (id string, err error)
	// Keep keeps an image from being cleared away.
	Keep(ctx context.Context, id string) error
	// Save writes an image as docker save does.
	Save(ctx context.Context, id string, w io.Writer) error
}

// ImageBuild is what an image is built from.
type ImageBuild struct {
	Context    string // a folder, absolute
	Dockerfile string // relative to it
	Target     string // "" is the last stage
	Args       map[string]string
	Hide       func(name string) bool // what of the folder stays behind, by its slashed path
}

// images pins each container of the app to an image, which becomes an artifact, and returns the services with it. What a
// name stands for is asked once, so that services which name the same image get the same one.
func (b *builder) images(ctx context.Context) ([]app.Service, error) {
	services := slices.Clone(b.App.Contents.Services)
	if b.App.Contents.Deploy != nil { // see deploy
		return services, nil
	}
	if err := b.givenKnown(services); err != nil {
		return nil, err
	}
	r := resolver{builder: b, ids: map[string]string{}}
	for _, first := range []bool{true, false} { // what a service builds may be what another one names
		for i := range services {
			s := &services[i]
			if s.Container == nil || r.makes(*s) != first {
				continue
			}
			if err := r.resolve(ctx, s); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range services {
		if s.Container != nil {
			if err := b.keep(ctx, s); err != nil {
				return nil, err
			}
		}
	}
	return services, nil
}

// givenKnown refuses an image that is given for what is no container, and an app with containers where there is no Engine.
func (b *builder) givenKnown(services []app.Service) error {
	var containers []string
	for _, s := range services {
		if s.Container != nil {
			containers = append(containers, s.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Given)) {
		switch {
		case len(containers) == 0:
			return problem.New(problem.Invalid, "an image is given for %s, and no service of %s is a container", name, b.App.Name).
				WithHint("greenroom build, without --image; or `driver: docker` in greenroom.yaml")
		case !slices.Contains(containers, name):
			return problem.New(problem.Invalid, "an image is given for %s, which is no container of %s", name, b.App.Name).
				WithHint("its containers are %s", strings.Join(containers, ", "))
		}
	}
	if len(containers) > 0 && b.Images == nil {
		return problem.New(problem.Unavailable, "%s has containers, and there is no Docker Engine to build them", b.App.Name).
			WithHint("start one, or name it with DOCKER_HOST, then: greenroom build")
	}
	return nil
}

// resolver finds the images of services.
type resolver struct {
	*builder
	ids map[string]string // by what was asked for: a name, or how it is built
}

// makes says whether a service's image comes from elsewhere than its name.
func (r *resolver) makes(s app.Service) bool {
	return r.Given[s.Name] != "" || s.Container.Build != nil
}

// resolve pins one service. Its name for people is what was given, else the Compose file's.
func (r *resolver) resolve(ctx context.Context, s *app.Service) (err error) {
	c := *s.Container
	s.Container = &c
	named := c.Tag
	switch given := r.Given[s.Name]; {
	case given != "":
		c.Tag = given
		s.Image, err = r.once(given, func() (string, error) { return r.fetch(ctx, s.Name, given, app.Pull("")) })
	case c.Build != nil:
		s.Image, err = r.once(buildKey(*c.Build), func() (string, error) { return r.buildImage(ctx, s.Name, *c.Build) })
	default:
		s.Image, err = r.once(c.Tag, func() (string, error) { return r.fetch(ctx, s.Name, c.Tag, c.Pull) })
	}
	if err == nil && !release.Digest(s.Image).Valid() {
		err = fmt.Errorf("the image of %s has the id %q, which is none", s.Name, s.Image)
	}
	if err == nil && named != "" && r.makes(*s) {
		r.ids[named] = s.Image
	}
	return err
}

func (r *resolver) once(key string, find func() (string, error)) (string, error) {
	if id, ok := r.ids[key]; ok {
		return id, nil
	}
	id, err := find()
	if err == nil {
		r.ids[key] = id
	}
	return id, err
}

// buildKey tells builds apart; it is no name of an image.
func buildKey(b app.ImageBuild) string {
	key, err := json.Marshal(b)
	if err != nil { // only texts
		panic(fmt.Sprintf("image build: %v", err))
	}
	return string(key)
}

// fetch finds an image that somebody else built, and pulls it where it is not there.
func (b *builder) fetch(ctx context.Context, service, name string, pull app.Pull) (string, error) {
	if pull != app.PullAlways {
		id, err := b.Images.Find(ctx, name)
		switch {
		case err == nil:
			b.tell(service, "image %s is %s", name, release.Digest(id).Short())
			return id, nil
		case problem.From(err).Code != problem.NotFound:
			return "", b.imageProblem(ctx, err, service, "found")
		case pull == app.PullNever:
			return "", problem.New(problem.NotFound, "%s: the Docker Engine has no image %s, and `pull_policy: never` forbids to fetch it", service, name).
				WithHint("docker build or docker load it, then: greenroom build")
		}
	}
	b.tell(service, "pull %s", name)
	id, err := b.Images.Pull(ctx, name, b.line)
	if err != nil {
		return "", b.imageProblem(ctx, err, service, "fetched")
	}
	return id, nil
}

// line is one line of what a build or a pull prints.
func (b *builder) line(text string) {
	if b.Output != nil {
		_, _ = fmt.Fprintln(b.Output, text) // nobody is left to tell
	}
}

// imageProblem says of which service something failed.
func (b *builder) imageProblem(ctx context.Context, err error, service, what string) error {
	if ctx.Err() != nil {
		return problem.New(problem.Interrupted, "the image of %s was not %s: %w", service, what, ctx.Err())
	}
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return problem.New(p.Code, "%s: %s", service, p.Message).WithHint("%s", p.Hint)
	}
	return fmt.Errorf("the image of %s was not %s: %w", service, what, err)
}
