package artifact

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// incomingFolder holds bundles while they are imported: each in a folder with a name of its own until all of it is
// verified, then in one with its release's hexadecimal digits, from which an import that was killed is finished.
const incomingFolder = "incoming"

// discard clears away what came in and was not verified.
func (s *Store) discard() error {
	entries, err := os.ReadDir(filepath.Join(s.dir, incomingFolder))
	for _, e := range entries {
		if _, ok := digestOf(e.Name()); !ok {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, incomingFolder, e.Name())))
		}
	}
	return err
}

// pending lists the releases that came in, were verified, and are not known yet.
func (s *Store) pending() ([]release.Digest, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, incomingFolder))
	var list []release.Digest
	for _, e := range entries {
		if id, ok := digestOf(e.Name()); ok {
			list = append(list, id)
		}
	}
	return list, err
}

// finishPending finishes what is pending.
func (s *Store) finishPending() error {
	list, err := s.pending()
	for _, id := range list {
		err = errors.Join(err, s.finish(id))
	}
	return err
}

// adopt makes a bundle's release the store's own. Once its folder has the release's name, that is done or will be.
func (s *Store) adopt(r release.Release, b *bundle) error {
	if err := b.keep(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range artifacts(r) { // nothing is swept any more; what was held when the bundle was looked at may have been
		if _, here := b.blobs[a.Digest]; !here && !s.has(a) {
			return problem.New(problem.Unavailable, "artifact %s was cleared away while release %s came in", a.Digest.Short(), r.Digest().Short()).
				WithHint("greenroom build, once more")
		}
	}
	place := s.incomingPath(r.Digest())
	if err := os.RemoveAll(place); err != nil { // of a disk that was full before; this bundle has all of that
		return err
	}
	if err := os.Rename(b.dir, place); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(filepath.Dir(place)); err != nil {
		return err
	}
	return s.finish(r.Digest())
}

// finish moves the blobs of a release that was verified to their places and then makes it known; it may have been begun
// before. The document comes last: where it is, the rest is.
func (s *Store) finish(id release.Digest) error {
	place := s.incomingPath(id)
	entries, err := os.ReadDir(place)
	if err != nil {
		return err
	}
	_, err = os.Lstat(s.blobPath(id))
	isNew := errors.Is(err, fs.ErrNotExist)
	for _, e := range entries {
		if d, ok := digestOf(e.Name()); ok && d != id {
			// Over one that is there already, too: it has the same content, or is damaged. Whoever reads it keeps the old file.
			if err := os.Rename(filepath.Join(place, e.Name()), s.blobPath(d)); err != nil {
				return err
			}
		}
	}
	err = os.Rename(filepath.Join(place, hexOf(id)), s.blobPath(id))
	switch {
	case errors.Is(err, fs.ErrNotExist) && isNew: // a power cut brought back the empty folder of a release that is gone
		return os.RemoveAll(place)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := atomicfile.SyncDir(filepath.Join(s.dir, blobsFolder)); err != nil {
		return err
	}
	if err := s.makeKnown(id, isNew); err != nil {
		return err
	}
	return os.RemoveAll(place)
}

// makeKnown names a release in the index, unless it is there. One whose document is new can't be.
func (s *Store) makeKnown(id release.Digest, isNew bool) error {
	if !isNew {
		if listed, err := s.listed(id); err != nil || listed {
			return err
		}
	}
	r, err := s.release(id)
	if err != nil {
		return err
	}
	man, _, err := manifest(r)
	if err != nil {
		return err
	}
	return s.appendIndex(known{id, man})
}

func (s *Store) incomingPath(id release.Digest) string {
	return filepath.Join(s.dir, incomingFolder, hexOf(id))
}
