package daemon

import (
	"context"
	"os"
	"slices"

	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/driver/docker"
	"greenroom/internal/home"
)

// images is the Engine as builds use it. Its own methods answer with ids alone.
type images struct{ *docker.Driver }

var _ artifact.Images = images{}

// imagesFor connects to the Engine where an app has containers; else there are no images and nothing to close.
func imagesFor(c app.Contents, h home.Home) (artifact.Images, func() error, error) {
	if !slices.ContainsFunc(c.Services, func(s app.Service) bool { return s.Container != nil }) {
		return nil, func() error { return nil }, nil
	}
	d, err := docker.New(docker.Options{Host: os.Getenv("DOCKER_HOST"), Home: string(h)})
	if err != nil {
		return nil, nil, err
	}
	return images{d}, d.Close, nil
}

// Build implements artifact.Images.
func (i images) Build(ctx context.Context, b artifact.ImageBuild, say func(string)) (string, error) {
	image, err := i.Driver.Build(ctx, docker.Build{Context: b.Context, Dockerfile: b.Dockerfile, Target: b.Target, Args: b.Args, Hide: b.Hide}, say)
	return image.ID, err
}

// Find implements artifact.Images.
func (i images) Find(ctx context.Context, name string) (string, error) {
	image, err := i.Resolve(ctx, name)
	return image.ID, err
}

// Pull implements artifact.Images.
func (i images) Pull(ctx context.Context, name string, say func(string)) (string, error) {
	image, err := i.Driver.Pull(ctx, name, say)
	return image.ID, err
}

// engineAnswers says whether there is an Engine that could run containers.
func engineAnswers(context.Context) bool {
	d, err := docker.New(docker.Options{Host: os.Getenv("DOCKER_HOST"), Home: "greenroom init"})
	return err == nil && d.Close() == nil
}
