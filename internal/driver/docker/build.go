package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Build is what the Engine builds an image from, in the words of Compose's build.
type Build struct {
	Context    string                 // a folder, absolute
	Dockerfile string                 // relative to it; "" is Dockerfile
	Target     string                 // the stage of a Dockerfile with several; "" is the last
	Args       map[string]string      // what ARG lines get; they stand in the image's history, so no secret belongs here
	Hide       func(name string) bool // files and folders, as slashed paths in the folder, that stay behind; nil hides none
	NoCache    bool
}

// Build builds an image and returns it. Its tag is one of Greenroom's for what is new (see Keep). say is told what the build prints. A build that fails is a
// problem with its last lines. The Engine's classic builder does it: what only BuildKit knows fails, and is to be built by
// the team's own command.
func (d *Driver) Build(ctx context.Context, b Build, say func(string)) (Image, error) {
	if b.Dockerfile == "" {
		b.Dockerfile = "Dockerfile"
	}
	if !filepath.IsAbs(b.Context) || !filepath.IsLocal(b.Dockerfile) {
		return Image{}, problem.New(problem.Invalid, "%s with %s can't be built: it takes an absolute folder and a Dockerfile in it", b.Context, b.Dockerfile)
	}
	if _, err := os.Stat(filepath.Join(b.Context, b.Dockerfile)); err != nil {
		return Image{}, problem.New(problem.Invalid, "%s can't be built: %w", b.Context, err).WithHint("name its Dockerfile in the service's build, or write one")
	}
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := sendContext(w, b)
		sent <- err
		_ = w.CloseWithError(err)
	}()
	id, tail, err := d.build(ctx, b, r, say)
	_ = r.CloseWithError(errors.New("the build is over"))
	if bad := <-sent; bad != nil && ctx.Err() == nil && !strings.Contains(bad.Error(), "the build is over") {
		return Image{}, problem.New(problem.Invalid, "%s can't be sent to the Docker Engine: %w", b.Context, bad)
	}
	if err != nil {
		return Image{}, d.buildProblem(ctx, b, err, tail)
	}
	return d.Resolve(ctx, id)
}

func (d *Driver) build(ctx context.Context, b Build, content io.Reader, say func(string)) (id string, last []string, err error) {
	args := map[string]*string{}
	for k, v := range b.Args {
		args[k] = &v
	}
	res, err := d.engine.ImageBuild(ctx, content, client.ImageBuildOptions{
		Dockerfile: filepath.ToSlash(b.Dockerfile), Target: b.Target, BuildArgs: args, NoCache: b.NoCache, Remove: true, ForceRemove: true,
		Labels: map[string]string{labelHome: d.home}, Tags: []string{d.newTag()}, Version: build.BuilderV1,
	})
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	var printed tail
	err = d.messages(ctx, jsonLines(res.Body), func(m jsonstream.Message) {
		if m.Aux != nil {
			var made build.Result
			if json.Unmarshal(*m.Aux, &made) == nil && made.ID != "" {
				id = made.ID
			}
		}
		_, _ = printed.Write([]byte(m.Stream)) // memory
		for line := range strings.Lines(m.Stream) {
			if line = driver.Printable(line, 400); line != "" {
				say(line)
			}
		}
	})
	if err == nil && id == "" {
		err = errors.New("it ended without an image")
	}
	return id, driver.LastLines(printed.String()), err
}

func (d *Driver) buildProblem(ctx context.Context, b Build, err error, last []string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := said(err)
	p := problem.New(problem.Fail, "the build of %s failed: %s", filepath.Join(b.Context, b.Dockerfile), text)
	if len(last) > 0 {
		p.Message += "\nit printed last:\n  " + strings.Join(last, "\n  ")
	}
	switch {
	case away(err):
		return problem.New(problem.Unavailable, "the Docker Engine at %s went away during the build of %s", d.engine.host, b.Context).WithHint("try again")
	case strings.Contains(text, "no space left on device"):
		return problem.New(problem.Unavailable, "the build of %s failed: the disk of the Docker Engine is full", b.Context).
			WithHint("make room: docker system df shows what takes it")
	case strings.Contains(text, "BuildKit") || strings.Contains(text, "unknown instruction: ") || strings.Contains(text, "Unknown flag"):
		return p.WithHint("a Dockerfile that takes BuildKit is built by docker build; give the image: greenroom build --image SERVICE=IMAGE")
	}
	return p
}

// sendContext writes the folder as a tar to w.
func sendContext(w io.Writer, b Build) error {
	root, err := os.OpenRoot(b.Context)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // read only
	out := tar.NewWriter(w)
	dockerfile := path.Clean(filepath.ToSlash(b.Dockerfile))
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if b.Hide != nil && name != dockerfile && b.Hide(name) {
			return nil // what is below may be shown again: each is asked
		}
		return sendFile(out, root, name, e)
	})
	return errors.Join(err, out.Close())
}

func sendFile(out *tar.Writer, root *os.Root, name string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	link := ""
	switch {
	case info.Mode().Type() == fs.ModeSymlink:
		if link, err = root.Readlink(name); err != nil {
			return err
		}
	case !info.Mode().IsRegular() && !info.IsDir():
		return nil // a socket or a pipe is no part of an image
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, 0, 0, "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	if err := out.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	_, err = io.CopyN(out, f, info.Size())
	return err
}
