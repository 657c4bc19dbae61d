package artifact

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/problem"
)

// inlineDockerfile is what the text of dockerfile_inline is called in a copy of its build context.
const inlineDockerfile = ".greenroom.Dockerfile"

// buildImage has the image of a service built.
func (b *builder) buildImage(ctx context.Context, service string, from app.ImageBuild) (string, error) {
	folder, err := subfolder(b.root, from.Context)
	if err != nil {
		return "", b.explain(err, service, "the build context")
	}
	defer folder.Close() //nolint:errcheck // nothing was written
	build := ImageBuild{Context: folder.Name(), Dockerfile: orElse(from.Dockerfile, "Dockerfile"), Target: from.Target, Args: from.Args}
	if build.Hide, err = b.hidden(folder, build.Dockerfile); err != nil {
		return "", b.explain(err, service, "the build context")
	}
	b.tell(service, "build the image from %s", path.Join(from.Context, orElse(from.Dockerfile, "dockerfile_inline")))
	if from.Inline != "" {
		dir, err := b.inline(ctx, folder, build.Hide, from.Inline)
		if err != nil {
			return "", b.explain(err, service, "the build context")
		}
		defer os.RemoveAll(dir) //nolint:errcheck // the whole build folder goes
		build.Context, build.Dockerfile, build.Hide = dir, inlineDockerfile, nil
	}
	id, err := b.Images.Build(ctx, build, b.line)
	if err != nil {
		return "", b.imageProblem(ctx, err, service, "built")
	}
	return id, nil
}

// hidden is what of a build context stays behind: what its ignore file says, as Docker finds it, and Greenroom's own folder.
func (b *builder) hidden(folder *os.Root, dockerfile string) (func(string) bool, error) {
	var ps patterns
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		text, err := folder.ReadFile(filepath.FromSlash(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			ps, err = parsePatterns(text)
		}
		if err != nil {
			return nil, err
		}
		break
	}
	never := ""
	if rel, err := filepath.Rel(folder.Name(), b.State); err == nil && b.State != "" && filepath.IsLocal(rel) {
		never = filepath.ToSlash(rel)
	}
	return func(name string) bool {
		return never != "" && (name == never || strings.HasPrefix(name, never+"/")) || ps.hide(name)
	}, nil
}

// inline copies a build context, with a Dockerfile that is not in the repository beside it. It returns the copy's folder.
func (b *builder) inline(ctx context.Context, folder *os.Root, hide func(string) bool, dockerfile string) (dir string, err error) {
	if dir, err = os.MkdirTemp(b.dir, "context-*"); err != nil {
		return "", err
	}
	copied, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	err = fs.WalkDir(folder.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || e.IsDir() || hide(name) {
			return err
		}
		return copyInto(copied, folder, name, e.Type())
	})
	if err != nil {
		return "", err
	}
	return dir, copied.WriteFile(inlineDockerfile, []byte(dockerfile), 0o600)
}

// copyInto copies a file or a symlink from one folder to another. What is neither is no part of an image.
func copyInto(to, from *os.Root, name string, kind fs.FileMode) (err error) {
	if err := to.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	if kind == fs.ModeSymlink {
		target, err := from.Readlink(name)
		if err != nil {
			return err
		}
		return to.Symlink(target, name)
	}
	if !kind.IsRegular() {
		return nil
	}
	source, err := from.Open(name)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // only read
	info, err := source.Stat()
	if err != nil {
		return err
	}
	f, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, source)
	return errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close())
}

// keep has the Engine keep a service's image, and makes it an artifact: so it travels, and comes back where it vanished.
func (b *builder) keep(ctx context.Context, s app.Service) error {
	if err := b.Images.Keep(ctx, s.Image); err != nil {
		return b.imageProblem(ctx, err, s.Name, "kept")
	}
	if a, ok := b.archived[s.Image]; ok {
		b.files[ImageFiles(s.Name)] = a
		return nil
	}
	if b.Packed != nil {
		if a, ok := b.Packed(ctx, s.Image); ok {
			b.files[ImageFiles(s.Name)], b.archived[s.Image], b.there[a.Digest] = a, a, true
			return nil
		}
	}
	b.tell(s.Name, "pack the image of %s", s.Name)
	dir, err := os.MkdirTemp(b.dir, "image-*")
	if err != nil {
		return b.explain(err, s.Name, "the image")
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the whole build folder goes
	err = b.archive(ctx, s.Image, dir)
	var known *problem.Error
	switch {
	case err != nil && (errors.As(err, &known) || ctx.Err() != nil):
		return b.imageProblem(ctx, err, s.Name, "packed")
	case err != nil:
		return problem.New(problem.Unavailable, "the image of %s can't be packed: %w", s.Name, err).
			WithHint("make room in %s, then: greenroom build", filepath.Dir(b.dir))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return b.explain(err, s.Name, "the image")
	}
	defer root.Close() //nolint:errcheck // nothing was written
	if err := b.pack(ctx, ImageFiles(s.Name), s.Name, root, []string{ImageArchive}); err != nil {
		return err
	}
	b.archived[s.Image] = b.files[ImageFiles(s.Name)]
	return nil
}
