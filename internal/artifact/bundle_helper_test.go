package artifact

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/release"
)

// handmade is a bundle that a test puts together, and may put together wrongly.
type handmade struct {
	layers   map[string][]byte // artifact name: bytes
	evidence [][]byte
	refer    func(i int, m *ocispec.Manifest)
	layout   string
	release  func(*release.Release)
	document func([]byte) []byte
	manifest func(*ocispec.Manifest)
	index    func(*ocispec.Index)
	entries  func([]tar.Header) []tar.Header // content is in Uname, see archive
	raw      func([]byte) []byte
}

// bytes writes the bundle.
func (h handmade) bytes(t testing.TB) []byte {
	t.Helper()
	rel := release.Release{Format: release.Format, App: "shop", Files: map[string]release.Artifact{}}
	for name, content := range h.layers {
		rel.Files[name] = release.Artifact{Digest: release.Of(content), Size: int64(len(content))}
	}
	if h.release != nil {
		h.release(&rel)
	}
	doc := rel.Bytes()
	if h.document != nil {
		doc = h.document(doc)
	}
	_, manBytes, err := manifest(rel)
	must(t, err)
	var man ocispec.Manifest
	must(t, json.Unmarshal(manBytes, &man))
	man.Config = descriptor(MediaType, release.Artifact{Digest: release.Of(doc), Size: int64(len(doc))})
	if h.manifest != nil {
		h.manifest(&man)
	}
	manBytes, err = json.Marshal(man)
	must(t, err)
	ind := ocispec.Index{Manifests: []ocispec.Descriptor{
		manifestDescriptor(release.Of(doc), release.Artifact{Digest: release.Of(manBytes), Size: int64(len(manBytes))}),
	}}
	refs := h.referrers(t, artifactOf(manBytes), &ind)
	if h.index != nil {
		h.index(&ind)
	}
	indBytes, err := json.Marshal(ind)
	must(t, err)
	if h.layout == "" {
		h.layout = layoutText
	}
	entries := []tar.Header{
		{Name: "oci-layout", Uname: h.layout}, {Name: "index.json", Uname: string(indBytes)}, blobEntry(manBytes), blobEntry(doc),
	}
	for _, a := range artifacts(rel) {
		for _, content := range h.layers {
			if release.Of(content) == a.Digest {
				entries = append(entries, blobEntry(content))
				break
			}
		}
	}
	entries = append(entries, refs...)
	if h.entries != nil {
		entries = h.entries(entries)
	}
	b := archive(t, entries...)
	if h.raw != nil {
		b = h.raw(b)
	}
	return b
}

// referrers are the blobs of the evidence; they are named in the index.
func (h handmade) referrers(t testing.TB, subject release.Artifact, ind *ocispec.Index) []tar.Header {
	t.Helper()
	var entries []tar.Header
	for i, envelope := range h.evidence {
		r, err := refer(subject, envelope, i)
		must(t, err)
		var man ocispec.Manifest
		must(t, json.Unmarshal(r.text, &man))
		if h.refer != nil {
			h.refer(i, &man)
		}
		r.text, err = json.Marshal(man)
		must(t, err)
		r.manifest = artifactOf(r.text)
		ind.Manifests = append(ind.Manifests, r.descriptor())
		entries = append(entries, blobEntry(r.text), blobEntry(envelope))
	}
	if len(entries) > 0 {
		entries = append(entries, blobEntry([]byte("{}")))
	}
	return entries
}

func blobEntry(content []byte) tar.Header {
	return tar.Header{Name: blobsInArchive + hexOf(release.Of(content)), Uname: string(content)}
}

// bundleOf writes an honest bundle of these artifacts.
func bundleOf(ctx context.Context, w io.Writer, app string, layers map[string][]byte) (release.Digest, error) {
	rel := release.Release{Format: release.Format, App: app, Files: map[string]release.Artifact{}}
	byDigest := map[release.Digest][]byte{}
	for name, content := range layers {
		a := release.Artifact{Digest: release.Of(content), Size: int64(len(content))}
		rel.Files[name], byDigest[a.Digest] = a, content
	}
	return rel.Digest(), writeBundle(ctx, w, rel, artifacts(rel), nil, func(a release.Artifact) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(byDigest[a.Digest])), nil
	})
}
