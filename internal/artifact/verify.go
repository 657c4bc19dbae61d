package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// maxDifferences bounds how many paths a message names.
const maxDifferences = 5

// Verify compares the folder in which an artifact was laid out with the release, byte for byte and mode for mode. What
// was changed, added or removed since is a problem of code Fail that names the paths; that the store's own copy is
// damaged is one of code Unavailable.
func (s *Store) Verify(ctx context.Context, id release.Digest, name, dir string) error {
	a, err := s.artifact(ctx, id, name)
	if err != nil {
		return err
	}
	differences, err := s.compare(ctx, a, dir)
	switch {
	case ctx.Err() != nil:
		return problem.New(problem.Interrupted, "the comparison of %s was interrupted: %w", dir, ctx.Err())
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.Fail, "%s of release %s is not laid out in %s", name, id.Short(), dir)
	case err != nil:
		return s.damaged(id, err)
	case len(differences) == 0:
		return nil
	}
	return problem.New(problem.Fail, "what lies in %s is not %s of release %s: %s", dir, name, id.Short(), summary(differences)).
		WithHint("find out who changed it; greenroom promote %s ENVIRONMENT lays it out anew", id.Short())
}

// summary names the first few differences.
func summary(differences []string) string {
	shown := differences[:min(len(differences), maxDifferences)]
	text := strings.Join(shown, "; ")
	if more := len(differences) - len(shown); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// compare lists how dir differs from an artifact. The error is fs.ErrNotExist when there is no dir, and otherwise about
// the stored artifact: what is wrong with dir is a difference.
func (s *Store) compare(ctx context.Context, a release.Artifact, dir string) (differences []string, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return []string{fmt.Sprintf("it can't be opened as a folder: %v", err)}, nil
	}
	defer root.Close() //nolint:errcheck // nothing was written
	c := comparison{ctx: ctx, root: root, known: map[string]kind{".": folder}}
	c.here, c.there = make([]byte, 64<<10), make([]byte, 64<<10)
	if err := s.read(ctx, a, c.entry); err != nil {
		return nil, err
	}
	c.folder(".")
	return c.differences, ctx.Err()
}

// comparison walks an artifact and a folder side by side.
type comparison struct {
	ctx         context.Context
	root        *os.Root
	known       map[string]kind // what the artifact has, with the folders above it
	differences []string
	here, there []byte
}

func (c *comparison) differ(name, format string, args ...any) {
	c.differences = append(c.differences, fmt.Sprintf("%q "+format, append([]any{name}, args...)...))
}

// entry compares one file of the artifact with the folder's.
func (c *comparison) entry(e entry, content io.Reader) error {
	c.known[e.name] = e.kind()
	for dir := path.Dir(e.name); c.known[dir] == 0; dir = path.Dir(dir) {
		c.known[dir] = folder
	}
	info, err := c.root.Lstat(e.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.differ(e.name, "is missing")
	case err != nil:
		c.differ(e.name, "can't be read: %v", err)
	case e.isLink():
		c.link(e, info)
	case !info.Mode().IsRegular():
		c.differ(e.name, "is a %s instead of a file", kindName(info.Mode()))
	case info.Mode() != e.mode():
		c.differ(e.name, "has mode %s instead of %s", info.Mode(), e.mode())
	case info.Size() != e.size:
		c.differ(e.name, "was changed")
	default:
		return c.content(e, content)
	}
	return c.ctx.Err()
}

func (c *comparison) link(e entry, info fs.FileInfo) {
	target, err := c.root.Readlink(e.name)
	if info.Mode().Type() != fs.ModeSymlink || err != nil || target != e.link {
		c.differ(e.name, "is not the symlink to %q that it was", e.link)
	}
}

// content compares two files of the same length.
func (c *comparison) content(e entry, content io.Reader) error {
	f, err := c.root.Open(e.name)
	if err != nil {
		c.differ(e.name, "can't be read: %v", err)
		return nil
	}
	defer f.Close() //nolint:errcheck // nothing was written
	for {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(content, c.there)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if _, bad := io.ReadFull(f, c.here[:n]); bad != nil || !bytes.Equal(c.here[:n], c.there[:n]) {
			c.differ(e.name, "was changed")
			return nil
		}
		if err != nil { // the end of the artifact's file
			return nil
		}
	}
}

// folder looks for what the artifact does not have.
func (c *comparison) folder(dir string) {
	info, err := c.root.Lstat(dir)
	if err == nil && info.Mode() != fs.ModeDir|folderMode {
		c.differ(dir, "has mode %s instead of %s", info.Mode(), fs.ModeDir|folderMode)
	}
	entries, err := readDir(c.root, dir)
	if err != nil {
		c.differ(dir, "can't be read: %v", err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case c.known[name] == 0:
			c.differ(name, "was added")
		case c.known[name] != folder: // compared already
		case e.IsDir():
			c.folder(name)
		default: // a symlink to a folder with the same files would have passed until here
			c.differ(name, "is no folder any more")
		}
	}
}
