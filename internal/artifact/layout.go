package artifact

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/release"
)

// A release is an OCI artifact (https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md): its config is the
// release document, its layers are the artifacts. The manifest follows from the document, to the byte, so there is
// nothing in it that could say otherwise.
const (
	// MediaType is the artifact type of a release's manifest, and the media type of its config, the release document.
	MediaType = "application/vnd.greenroom.release.v1+json"

	layerType      = ocispec.MediaTypeImageLayer
	maxDocument    = 8 << 20 // bytes of a manifest, a release document or an index in a bundle
	layoutText     = `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`
	blobsFolder    = "blobs/sha256"
	blobsInArchive = blobsFolder + "/"
)

// artifacts are what a release is made of beside its document, each digest once, in a fixed order.
func artifacts(r release.Release) []release.Artifact {
	seen := map[release.Digest]bool{}
	var list []release.Artifact
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		if a := r.Files[name]; !seen[a.Digest] {
			seen[a.Digest], list = true, append(list, a)
		}
	}
	return list
}

// document is a release's document as an artifact.
func document(r release.Release) (release.Artifact, []byte) {
	b := r.Bytes()
	return release.Artifact{Digest: release.Of(b), Size: int64(len(b))}, b
}

// manifest is the OCI manifest of a release.
func manifest(r release.Release) (release.Artifact, []byte, error) {
	doc, _ := document(r)
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: MediaType,
		Config:       descriptor(MediaType, doc),
		Layers:       []ocispec.Descriptor{},
	}
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		layer := descriptor(layerType, r.Files[name])
		layer.Annotations = map[string]string{ocispec.AnnotationTitle: name}
		m.Layers = append(m.Layers, layer)
	}
	b, err := json.Marshal(m)
	return release.Artifact{Digest: release.Of(b), Size: int64(len(b))}, b, err
}

// descriptor is what OCI calls a reference to content.
func descriptor(mediaType string, a release.Artifact) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(a.Digest), Size: a.Size}
}

// manifestDescriptor is the entry of a release in an index. Its name is the hexadecimal part of the release's digest,
// because a registry's tags can't hold a colon.
func manifestDescriptor(id release.Digest, m release.Artifact) ocispec.Descriptor {
	d := descriptor(ocispec.MediaTypeImageManifest, m)
	d.ArtifactType = MediaType
	d.Annotations = map[string]string{ocispec.AnnotationRefName: hexOf(id)}
	return d
}

// index is the index.json of a layout.
func index(entries []ocispec.Descriptor) ([]byte, error) {
	return json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
	})
}

func hexOf(d release.Digest) string { return digest.Digest(d).Encoded() }

// writeBundle writes one release as a tar of an OCI image layout. open gives an artifact's content, which has to fail
// before its end when it is not what its digest says.
func writeBundle(ctx context.Context, w io.Writer, r release.Release,
	open func(release.Artifact) (io.ReadCloser, error)) error {
	man, manBytes, err := manifest(r)
	if err != nil {
		return err
	}
	doc, docBytes := document(r)
	ind, err := index([]ocispec.Descriptor{manifestDescriptor(doc.Digest, man)})
	if err != nil {
		return err
	}
	tw := tar.NewWriter(cancellable{ctx, w})
	err = errors.Join(
		bundleEntry(tw, ocispec.ImageLayoutFile, int64(len(layoutText)), bytes.NewReader([]byte(layoutText))),
		bundleEntry(tw, ocispec.ImageIndexFile, int64(len(ind)), bytes.NewReader(ind)),
		bundleEntry(tw, blobsInArchive+hexOf(man.Digest), man.Size, bytes.NewReader(manBytes)),
		bundleEntry(tw, blobsInArchive+hexOf(doc.Digest), doc.Size, bytes.NewReader(docBytes)))
	if err != nil {
		return err
	}
	for _, a := range artifacts(r) {
		content, err := open(a)
		if err != nil {
			return err
		}
		err = bundleEntry(tw, blobsInArchive+hexOf(a.Digest), a.Size, content)
		if err = errors.Join(err, content.Close()); err != nil {
			return fmt.Errorf("artifact %s: %w", a.Digest.Short(), err)
		}
	}
	return tw.Close()
}

// bundleEntry writes one file of a bundle.
func bundleEntry(tw *tar.Writer, name string, size int64, content io.Reader) error {
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}); err != nil {
		return err
	}
	_, err := io.Copy(tw, content)
	return err
}
