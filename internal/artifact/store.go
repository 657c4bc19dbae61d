package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/errdef"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Store keeps releases by content, in an OCI image layout that any OCI tool can read. It is safe for concurrent use;
// one process at a time may have it open.
//
// oras reads the layout and knows what refers to what. The writing is our own: oras syncs nothing to disk and writes
// index.json in place, so a kill in that moment would lose every release.
type Store struct {
	dir   string
	limit int64      // bytes of one import
	mu    sync.Mutex // held while the index changes
	oci   *oci.Store
	place sync.Mutex // held while artifacts are laid out
}

// incomingFolder holds bundles while they are imported.
const incomingFolder = "incoming"

// Open opens the store in dir, makes it where there is none, and clears what an interrupted import left behind. A
// damaged store is a problem of code Unavailable.
func Open(ctx context.Context, dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := prepare(dir); err != nil {
		return nil, problem.New(problem.Unavailable, "the release store in %s can't be used: %w", dir, err)
	}
	layout, err := oci.NewWithContext(ctx, dir)
	if err != nil {
		return nil, damagedStore(dir, err)
	}
	layout.AutoSaveIndex = false
	s := &Store{dir: dir, limit: maxBundle, oci: layout}
	// oras overlooks a manifest that is gone, and would then clear away the rest of that release as well.
	if err := s.complete(ctx); err != nil {
		return nil, damagedStore(dir, err)
	}
	if err := layout.GC(ctx); err != nil {
		return nil, damagedStore(dir, err)
	}
	return s, nil
}

func damagedStore(dir string, err error) error {
	return problem.New(problem.Unavailable, "the release store in %s is damaged: %w", dir, err).
		WithHint("put %s back from your backup, or move it away and build or import the releases again", dir)
}

// complete says whether each release that the index names has its manifest.
func (s *Store) complete(ctx context.Context) error {
	entries, err := s.entriesBut(ctx, "")
	if err != nil {
		return err
	}
	for _, d := range entries {
		ok, err := s.oci.Exists(ctx, d)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("the manifest %s of release %s is missing", d.Digest, d.Annotations[ocispec.AnnotationRefName])
		}
	}
	return nil
}

// prepare makes the parts of a layout that are not there.
func prepare(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, incomingFolder)); err != nil {
		return err
	}
	for _, sub := range []string{blobsFolder, incomingFolder} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	empty, err := index([]ocispec.Descriptor{})
	if err != nil {
		return err
	}
	return errors.Join(
		writeMissing(filepath.Join(dir, ocispec.ImageLayoutFile), []byte(layoutText)),
		writeMissing(filepath.Join(dir, ocispec.ImageIndexFile), empty))
}

func writeMissing(name string, b []byte) error {
	if _, err := os.Lstat(name); !os.IsNotExist(err) {
		return err
	}
	return atomicfile.Write(name, b, 0o644)
}

// Put takes a built release into the store and returns its identity. Putting it twice is putting it once.
func (s *Store) Put(ctx context.Context, built Built) (release.Digest, error) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(built.Export(ctx, w))
	}()
	id, err := s.Import(ctx, r)
	r.CloseWithError(err)
	<-done
	return id, err
}

// Export writes the release as a tar of an OCI image layout, as Import takes it.
func (b Built) Export(ctx context.Context, w io.Writer) error {
	return writeBundle(ctx, w, b.Release, func(a release.Artifact) (io.ReadCloser, error) {
		return os.Open(filepath.Join(b.dir, hexOf(a.Digest)))
	})
}

