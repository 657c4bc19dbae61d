package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"oras.land/oras-go/v2/content"

	"greenroom/internal/release"
)

// Release gives the document of a release, read from its blob and verified. One that is not in the store is a problem
// of code NotFound, a damaged one of code Unavailable.
func (s *Store) Release(_ context.Context, id release.Digest) (release.Release, error) {
	if !id.Valid() {
		return release.Release{}, unknown(id)
	}
	r, err := s.release(id)
	if errors.Is(err, fs.ErrNotExist) {
		r, err = s.absent(id)
	}
	switch {
	case errors.Is(err, errUnknown):
		return release.Release{}, unknown(id)
	case err != nil:
		return release.Release{}, s.damaged(id, err)
	}
	return r, nil
}

// errUnknown says that a release is not in the store, and is not meant to be.
var errUnknown = errors.New("not in the store")

// absent looks again for a release of which something was not there: it may just be coming in. Of one that is not known
// the index says nothing; only then it is read.
func (s *Store) absent(id release.Digest) (release.Release, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.release(id)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if listed, bad := s.listed(id); bad != nil || listed {
		return release.Release{}, errors.Join(bad, err)
	}
	return release.Release{}, errUnknown
}

// release reads a release's document and sees that its manifest is there.
func (s *Store) release(id release.Digest) (release.Release, error) {
	doc, err := s.small(id)
	if err != nil {
		return release.Release{}, err
	}
	r, err := release.Parse(doc)
	if err != nil {
		return release.Release{}, err
	}
	man, _, err := manifest(r)
	if err == nil {
		_, err = s.small(man.Digest) // what has its digest is it
	}
	if err != nil {
		return release.Release{}, fmt.Errorf("manifest: %w", err)
	}
	return r, nil
}

// small reads and verifies a blob that is a document.
func (s *Store) small(d release.Digest) (text []byte, err error) {
	f, err := os.Open(s.blobPath(d))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err = io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil && release.Of(text) != d {
		err = fmt.Errorf("blob %s: %w", d.Short(), content.ErrMismatchedDigest)
	}
	return text, err
}

// has says whether the store has an artifact, as far as its length tells.
func (s *Store) has(a release.Artifact) bool {
	info, err := os.Stat(s.blobPath(a.Digest))
	return err == nil && info.Size() == a.Size
}

// open gives a blob's content. Where others say io.EOF it says whether that was what the digest promised.
func (s *Store) open(a release.Artifact) (io.ReadCloser, error) {
	f, err := os.Open(s.blobPath(a.Digest))
	if err != nil {
		return nil, err
	}
	return verify(f, a), nil
}

// verify reads content that has to be this artifact.
func verify(rc io.ReadCloser, a release.Artifact) io.ReadCloser {
	return verified{content.NewVerifyReader(rc, descriptor(layerType, a)), rc}
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
