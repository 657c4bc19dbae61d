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

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// The modes of what is laid out: nobody writes to it, whoever it belongs to may read it.
const (
	fileMode   fs.FileMode = 0o444
	execMode   fs.FileMode = 0o555
	folderMode fs.FileMode = 0o555
)

func (e entry) mode() fs.FileMode {
	if e.exec {
		return execMode
	}
	return fileMode
}

// Unpack lays an artifact of a release out in dir, read-only. dir appears whole or not at all; where it stands already
// and is intact nothing is done, where it was changed it is replaced. name is ServiceFiles of a service, or Checks.
//
// Nothing is synced to disk: what a power cut takes away, the comparison before the next use finds. Files keep the time
// of their unpacking, because a server that tells browsers one fixed time would have them keep the old release's files.
func (s *Store) Unpack(ctx context.Context, id release.Digest, name, dir string) error {
	a, err := s.artifact(ctx, id, name)
	if err != nil {
		return err
	}
	s.place.Lock()
	defer s.place.Unlock()
	differences, err := s.compare(ctx, a, dir)
	if err == nil && len(differences) == 0 {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.damaged(id, err)
	}
	if err := s.unpack(ctx, a, dir); err != nil {
		return problem.New(problem.Unavailable, "%s of release %s can't be laid out in %s: %w", name, id.Short(), dir, err).
			WithHint("see that %s can be written to and has room, then do it again", filepath.Dir(dir))
	}
	return nil
}

// artifact looks an artifact of a release up by its name.
func (s *Store) artifact(ctx context.Context, id release.Digest, name string) (release.Artifact, error) {
	r, err := s.Release(ctx, id)
	if err != nil {
		return release.Artifact{}, err
	}
	a, ok := r.Files[name]
	if !ok {
		return release.Artifact{}, problem.New(problem.NotFound, "release %s has no files called %q", id.Short(), name)
	}
	return a, nil
}

// unpack makes the folder beside its place and moves it there. Old and new have the same parent all the time: a
// read-only folder can't be moved to another one.
func (s *Store) unpack(ctx context.Context, a release.Artifact, dir string) (err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	prefix := "." + filepath.Base(dir) + ".tmp-"
	if err := clearLeftovers(parent, prefix); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clearLeftovers(parent, prefix)) }()
	if err := s.extract(ctx, a, fresh); err != nil {
		return err
	}
	if err := os.Rename(dir, fresh+"-old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(fresh, dir)
}

// clearLeftovers removes what an earlier unpacking, perhaps one that was killed, has left beside its place.
func clearLeftovers(parent, prefix string) error {
	entries, err := os.ReadDir(parent)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			err = errors.Join(err, RemoveTree(filepath.Join(parent, e.Name())))
		}
	}
	return err
}

// extract writes the artifact's files below dir, which is empty, and verifies its digest while it reads.
func (s *Store) extract(ctx context.Context, a release.Artifact, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	x := extractor{ctx: ctx, root: root, folders: map[string]bool{".": true}, buf: make([]byte, 128<<10)}
	if err := s.read(ctx, a, x.entry); err != nil {
		return err
	}
	for folder := range x.folders {
		// Of what it holds nothing is created any more, so the order does not matter.
		if err := root.Chmod(folder, folderMode); err != nil {
			return err
		}
	}
	return nil
}

// read scans a stored artifact.
func (s *Store) read(ctx context.Context, a release.Artifact, visit func(entry, io.Reader) error) (err error) {
	blob, err := s.open(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	return scan(blob, visit)
}

// extractor writes entries below a root, out of which no name and no symlink leads: os.Root sees to that even if the
// archive's own checks did not.
type extractor struct {
	ctx     context.Context
	root    *os.Root
	folders map[string]bool
	buf     []byte
}

func (x *extractor) entry(e entry, content io.Reader) (err error) {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	if err := x.folder(path.Dir(e.name)); err != nil {
		return err
	}
	if e.isLink() {
		return x.root.Symlink(e.link, e.name)
	}
	f, err := x.root.OpenFile(e.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, content, x.buf)
	return errors.Join(err, f.Chmod(e.mode()), f.Close())
}

// folder makes a folder and those above it.
func (x *extractor) folder(name string) error {
	if x.folders[name] {
		return nil
	}
	if err := x.folder(path.Dir(name)); err != nil {
		return err
	}
	x.folders[name] = true
	return x.root.Mkdir(name, 0o700)
}

// RemoveTree deletes a folder and all in it, read-only folders too. One that is not there is no error.
func RemoveTree(dir string) error {
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() { // before it is read; WalkDir follows no symlinks
			err = os.Chmod(name, 0o700)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, os.RemoveAll(dir))
}
