package artifact

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/release"
)

// Export writes the release as a tar of an OCI image layout, as Import takes it: without what BuildOptions.Packed said is
// where it goes to.
func (b Built) Export(ctx context.Context, w io.Writer) error {
	parts := slices.DeleteFunc(artifacts(b.Release), func(a release.Artifact) bool { return b.there[a.Digest] })
	return writeBundle(ctx, w, b.Release, parts, nil, func(a release.Artifact) (io.ReadCloser, error) {
		return os.Open(filepath.Join(b.dir, hexOf(a.Digest)))
	})
}

// Export writes a release as a tar of an OCI image layout, as Import takes it. A blob that is not what its digest says
// ends it with an error, and leaves the archive cut off.
func (s *Store) Export(ctx context.Context, id release.Digest, w io.Writer) error {
	return s.ExportBundle(ctx, id, nil, w)
}

// ExportBundle is Export with the release's evidence: DSSE envelopes, in the order in which ImportBundle gives them back.
// Without any it writes what Export writes. The same envelope twice, or more evidence than ImportBundle takes, is a
// problem of code Invalid.
func (s *Store) ExportBundle(ctx context.Context, id release.Digest, evidence [][]byte, w io.Writer) error {
	r, err := s.Release(ctx, id)
	if err != nil {
		return err
	}
	return writeBundle(ctx, w, r, artifacts(r), evidence, s.open)
}

// writeBundle writes one release, these of its artifacts and its evidence as a tar of an OCI image layout. open gives an
// artifact's content, which has to fail before its end when it is not what its digest says.
func writeBundle(ctx context.Context, w io.Writer, r release.Release, parts []release.Artifact, evidence [][]byte,
	open func(release.Artifact) (io.ReadCloser, error)) error {
	man, manBytes, err := manifest(r)
	if err != nil {
		return err
	}
	refs, err := referrers(man, evidence)
	if err != nil {
		return invalidBundle(err)
	}
	doc := r.Bytes()
	entries := []ocispec.Descriptor{manifestDescriptor(release.Of(doc), man)}
	for _, ref := range refs {
		entries = append(entries, ref.descriptor())
	}
	ind, err := index(entries)
	if err != nil {
		return err
	}
	b := bundleWriter{tar.NewWriter(cancellable{ctx, w})}
	err = errors.Join(b.text(ocispec.ImageLayoutFile, []byte(layoutText)), b.text(ocispec.ImageIndexFile, ind),
		b.blob(manBytes), b.blob(doc))
	if err != nil {
		return err
	}
	for _, a := range parts {
		if err := b.artifact(a, open); err != nil {
			return fmt.Errorf("artifact %s: %w", a.Digest.Short(), err)
		}
	}
	if err := b.evidence(refs); err != nil {
		return err
	}
	return b.Close()
}

// bundleWriter writes the files of a bundle.
type bundleWriter struct{ *tar.Writer }

// evidence writes the referrers, and the empty document that all of them have as their config.
func (b bundleWriter) evidence(refs []referrer) error {
	if len(refs) == 0 {
		return nil
	}
	if err := b.blob(ocispec.DescriptorEmptyJSON.Data); err != nil {
		return err
	}
	for _, r := range refs {
		if err := errors.Join(b.blob(r.text), b.blob(r.content)); err != nil {
			return err
		}
	}
	return nil
}

func (b bundleWriter) blob(content []byte) error {
	return b.text(blobsInArchive+hexOf(release.Of(content)), content)
}

func (b bundleWriter) text(name string, content []byte) error {
	return b.file(name, int64(len(content)), bytes.NewReader(content))
}

func (b bundleWriter) artifact(a release.Artifact, open func(release.Artifact) (io.ReadCloser, error)) (err error) {
	content, err := open(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	return b.file(blobsInArchive+hexOf(a.Digest), a.Size, content)
}

func (b bundleWriter) file(name string, size int64, content io.Reader) error {
	if err := b.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}); err != nil {
		return err
	}
	_, err := io.Copy(b, content)
	return err
}