// Import reads a tar of an OCI image layout that holds one release, verifies all of it, and keeps it. It is kept as a
// whole or not at all, whatever happens in between; importing it twice is importing it once, and mends blobs that were
// damaged. What is not exactly a release is a problem of code Invalid.
func (s *Store) Import(ctx context.Context, r io.Reader) (id release.Digest, err error) {
	dir, err := os.MkdirTemp(filepath.Join(s.dir, incomingFolder), "")
	if err != nil {
		return "", s.diskProblem(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := readBundle(ctx, r, dir, s.limit)
	if err != nil {
		return "", s.importProblem(ctx, err)
	}
	rel, err := b.release()
	if err != nil {
		return "", s.importProblem(ctx, err)
	}
	if err := s.adopt(ctx, rel, b); err != nil {
		return "", s.diskProblem(err)
	}
	return rel.Digest(), nil
}

// adopt moves a bundle's blobs to their places and then makes the release known. The blobs are on disk, with their
// names, before the index names them.
func (s *Store) adopt(ctx context.Context, r release.Release, b *bundle) error {
	man, _, err := manifest(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := range b.blobs {
		// Over one that is there already, too: it has the same content, or is damaged. Whoever reads it keeps the old file.
		if err := os.Rename(b.path(d), s.blobPath(d)); err != nil {
			return err
		}
	}
	if err := atomicfile.SyncDir(filepath.Join(s.dir, blobsFolder)); err != nil {
		return err
	}
	entry := manifestDescriptor(r.Digest(), man)
	entries, err := s.entriesBut(ctx, hexOf(r.Digest()))
	if err != nil {
		return err
	}
	if err := s.writeIndex(append(entries, entry)); err != nil {
		return err
	}
	return s.oci.Tag(ctx, entry, hexOf(r.Digest()))
}

// Remove forgets a release and deletes what only it refers to. Removing one that is not there is no error.
func (s *Store) Remove(ctx context.Context, id release.Digest) error {
	if !id.Valid() {
		return unknown(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entries, err := s.entriesBut(ctx, hexOf(id))
	if err != nil {
		return err
	}
	if err := s.writeIndex(entries); err != nil {
		return s.diskProblem(err)
	}
	if err := s.oci.Untag(ctx, hexOf(id)); err != nil && !errors.Is(err, errdef.ErrNotFound) {
		return err
	}
	return s.oci.GC(ctx)
}

// entriesBut lists what the index names, without the release of that name.
func (s *Store) entriesBut(ctx context.Context, name string) ([]ocispec.Descriptor, error) {
	entries := []ocispec.Descriptor{}
	err := s.oci.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			if tag == name {
				continue
			}
			d, err := s.oci.Resolve(ctx, tag)
			if err != nil {
				return err
			}
			entries = append(entries, d)
		}
		return nil
	})
	return entries, err
}

func (s *Store) writeIndex(entries []ocispec.Descriptor) error {
	b, err := index(entries)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(s.dir, ocispec.ImageIndexFile), b, 0o644)
}

func (s *Store) blobPath(d release.Digest) string { return filepath.Join(s.dir, blobsFolder, hexOf(d)) }

func unknown(id release.Digest) error {
	return problem.New(problem.NotFound, "release %s is not in the store", id.Short()).WithHint("greenroom build")
}

func (s *Store) damaged(id release.Digest, err error) error {
	return problem.New(problem.Unavailable, "release %s is damaged in the store: %w", id.Short(), err).
		WithHint("greenroom build, from the same sources: the same release mends it")
}

// importProblem tells why a bundle was not taken: it was interrupted, the disk did not take it, or it is no release.
func (s *Store) importProblem(ctx context.Context, err error) error {
	var path *fs.PathError
	switch {
	case ctx.Err() != nil:
		return problem.New(problem.Interrupted, "the import was interrupted: %w", err)
	case errors.As(err, &path):
		return s.diskProblem(err)
	}
	return problem.New(problem.Invalid, "this is not a release: %w", err).WithHint("greenroom build, and send what it made")
}

func (s *Store) diskProblem(err error) error {
	return problem.New(problem.Unavailable, "the release store in %s can't take it: %w", s.dir, err).
		WithHint("make room in %s, then do it again", s.dir)
}
