package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/atomicfile"
	"greenroom/internal/release"
)

// Sweep forgets every release that keep does not want, deletes the blobs that no other release refers to, and says how
// many bytes those had. It reads all manifests, 30 seconds for a million, and no release can come in meanwhile. When it is
// killed, or ctx ends, the next one deletes what is left. Where a manifest is damaged it deletes nothing: a problem of code Unavailable.
func (s *Store) Sweep(ctx context.Context, keep func(release.Digest) bool) (freed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.finishPending(); err != nil { // of a disk that was full before: the index does not name it yet
		return 0, s.diskProblem(err)
	}
	all, err := s.all()
	if err != nil {
		return 0, damagedStore(s.dir, err)
	}
	var kept []known
	var dropped []release.Digest
	needed := map[release.Digest]bool{}
	for _, k := range all {
		if !keep(k.id) {
			dropped = append(dropped, k.id)
			continue
		}
		if err := errors.Join(ctx.Err(), s.need(k, needed)); err != nil {
			return 0, s.damaged(k.id, err)
		}
		kept = append(kept, k)
	}
	if len(dropped) > 0 {
		if err := s.writeIndex(kept); err != nil {
			return 0, s.diskProblem(err)
		}
	}
	// From here on a kill leaves blobs that nobody needs. The documents go first: where one is, the rest is.
	freed, err = s.delete(ctx, dropped)
	if err == nil {
		var more int64
		more, err = s.deleteStrays(ctx, needed)
		freed += more
	}
	if err != nil && ctx.Err() == nil {
		err = s.diskProblem(err)
	}
	return freed, err
}

// List is every release that the index names, in the order in which they came.
func (s *Store) List() ([]release.Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.all()
	if err != nil {
		return nil, damagedStore(s.dir, err)
	}
	ids := make([]release.Digest, 0, len(all))
	for _, k := range all {
		ids = append(ids, k.id)
	}
	return ids, nil
}

// Remove forgets a release and deletes what only it refers to, as Sweep does. Removing one that is not there is no error.
func (s *Store) Remove(ctx context.Context, id release.Digest) error {
	if !id.Valid() {
		return unknown(id)
	}
	_, err := s.Sweep(ctx, func(d release.Digest) bool { return d != id })
	return err
}

// need adds the blobs of a release.
func (s *Store) need(k known, needed map[release.Digest]bool) error {
	text, err := s.small(k.manifest.Digest)
	if err != nil {
		return fmt.Errorf("the manifest of release %s: %w", k.id.Short(), err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	if m.Config.Digest.String() != string(k.id) {
		return errors.New("its manifest names another document")
	}
	needed[k.id], needed[k.manifest.Digest] = true, true
	for _, l := range m.Layers {
		needed[release.Digest(l.Digest)] = true
	}
	return nil
}

// deleteStrays deletes the blobs that are not needed.
func (s *Store) deleteStrays(ctx context.Context, needed map[release.Digest]bool) (freed int64, err error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, blobsFolder))
	if err != nil {
		return 0, err
	}
	var strays []release.Digest
	for _, e := range entries {
		if d, ok := digestOf(e.Name()); ok && !needed[d] {
			strays = append(strays, d)
		}
	}
	return s.delete(ctx, strays)
}

// delete removes blobs, some of which may be gone, and says how many bytes they had.
func (s *Store) delete(ctx context.Context, blobs []release.Digest) (freed int64, err error) {
	for _, d := range blobs {
		if ctx.Err() != nil {
			return freed, ctx.Err()
		}
		info, err := os.Lstat(s.blobPath(d))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err = errors.Join(err, os.Remove(s.blobPath(d))); err != nil {
			return freed, err
		}
		freed += info.Size()
	}
	return freed, atomicfile.SyncDir(filepath.Join(s.dir, blobsFolder))
}
