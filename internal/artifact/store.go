package artifact

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Store keeps releases by content, in an OCI image layout that any OCI tool can read. It is safe for concurrent use;
// one process at a time may have it open.
//
// A release's document is a blob, and its identity that blob's digest: whatever the number of releases, one is found by
// opening a file. What is read is verified each time; nothing is read when the store is opened.
type Store struct {
	dir   string
	limit int64      // bytes of one import
	mu    sync.Mutex // held while the index or the blobs' folder changes
	place sync.Mutex // held while artifacts are laid out

	images map[release.Digest]string // artifacts that were read, and are images of these ids
}

// Open opens the store in dir, makes it where there is none, finishes what an import had verified before it was killed,
// and clears away what it had not. A damaged store is a problem of code Unavailable.
func Open(_ context.Context, dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, limit: maxBundle}
	if err := s.prepare(); err != nil {
		return nil, problem.New(problem.Unavailable, "the release store in %s can't be used: %w", dir, err)
	}
	if err := s.check(); err != nil {
		return nil, damagedStore(dir, err)
	}
	if err := s.finishPending(); err != nil {
		return nil, s.diskProblem(err)
	}
	return s, nil
}

func damagedStore(dir string, err error) error {
	return problem.New(problem.Unavailable, "the release store in %s is damaged: %w", dir, err).
		WithHint("put %s back from your backup, or move it away and build or import the releases again", dir)
}

// prepare makes the parts of a layout that are not there, and clears away what came in and was not verified. An index that is missing beside blobs is not made: what it
// would not name would be cleared away.
func (s *Store) prepare() error {
	for _, sub := range []string{blobsFolder, incomingFolder} {
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := s.discard(); err != nil {
		return err
	}
	if _, err := os.Lstat(s.indexPath()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	blobs, err := os.Open(filepath.Join(s.dir, blobsFolder))
	if err != nil {
		return err
	}
	names, err := blobs.Readdirnames(1)
	if err = errors.Join(err, blobs.Close()); len(names) > 0 || !errors.Is(err, io.EOF) {
		return err
	}
	return errors.Join(
		atomicfile.Write(filepath.Join(s.dir, ocispec.ImageLayoutFile), []byte(layoutText), 0o644),
		s.writeIndex(nil))
}

// check looks whether this is a store, and mends what a kill or an earlier Greenroom left of its index.
func (s *Store) check() error {
	layout, err := os.ReadFile(filepath.Join(s.dir, ocispec.ImageLayoutFile))
	if err != nil || string(layout) != layoutText {
		return errors.Join(errors.New("not an OCI image layout of version "+ocispec.ImageLayoutVersion), err)
	}
	if err = s.checkIndex(); !errors.Is(err, errNotLines) {
		return err
	}
	pending, err := s.pending()
	if err != nil {
		return err
	}
	return s.mendIndex(len(pending) > 0)
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

// Import reads a tar of an OCI image layout that holds one release, verifies all of it, and keeps it. It is kept as a
// whole or not at all, whatever happens in between; importing it twice is importing it once, and mends blobs that were
// damaged. An artifact that the store has need not be brought. What is not exactly a release is a problem of code Invalid,
// and so is a release with evidence.
func (s *Store) Import(ctx context.Context, r io.Reader) (release.Digest, error) {
	id, _, err := s.take(ctx, r, 0, s.has)
	return id, err
}

// ImportBundle is Import for a release with its evidence, as ExportBundle writes it. The release is kept; the evidence is
// returned, in its order, and is nobody's word yet: that its bytes are those that were sent is all that was verified.
func (s *Store) ImportBundle(ctx context.Context, r io.Reader) (id release.Digest, evidence [][]byte, err error) {
	return s.take(ctx, r, maxEnvelopes, func(release.Artifact) bool { return false })
}

// take imports a bundle with at most so many envelopes, which need not bring the artifacts that are held.
func (s *Store) take(ctx context.Context, r io.Reader, envelopes int, held func(release.Artifact) bool) (id release.Digest, evidence [][]byte, err error) {
	dir, err := os.MkdirTemp(filepath.Join(s.dir, incomingFolder), "new-")
	if err != nil {
		return "", nil, s.diskProblem(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := readBundle(ctx, r, dir, s.limit)
	if err != nil {
		return "", nil, bundleProblem(ctx, err, s.diskProblem)
	}
	b.held = held
	rel, evidence, err := b.contents(envelopes)
	if err == nil {
		err = s.checkHeldImages(ctx, rel, b.has)
	}
	if err != nil {
		return "", nil, bundleProblem(ctx, err, s.diskProblem)
	}
	if err := s.adopt(rel, b); err != nil {
		return "", nil, s.diskProblem(err)
	}
	return rel.Digest(), evidence, nil
}

func (s *Store) blobPath(d release.Digest) string { return filepath.Join(s.dir, blobsFolder, hexOf(d)) }

func unknown(id release.Digest) error {
	return problem.New(problem.NotFound, "release %s is not in the store", id.Short()).WithHint("greenroom build")
}

func (s *Store) damaged(id release.Digest, err error) error {
	return problem.New(problem.Unavailable, "release %s is damaged in the store: %w", id.Short(), err).
		WithHint("greenroom build, from the same sources: the same release mends it")
}

func (s *Store) diskProblem(err error) error {
	if known := (*problem.Error)(nil); errors.As(err, &known) {
		return err
	}
	return problem.New(problem.Unavailable, "the release store in %s can't take it: %w", s.dir, err).
		WithHint("make room in %s, then do it again", s.dir)
}
