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
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

const (
	maxBundle = 16 << 30 // bytes that one import may bring
	maxBlobs  = 1 << 14  // that it may bring them in
)

// bundle is a release that is being imported: its blobs, each verified by digest, in a folder that nobody looks at yet.
type bundle struct {
	dir   string
	left  int64 // bytes that it may still bring
	blobs map[release.Digest]int64
	texts map[string][]byte // oci-layout and index.json
	// held says whether the store has an artifact that the bundle need not bring.
	held func(release.Artifact) bool
}

// readBundle reads a tar of an OCI image layout into dir, and refuses what can't be one of a release.
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
	if len(b.blobs) >= maxBlobs {
		return fmt.Errorf("more than %d blobs", maxBlobs)
	}
	b.blobs[d] = size
	return b.write(ctx, d, content)
}

// write writes a blob. It need not be on disk before something is kept of this folder: keep sees to that.
func (b *bundle) write(ctx context.Context, d release.Digest, content io.Reader) (err error) {
	f, err := os.OpenFile(b.path(d), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	if _, err := io.Copy(cancellable{ctx, io.MultiWriter(f, sum)}, content); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != hexOf(d) {
		return fmt.Errorf("blob %s is not what its digest says", d.Short())
	}
	return f.Chmod(0o444)
}

// keep makes the blobs of a release durable, and deletes the others: evidence is kept elsewhere.
func (b *bundle) keep(r release.Release) error {
	parts, err := parts(r)
	if err != nil {
		return err
	}
	for d := range b.blobs {
		keep := b.sync
		if !slices.Contains(parts, d) {
			keep = func(d release.Digest) error { return os.Remove(b.path(d)) }
		}
		if err := keep(d); err != nil {
			return err
		}
	}
	return atomicfile.SyncDir(b.dir)
}

func (b *bundle) sync(d release.Digest) error {
	f, err := os.Open(b.path(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (b *bundle) path(d release.Digest) string { return filepath.Join(b.dir, hexOf(d)) }

// open gives a blob that was verified when it was written.
func (b *bundle) open(a release.Artifact) (io.ReadCloser, error) {
	if size, ok := b.blobs[a.Digest]; !ok || size != a.Size {
		return nil, fmt.Errorf("blob %s is missing, or not as long as the release says", a.Digest.Short())
	}
	return os.Open(b.path(a.Digest))
}

// contents finds the one release in the bundle and the evidence that travels with it, at most so many envelopes. It checks
// that every byte of the bundle belongs to them, and that the release's artifacts can be laid out.
func (b *bundle) contents(envelopes int) (release.Release, [][]byte, error) {
	man, referrers, err := b.index(envelopes)
	if err != nil {
		return release.Release{}, nil, err
	}
	r, err := b.release(man)
	if err != nil {
		return release.Release{}, nil, err
	}
	evidence, err := b.evidence(man, referrers)
	if err != nil {
		return release.Release{}, nil, err
	}
	want := 2 + len(b.brought(r)) + 2*len(evidence) // a document and a manifest, an envelope and a manifest
	if len(evidence) > 0 {
		want++ // the config that their manifests share
	}
	if extra := len(b.blobs) - want; extra != 0 {
		return release.Release{}, nil, fmt.Errorf("%d blobs that the release does not name, or that it names as something else", extra)
	}
	return r, evidence, nil
}

// index reads which manifests there are: the release's, then those of its evidence.
func (b *bundle) index(envelopes int) (man release.Artifact, referrers []release.Artifact, err error) {
	if string(b.texts[ocispec.ImageLayoutFile]) != layoutText {
		return man, nil, errors.New("not an OCI image layout of version " + ocispec.ImageLayoutVersion)
	}
	var ind ocispec.Index
	if err := json.Unmarshal(b.texts[ocispec.ImageIndexFile], &ind); err != nil {
		return man, nil, fmt.Errorf("index.json: %w", err)
	}
	var releases []release.Artifact
	for _, d := range ind.Manifests {
		a := release.Artifact{Digest: release.Digest(d.Digest), Size: d.Size}
		if d.ArtifactType == EnvelopeType {
			referrers = append(referrers, a)
		} else {
			releases = append(releases, a)
		}
	}
	switch {
	case len(releases) != 1:
		return man, nil, fmt.Errorf("index.json names %d releases instead of one", len(releases))
	case len(referrers) > envelopes && envelopes == 0:
		return man, nil, errors.New("it brings evidence, which is taken only as a bundle")
	case len(referrers) > envelopes:
		return man, nil, fmt.Errorf("more evidence than %d envelopes", envelopes)
	}
	return releases[0], referrers, nil
}

// release reads the release of this manifest.
func (b *bundle) release(man release.Artifact) (release.Release, error) {
	text, err := b.read(man, maxDocument)
	if err != nil {
		return release.Release{}, err
	}
	r, err := releaseOf(text, func(doc release.Artifact) ([]byte, error) { return b.read(doc, maxDocument) })
	if err != nil {
		return release.Release{}, err
	}
	images, err := claims(r)
	if err != nil {
		return release.Release{}, err
	}
	for _, a := range b.brought(r) {
		if err := b.checkArtifact(a, images); err != nil {
			return release.Release{}, err
		}
	}
	return r, nil
}

// brought are the artifacts of a release that are in the bundle, or have to be.
func (b *bundle) brought(r release.Release) []release.Artifact {
	return slices.DeleteFunc(artifacts(r), func(a release.Artifact) bool {
		return !b.has(a) && b.held(a)
	})
}

func (b *bundle) has(a release.Artifact) bool {
	_, here := b.blobs[a.Digest]
	return here
}

// evidence reads the envelopes of these manifests, which have to be those of the release with this one.
func (b *bundle) evidence(subject release.Artifact, manifests []release.Artifact) ([][]byte, error) {
	var bounds evidenceBounds
	var evidence [][]byte
	for i, man := range manifests {
		text, err := b.read(man, maxEnvelope)
		if err != nil {
			return nil, err
		}
		a, _, err := envelopeOf(text)
		if err != nil {
			return nil, err
		}
		if err := bounds.admit(a); err != nil {
			return nil, err
		}
		envelope, err := b.read(a, maxEnvelope)
		if err != nil {
			return nil, err
		}
		want, err := refer(subject, envelope, i)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(text, want.text) {
			return nil, fmt.Errorf("the manifest of evidence %s is not that of this release and this place", a.Digest.Short())
		}
		evidence = append(evidence, envelope)
	}
	if empty := ocispec.DescriptorEmptyJSON; len(evidence) > 0 && b.blobs[release.Digest(empty.Digest)] != empty.Size {
		return nil, errors.New("the config of the evidence's manifests is missing")
	}
	return evidence, nil
}

// read gives a small blob.
func (b *bundle) read(a release.Artifact, most int64) (text []byte, err error) {
	if a.Size > most {
		return nil, fmt.Errorf("blob %s is too large for a document", a.Digest.Short())
	}
	f, err := b.open(a)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(f)
}

// checkArtifact reads an artifact as it will be read when it is laid out, and one that is to be an image to its last layer.
func (b *bundle) checkArtifact(a release.Artifact, images []claim) (err error) {
	f, err := b.open(a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if i := slices.IndexFunc(images, func(c claim) bool { return c.artifact.Digest == a.Digest }); i >= 0 {
		if err := checkImageFiles(f, images[i].id); err != nil {
			return fmt.Errorf("the image of %s: %w", images[i].service, err)
		}
		return nil
	}
	if err := scan(f, func(entry, io.Reader) error { return nil }); err != nil {
		return fmt.Errorf("artifact %s: %w", a.Digest.Short(), err)
	}
	return nil
}

// bundleProblem tells why a bundle was not taken: it was interrupted, the disk did not take it, or it is no release.
func bundleProblem(ctx context.Context, err error, disk func(error) error) error {
	var path *fs.PathError
	var known *problem.Error
	switch {
	case ctx.Err() != nil:
		return problem.New(problem.Interrupted, "the import was interrupted: %w", err)
	case errors.As(err, &known): // of where the bundle comes from: a registry, a store
		return err
	case errors.As(err, &path):
		return disk(err)
	}
	return invalidBundle(err)
}

func invalidBundle(err error) error {
	return problem.New(problem.Invalid, "this is not a release: %w", err).WithHint("greenroom build, and send what it made")
}
