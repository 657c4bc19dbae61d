package artifact

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/atomicfile"
	"greenroom/internal/release"
)

// maxBundle bounds what one import may bring, in bytes.
const maxBundle = 16 << 30

// bundle is a release that is being imported: its blobs, each verified by digest, in a folder that nobody looks at yet.
type bundle struct {
	dir   string
	left  int64 // bytes that it may still bring
	blobs map[release.Digest]int64
	texts map[string][]byte // oci-layout and index.json
}

// readBundle reads a tar of an OCI image layout with one release into dir, and refuses whatever else it may be.
func readBundle(ctx context.Context, r io.Reader, dir string, limit int64) (*bundle, error) {
	b := &bundle{dir: dir, left: limit, blobs: map[release.Digest]int64{}, texts: map[string][]byte{}}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return b, onlyPadding(r)
		}
		if err != nil {
			return nil, fmt.Errorf("not a tar archive, or cut off: %w", err)
		}
		if err := b.take(ctx, h, tr); err != nil {
			return nil, err
		}
	}
}

// take reads one file of the archive.
func (b *bundle) take(ctx context.Context, h *tar.Header, content io.Reader) error {
	if h.Typeflag != tar.TypeReg {
		return fmt.Errorf("%q is not a file (type %q)", h.Name, h.Typeflag)
	}
	for key := range h.PAXRecords { // a sparse file would be longer than what was sent
		if key != "size" {
			return fmt.Errorf("%q carries %s", h.Name, key)
		}
	}
	if b.left -= h.Size; b.left < 0 {
		return errors.New("larger than a release may be")
	}
	if hexDigits, ok := strings.CutPrefix(h.Name, blobsInArchive); ok {
		return b.takeBlob(ctx, release.Digest("sha256:"+hexDigits), h.Size, content)
	}
	if h.Name != ocispec.ImageLayoutFile && h.Name != ocispec.ImageIndexFile {
		return fmt.Errorf("%q is no part of a release", h.Name)
	}
	if b.texts[h.Name] != nil {
		return fmt.Errorf("%q is there twice", h.Name)
	}
	if h.Size > maxDocument {
		return fmt.Errorf("%q is larger than %d bytes", h.Name, maxDocument)
	}
	text, err := io.ReadAll(content)
	b.texts[h.Name] = append([]byte{}, text...)
	return err
}

// takeBlob writes one blob and compares it with its name.
func (b *bundle) takeBlob(ctx context.Context, d release.Digest, size int64, content io.Reader) error {
	if !d.Valid() {
		return fmt.Errorf("%q is not a digest", d)
	}
	if _, twice := b.blobs[d]; twice {
		return fmt.Errorf("blob %s is there twice", d.Short())
	}
	b.blobs[d] = size
	return atomicfile.WriteFrom(b.path(d), 0o444, func(w io.Writer) error {
		sum := sha256.New()
		if _, err := io.Copy(cancellable{ctx, io.MultiWriter(w, sum)}, content); err != nil {
			return err
		}
		if hex.EncodeToString(sum.Sum(nil)) != hexOf(d) {
			return fmt.Errorf("blob %s is not what its digest says", d.Short())
		}
		return nil
	})
}

func (b *bundle) path(d release.Digest) string { return filepath.Join(b.dir, hexOf(d)) }

// open gives a blob that was verified when it was written.
func (b *bundle) open(a release.Artifact) (io.ReadCloser, error) {
	if size, ok := b.blobs[a.Digest]; !ok || size != a.Size {
		return nil, fmt.Errorf("blob %s is missing, or not as long as the release says", a.Digest.Short())
	}
	return os.Open(b.path(a.Digest))
}

// release finds the one release in the bundle, and checks that every byte of the bundle belongs to it and that its
// artifacts can be laid out.
func (b *bundle) release() (release.Release, error) {
	doc, err := b.documentOf()
	if err != nil {
		return release.Release{}, err
	}
	r, err := release.Parse(doc)
	if err != nil {
		return release.Release{}, err
	}
	man, want, err := manifest(r)
	if err != nil {
		return release.Release{}, err
	}
	if got, err := b.read(man); err != nil || !bytes.Equal(got, want) {
		return release.Release{}, errors.New("the manifest is not that of the release document")
	}
	list := artifacts(r)
	for _, a := range list {
		if err := b.checkArtifact(a); err != nil {
			return release.Release{}, err
		}
	}
	if extra := len(b.blobs) - len(list) - 2; extra != 0 {
		return release.Release{}, fmt.Errorf("%d blobs that the release does not name, or that it names as something else", extra)
	}
	return r, nil
}

// documentOf follows index and manifest to the release document.
func (b *bundle) documentOf() ([]byte, error) {
	if string(b.texts[ocispec.ImageLayoutFile]) != layoutText {
		return nil, errors.New("not an OCI image layout of version " + ocispec.ImageLayoutVersion)
	}
	var ind ocispec.Index
	if err := json.Unmarshal(b.texts[ocispec.ImageIndexFile], &ind); err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	if len(ind.Manifests) != 1 {
		return nil, fmt.Errorf("index.json names %d releases instead of one", len(ind.Manifests))
	}
	d := ind.Manifests[0]
	text, err := b.read(release.Artifact{Digest: release.Digest(d.Digest), Size: d.Size})
	if err != nil {
		return nil, err
	}
	var man ocispec.Manifest
	if err := json.Unmarshal(text, &man); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return b.read(release.Artifact{Digest: release.Digest(man.Config.Digest), Size: man.Config.Size})
}

// read gives a small blob.
func (b *bundle) read(a release.Artifact) (text []byte, err error) {
	if a.Size > maxDocument {
		return nil, fmt.Errorf("blob %s is too large for a document", a.Digest.Short())
	}
	f, err := b.open(a)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(f)
}

// checkArtifact reads an artifact as it will be read when it is laid out.
func (b *bundle) checkArtifact(a release.Artifact) (err error) {
	f, err := b.open(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := scan(f, func(entry, io.Reader) error { return nil }); err != nil {
		return fmt.Errorf("artifact %s: %w", a.Digest.Short(), err)
	}
	return nil
}
