package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
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
		if ok, err := s.oci.Exists(ctx, d); err != nil || !ok {
			return errors.Join(err, fmt.Errorf("the manifest %s of release %s is missing", d.Digest, d.Annotations[ocispec.AnnotationRefName]))
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

// Release gives the document of a release, read from its blob and verified. One that is not in the store is a problem
// of code NotFound, a damaged one of code Unavailable.
func (s *Store) Release(ctx context.Context, id release.Digest) (release.Release, error) {
	if !id.Valid() {
		return release.Release{}, unknown(id)
	}
	entry, err := s.oci.Resolve(ctx, hexOf(id))
	if errors.Is(err, errdef.ErrNotFound) {
		return release.Release{}, unknown(id)
	}
	if err != nil {
		return release.Release{}, err
	}
	man, err := content.FetchAll(ctx, s.oci, entry)
	if err != nil {
		return release.Release{}, s.damaged(id, err)
	}
	r, err := s.document(ctx, id, man)
	if err != nil {
		return release.Release{}, s.damaged(id, err)
	}
	return r, nil
}

// document reads the release document that a manifest has as its config, and sees that each follows from the other.
func (s *Store) document(ctx context.Context, id release.Digest, man []byte) (release.Release, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(man, &m); err != nil {
		return release.Release{}, err
	}
	if m.Config.Digest != digest.Digest(id) || m.Config.Size > maxDocument {
		return release.Release{}, errors.New("its manifest names another document")
	}
	doc, err := content.FetchAll(ctx, s.oci, m.Config)
	if err != nil {
		return release.Release{}, err
	}
	r, err := release.Parse(doc)
	if err != nil {
		return release.Release{}, err
	}
	_, want, err := manifest(r)
	if err != nil {
		return release.Release{}, err
	}
	if !bytes.Equal(man, want) {
		return release.Release{}, errors.New("its manifest is not that of its document")
	}
	return r, nil
}

// Export writes a release as a tar of an OCI image layout, as Import takes it. A blob that is not what its digest says
// ends it with an error, and leaves the archive cut off.
func (s *Store) Export(ctx context.Context, id release.Digest, w io.Writer) error {
	r, err := s.Release(ctx, id)
	if err != nil {
		return err
	}
	return writeBundle(ctx, w, r, func(a release.Artifact) (io.ReadCloser, error) { return s.open(ctx, a) })
}

// open gives a blob's content. Where others say io.EOF it says whether that was what the digest promised.
func (s *Store) open(ctx context.Context, a release.Artifact) (io.ReadCloser, error) {
	d := descriptor(layerType, a)
	rc, err := s.oci.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	return verified{content.NewVerifyReader(rc, d), rc}, nil
}

// verified is a blob that says at its end, instead of io.EOF, when it was not what its digest says.
type verified struct {
	*content.VerifyReader
	io.Closer
}

func (v verified) Read(p []byte) (int, error) {
	n, err := v.VerifyReader.Read(p)
	if err == io.EOF { //nolint:errorlint // io.EOF is never wrapped
		if bad := v.Verify(); bad != nil {
			return n, fmt.Errorf("the stored copy is damaged: %w", bad)
		}
	}
	return n, err
}

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
