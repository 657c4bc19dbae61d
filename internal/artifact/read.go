package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"greenroom/internal/release"
)

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
