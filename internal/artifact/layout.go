package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

// artifactOf names content.
func artifactOf(b []byte) release.Artifact {
	return release.Artifact{Digest: release.Of(b), Size: int64(len(b))}
}

// parts are all blobs of a release.
func parts(r release.Release) ([]release.Digest, error) {
	man, _, err := manifest(r)
	list := []release.Digest{r.Digest(), man.Digest}
	for _, a := range artifacts(r) {
		list = append(list, a.Digest)
	}
	return list, err
}

// manifest is the OCI manifest of a release.
func manifest(r release.Release) (release.Artifact, []byte, error) {
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: MediaType,
		Config:       descriptor(MediaType, artifactOf(r.Bytes())),
		Layers:       []ocispec.Descriptor{},
	}
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		layer := descriptor(layerType, r.Files[name])
		layer.Annotations = map[string]string{ocispec.AnnotationTitle: name}
		m.Layers = append(m.Layers, layer)
	}
	b, err := json.Marshal(m)
	return artifactOf(b), b, err
}

// releaseOf reads the release of this manifest, whose document read gives, and sees that each follows from the other.
func releaseOf(man []byte, read func(doc release.Artifact) ([]byte, error)) (release.Release, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(man, &m); err != nil {
		return release.Release{}, fmt.Errorf("manifest: %w", err)
	}
	doc, err := read(release.Artifact{Digest: release.Digest(m.Config.Digest), Size: m.Config.Size})
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
		return release.Release{}, errors.New("the manifest is not that of the release document")
	}
	return r, nil
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

// digestOf reads the name of a blob's file.
func digestOf(name string) (release.Digest, bool) {
	d := release.Digest("sha256:" + name)
	return d, d.Valid()
}

func hexOf(d release.Digest) string { return digest.Digest(d).Encoded() }
