// Package artifact makes what travels and keeps it: it builds a release out of a repository, once; stores it by
// content, as an OCI image layout; moves it between stores as one stream; and lays its files out, read-only, for what
// runs, which can be compared with the release at any time.
package artifact

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// Checks is the name of the artifact that holds the checks' own files.
const Checks = "checks"

// ImageFiles is the name of the artifact that holds a container's image: one file, ImageArchive.
func ImageFiles(service string) string { return "image/" + service }

// ImageArchive is an image as docker save writes it, with nothing in it that differs from one writing to the next.
const ImageArchive = "image.tar"

// ServiceFiles is the name of the artifact that holds a service's files.
func ServiceFiles(service string) string { return "service/" + service }

// BuildOptions say what is built, and how.
type BuildOptions struct {
	Repository string // the folder of the definition
	App        app.App
	Env        []string   // the whole environment of the build commands
	Output     io.Writer  // what they print, as they print it; nil drops it
	Progress   func(Step) // told as each step begins; may be nil
	State      string     // Greenroom's own folder: when it lies inside the repository it does not travel
	// Images are where containers' images are made and found; nil: there are none, and an app with containers can't be built.
	Images Images
	// Given are images that somebody else built, by service: names or ids that Images knows, or can fetch.
	Given map[string]string
	// Packed tells of the artifact that an image, by its id, became in an earlier release, where the store that the release is for
	// has it still: it is not packed again, and not sent. nil: that store has none.
	Packed func(ctx context.Context, image string) (release.Artifact, bool)
}

// Step is one step of a build, told as it begins.
type Step struct {
	Name string // the service, or Checks
	Says string // what a person reads: "run make", "pack bin, public"
}

// Built is a finished release that is in no store yet. Close throws it away.
type Built struct {
	Release release.Release
	dir     string                  // holds each artifact under its digest's hexadecimal digits
	there   map[release.Digest]bool // those that the store has
}

// Close removes the release's files. A closed Built can't be exported or put into a store.
func (b Built) Close() error { return os.RemoveAll(b.dir) }

