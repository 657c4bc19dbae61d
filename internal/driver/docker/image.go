package docker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Image is an image that the Engine has.
type Image struct {
	ID      string   // "sha256:…", the digest of its config: what a driver.Container is pinned by
	Digests []string // "name@sha256:…", of the registries that it came from; none for one that was built or loaded here
	Tags    []string
	Size    int64    // bytes
	Env     []string // what it sets, "NAME=value"
	Volumes []string // folders of which each container has a volume of its own, unless something is mounted there
}

// Resolve says which image a name stands for in the Engine now: a tag, an id or a digest. One that is not there is a problem
// (problem.NotFound).
func (d *Driver) Resolve(ctx context.Context, name string) (Image, error) {
	var got image.InspectResponse
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		in, err := d.engine.ImageInspect(ctx, name)
		got = in.InspectResponse
		return err
	})
	if errdefs.IsNotFound(err) {
		return Image{}, problem.New(problem.NotFound, "the Docker Engine has no image %s", name).WithHint("docker pull %s, or build it", name)
	}
	if err != nil {
		return Image{}, failed(err, "image %s can't be looked up", name)
	}
	i := Image{ID: got.ID, Digests: got.RepoDigests, Tags: got.RepoTags, Size: got.Size}
	if got.Config != nil {
		i.Env, i.Volumes = got.Config.Env, slices.Sorted(maps.Keys(got.Config.Volumes))
	}
	return i, nil
}

// Has says whether the Engine has an image of that id or digest.
func (d *Driver) Has(ctx context.Context, id string) (bool, error) {
	_, err := d.Resolve(ctx, id)
	if p := problem.From(err); p != nil && p.Code == problem.NotFound {
		return false, nil
	}
	return err == nil, err
}

// Load reads an archive as docker save writes it into the Engine, and returns the images that were in it.
func (d *Driver) Load(ctx context.Context, archive io.Reader) ([]Image, error) {
	res, err := d.engine.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return nil, d.streamProblem(ctx, err, "the image can't be loaded")
	}
	var loaded []string
	err = d.messages(ctx, jsonLines(res), func(m jsonstream.Message) {
		for _, prefix := range []string{"Loaded image: ", "Loaded image ID: "} {
			if name, ok := strings.CutPrefix(strings.TrimSpace(m.Stream), prefix); ok {
				loaded = append(loaded, name)
			}
		}
	})
	if err := errors.Join(err, res.Close()); err != nil {
		return nil, d.streamProblem(ctx, err, "the image can't be loaded")
	}
	if len(loaded) == 0 {
		return nil, problem.New(problem.Invalid, "the archive has no image in it that the Docker Engine can load").
			WithHint("make it with docker save; older Engines read no OCI layouts")
	}
	images := make([]Image, len(loaded))
	for i, name := range loaded {
		if images[i], err = d.Resolve(ctx, name); err != nil {
			return nil, err
		}
	}
	return images, nil
}

// Save writes an image as an archive, which Load reads. Saved by its id it has no tags.
func (d *Driver) Save(ctx context.Context, id string, w io.Writer) error {
	if _, err := d.Resolve(ctx, id); err != nil {
		return err
	}
	res, err := d.engine.ImageSave(ctx, []string{id})
	if err != nil {
		return d.streamProblem(ctx, err, "image "+id+" can't be saved")
	}
	_, err = io.Copy(w, res)
	if err := errors.Join(err, res.Close()); err != nil {
		return d.streamProblem(ctx, err, "image "+id+" can't be saved")
	}
	return nil
}

// Pull has the Engine get an image from its registry, and returns what the name stood for then. say is told the progress.
func (d *Driver) Pull(ctx context.Context, name string, say func(string)) (Image, error) {
	res, err := d.engine.ImagePull(ctx, name, client.ImagePullOptions{})
	if err != nil {
		return Image{}, d.streamProblem(ctx, err, "image "+name+" can't be pulled")
	}
	err = d.messages(ctx, res.JSONMessages(ctx), func(m jsonstream.Message) {
		if line := pullLine(m); line != "" {
			say(line)
		}
	})
	if err := errors.Join(err, res.Close()); err != nil {
		return Image{}, d.streamProblem(ctx, err, "image "+name+" can't be pulled")
	}
	return d.Resolve(ctx, name)
}

// pullLine is a step of a pull; the many lines about how far a layer is are none.
func pullLine(m jsonstream.Message) string {
	if m.Progress != nil && m.Progress.Current > 0 {
		return ""
	}
	return driver.Printable(strings.TrimSpace(m.ID+" "+m.Status), 200)
}

// streamProblem is failed for what has no second try: the stream is used up.
func (d *Driver) streamProblem(ctx context.Context, err error, what string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case away(err):
		return problem.New(problem.Unavailable, "%s: the Docker Engine at %s went away meanwhile", what, d.engine.host).WithHint("try again")
	}
	return failed(err, "%s", what)
}

// messages calls take with each message, and returns the error that the Engine tells in one.
func (d *Driver) messages(ctx context.Context, all iter.Seq2[jsonstream.Message, error], take func(jsonstream.Message)) error {
	for m, err := range all {
		if err != nil {
			return err
		}
		if m.Error != nil {
			return errors.New(driver.Printable(m.Error.Message, 1000))
		}
		take(m)
	}
	return ctx.Err()
}

// jsonLines decodes messages until r ends.
func jsonLines(r io.Reader) iter.Seq2[jsonstream.Message, error] {
	return func(yield func(jsonstream.Message, error) bool) {
		dec := json.NewDecoder(r)
		for {
			var m jsonstream.Message
			err := dec.Decode(&m)
			if errors.Is(err, io.EOF) || !yield(m, err) || err != nil {
				return
			}
		}
	}
}