// Build runs the build command of each process service and packs what travels. The same files and the same definition
// give the same release, byte for byte, wherever and whenever that is done; containers' images do as far as their own builds
// give the same image. It is a problem of code Fail when a command
// fails, with the end of its output; Invalid when the definition names files that are not there or can't travel.
func Build(ctx context.Context, o BuildOptions) (built Built, err error) {
	repository, err := filepath.Abs(o.Repository)
	if err != nil {
		return Built{}, err
	}
	root, err := os.OpenRoot(repository)
	if err != nil {
		return Built{}, problem.New(problem.Invalid, "the repository can't be read: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing was written
	dir, err := os.MkdirTemp("", "greenroom-build-*")
	if err != nil {
		return Built{}, problem.New(problem.Unavailable, "no place for what is built: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	b := builder{BuildOptions: o, root: root, dir: dir, ran: map[string]bool{}, files: map[string]release.Artifact{}, archived: map[string]release.Artifact{}, there: map[release.Digest]bool{}}
	for _, s := range o.App.Contents.Services {
		if s.Kind == app.KindProcess || s.Container != nil {
			if err := b.service(ctx, s); err != nil {
				return Built{}, err
			}
		}
	}
	contents := o.App.Contents
	if contents.Services, err = b.images(ctx); err != nil {
		return Built{}, err
	}
	if contents.Deploy, err = b.deploy(ctx); err != nil {
		return Built{}, err
	}
	if err := b.checks(ctx); err != nil {
		return Built{}, err
	}
	r := release.Release{Format: release.Format, App: o.App.Name, Contents: contents, Files: b.files}
	return Built{Release: r, dir: dir, there: b.there}, nil
}

// builder is one build.
type builder struct {
	BuildOptions
	root  *os.Root
	dir   string
	ran   map[string]bool // build commands that have been run, by folder and command: services may share one
	files map[string]release.Artifact

	archived map[string]release.Artifact // images that are packed, by id
	there    map[release.Digest]bool     // of these, those that the store has
}

func (b *builder) tell(name, format string, args ...any) {
	if b.Progress != nil {
		b.Progress(Step{Name: name, Says: fmt.Sprintf(format, args...)})
	}
}

// service builds one service's files. One without a build runs a program of the machine; its artifact is empty.
func (b *builder) service(ctx context.Context, s app.Service) error {
	build := app.Build{}
	if s.Build != nil {
		build = *s.Build
	}
	folder, err := subfolder(b.root, build.Context)
	if err != nil {
		return b.explain(err, s.Name, "the build context")
	}
	defer folder.Close() //nolint:errcheck // nothing was written
	key := folder.Name() + "\x00" + build.Run
	if build.Run != "" && !b.ran[key] {
		b.tell(s.Name, "run %s", build.Run)
		if err := b.run(ctx, s.Name, folder.Name(), build.Run); err != nil {
			return err
		}
		b.ran[key] = true
	}
	var names []string
	if s.Build != nil {
		b.tell(s.Name, "pack %s", orElse(strings.Join(build.Files, ", "), "all of "+orElse(build.Context, "the repository")))
		if names, err = (selection{names: build.Files, state: b.State}).list(folder); err != nil {
			return b.explain(err, s.Name, "the files")
		}
	}
	return b.pack(ctx, ServiceFiles(s.Name), s.Name, folder, names)
}

// checks packs the files of all checks into one artifact.
func (b *builder) checks(ctx context.Context) error {
	seen, found := map[string]bool{}, []string{}
	for _, c := range b.App.Contents.Checks {
		if len(c.Files) == 0 {
			continue
		}
		b.tell(Checks, "pack %s", strings.Join(c.Files, ", "))
		names, err := (selection{names: c.Files, state: b.State}).list(b.root)
		if err != nil {
			return b.explain(err, "check "+c.Name, "the files")
		}
		for _, name := range names {
			if !seen[name] {
				seen[name], found = true, append(found, name)
			}
		}
	}
	slices.Sort(found)
	return b.pack(ctx, Checks, "the checks", b.root, found)
}

// run runs one build command.
func (b *builder) run(ctx context.Context, name, dir, line string) error {
	last := proc.NewTail(8 << 10)
	var out io.Writer = last
	if b.Output != nil {
		out = io.MultiWriter(b.Output, last)
	}
	exit, err := proc.Run(ctx, proc.Command{Argv: proc.Shell(line), Dir: dir, Env: b.Env, Stdout: out, Stderr: out})
	switch {
	case ctx.Err() != nil:
		return problem.New(problem.Interrupted, "the build of %s was interrupted: %w", name, ctx.Err())
	case err != nil:
		return problem.New(problem.Fail, "the build of %s could not be run: %w", name, err)
	case !exit.OK():
		return problem.New(problem.Fail, "the build of %s failed: %q ended with %s%s", name, line, exit, excerpt(last, 20)).
			WithHint("run it in %s until it works, then: greenroom build", dir)
	}
	return nil
}

// pack writes one artifact into the build's folder, under its digest.
func (b *builder) pack(ctx context.Context, name, who string, root *os.Root, names []string) error {
	f, err := os.CreateTemp(b.dir, "pack-*")
	if err != nil {
		return err
	}
	sum := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(f, sum), 128<<10)
	size := &counter{w: buffered}
	err = pack(root, names, cancellable{ctx, size})
	err = errors.Join(err, buffered.Flush(), f.Close())
	if err != nil {
		return b.explain(err, who, "what was selected")
	}
	hexSum := hex.EncodeToString(sum.Sum(nil))
	b.files[name] = release.Artifact{Digest: release.Digest("sha256:" + hexSum), Size: size.n}
	return os.Rename(f.Name(), filepath.Join(b.dir, hexSum))
}

// explain says whose files could not be packed, and what to do about it.
func (b *builder) explain(err error, who, what string) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return problem.New(problem.Interrupted, "the build of %s was interrupted: %w", who, err)
	}
	p := problem.New(problem.Invalid, "%s: %s can't travel: %w", who, what, err)
	var missing missingError
	var path *fs.PathError
	switch {
	case errors.As(err, &path) && strings.HasPrefix(path.Path, b.dir):
		return problem.New(problem.Unavailable, "%s: what is built can't be written: %w", who, err).
			WithHint("make room in %s, then: greenroom build", filepath.Dir(b.dir))
	case errors.As(err, &missing):
		return p.WithHint("correct files: of %s in greenroom.yaml, or let the build make what it names, then: greenroom build", who)
	case errors.As(err, &path):
		return p.WithHint("see that you may read this path, then: greenroom build")
	}
	return p.WithHint("name what travels in files: of greenroom.yaml, or hide what does not in .greenroomignore, " +
		"then: greenroom build")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
