package artifact

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/oci"
	"pgregory.net/rapid"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// envelopes are so many envelopes: to this package they are bytes.
func envelopes(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = fmt.Appendf(nil, `{"payloadType":"application/vnd.in-toto+json","payload":"%d","signatures":[]}`, (i*7)%n)
	}
	return list
}

func exportBundle(t testing.TB, s *Store, id release.Digest, evidence [][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, s.ExportBundle(t.Context(), id, evidence, &b))
	return b.Bytes()
}

func wantEvidence(t testing.TB, got, want [][]byte) {
	t.Helper()
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("got %d envelopes, want %d in their order:\n%s", len(got), len(want), bytes.Join(got, []byte("\n")))
	}
}

func TestBundleCarriesEvidence(t *testing.T) {
	s, id := stored(t)
	for _, n := range []int{0, 1, 12} { // with twelve, the place in letters is not the place in numbers
		evidence := envelopes(n)
		bundle := exportBundle(t, s, id, evidence)
		other := open(t)
		for range 2 { // importing it twice is importing it once
			got, back, err := other.ImportBundle(t.Context(), bytes.NewReader(bundle))
			must(t, err)
			if got != id {
				t.Errorf("got %s, want %s", got, id)
			}
			wantEvidence(t, back, evidence)
			wantClean(t, other, id) // the evidence is not kept here
		}
		if again := exportBundle(t, other, id, evidence); !bytes.Equal(again, bundle) {
			t.Errorf("the other store exports other bytes")
		}
	}
	var plain bytes.Buffer
	must(t, s.Export(t.Context(), id, &plain))
	if !bytes.Equal(plain.Bytes(), exportBundle(t, s, id, nil)) {
		t.Error("without evidence a bundle is not what Export writes")
	}
}

func TestBundleKeepsTheOrder(t *testing.T) {
	s, id := stored(t)
	rapid.Check(t, func(r *rapid.T) {
		evidence := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.Byte(), 3, 300), 0, 20, release.Of).Draw(r, "evidence")
		in := strings.NewReader(string(exportBundle(t, s, id, evidence)))
		b, err := readBundle(t.Context(), in, t.TempDir(), maxBundle)
		must(t, err)
		got, back, err := b.contents(maxEnvelopes)
		if err != nil || got.Digest() != id || !slices.EqualFunc(back, evidence, bytes.Equal) {
			r.Fatalf("got %s, %q, %v", got.Digest(), back, err)
		}
	})
}

// Any OCI tool finds the evidence from the release, as "oras discover" does.
func TestBundleIsAnOCILayoutWithReferrers(t *testing.T) {
	s, id := stored(t)
	evidence := envelopes(3)
	layout, err := oci.NewFromTar(t.Context(), tarFile(t, exportBundle(t, s, id, evidence)))
	must(t, err)
	d, err := layout.Resolve(t.Context(), hexOf(id))
	must(t, err)
	list, err := layout.Predecessors(t.Context(), d)
	must(t, err)
	if len(list) != len(evidence) {
		t.Fatalf("%d referrers instead of %d", len(list), len(evidence))
	}
	for _, r := range list {
		parts, err := content.Successors(t.Context(), layout, r)
		must(t, err)
		envelope, err := content.FetchAll(t.Context(), layout, parts[len(parts)-1])
		must(t, err)
		if !slices.ContainsFunc(evidence, func(e []byte) bool { return bytes.Equal(e, envelope) }) {
			t.Errorf("%s carries %q", r.Digest, envelope)
		}
	}
}

func TestImportTakesNoEvidence(t *testing.T) {
	s, id := stored(t)
	_, err := s.Import(t.Context(), bytes.NewReader(exportBundle(t, s, id, envelopes(1))))
	wantProblem(t, err, problem.Invalid, "evidence")
	wantClean(t, s, id)
}

func TestImportBundleRefuses(t *testing.T) {
	good := layer(t, tar.Header{Name: "bin/shop", Mode: 0o755, Uname: "x"})
	bundle := func(h handmade) handmade {
		h.layers = good
		if h.evidence == nil {
			h.evidence = envelopes(3)
		}
		return h
	}
	without := func(n int) func([]tar.Header) []tar.Header { // so many entries from the end
		return func(hs []tar.Header) []tar.Header { return slices.Delete(hs, len(hs)-n, len(hs)-n+1) }
	}
	swap := func(hs []ocispec.Descriptor) { hs[1], hs[2] = hs[2], hs[1] }
	cases := []struct {
		name   string
		bundle handmade
		want   string
	}{
		{"evidence of another release", bundle(handmade{refer: func(i int, m *ocispec.Manifest) {
			m.Subject.Digest = "sha256:" + ocispec.DescriptorEmptyJSON.Digest[7:]
		}}), "not that of this release"},
		{"evidence of no release", bundle(handmade{refer: func(i int, m *ocispec.Manifest) { m.Subject = nil }}), "not that of this release"},
		{"evidence in another place", bundle(handmade{refer: func(i int, m *ocispec.Manifest) { m.Annotations[positionKey] = "7" }}), "and this place"},
		{"evidence without a place", bundle(handmade{refer: func(i int, m *ocispec.Manifest) { m.Annotations = nil }}), positionKey},
		{"evidence in another order", bundle(handmade{index: func(i *ocispec.Index) { swap(i.Manifests) }}), "and this place"},
		{"evidence before the first", bundle(handmade{index: func(i *ocispec.Index) { i.Manifests = slices.Delete(i.Manifests, 1, 2) }}), "and this place"},
		{"a manifest of evidence with an annotation", bundle(handmade{refer: func(i int, m *ocispec.Manifest) { m.Annotations["a"] = "b" }}), "not that of this release"},
		{"a manifest of evidence of another type", bundle(handmade{refer: func(i int, m *ocispec.Manifest) { m.ArtifactType = "x/y" }}), "not that of this release"},
		{"two envelopes in one", bundle(handmade{refer: func(i int, m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }}), "exactly one envelope"},
		{"no envelope in one", bundle(handmade{refer: func(i int, m *ocispec.Manifest) { m.Layers = nil }}), "exactly one envelope"},
		{"an envelope of another length", bundle(handmade{refer: func(i int, m *ocispec.Manifest) { m.Layers[0].Size++ }}), "not as long"},
		{"an envelope that climbs", bundle(handmade{refer: func(i int, m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../x" }}), "is missing"},
		{"an envelope that is not there", bundle(handmade{entries: without(2)}), "is missing"},
		{"a manifest of evidence that is not there", bundle(handmade{entries: without(3)}), "is missing"},
		{"their config is not there", bundle(handmade{entries: without(1)}), "the config"},
		{"evidence twice", bundle(handmade{evidence: append(envelopes(2), envelopes(2)[0]),
			entries: func(hs []tar.Header) []tar.Header { return slices.Delete(hs, len(hs)-2, len(hs)-1) }}), "is there twice"},
		{"a manifest twice in the index", bundle(handmade{index: func(i *ocispec.Index) { i.Manifests[2] = i.Manifests[1] }}), "twice"},
		{"evidence under another name", bundle(handmade{index: func(i *ocispec.Index) { i.Manifests[1].ArtifactType = "x/y" }}), "names 2 releases"},
		{"two releases", bundle(handmade{index: func(i *ocispec.Index) { i.Manifests = append(i.Manifests, i.Manifests[0]) }}), "names 2 releases"},
		{"no release", bundle(handmade{index: func(i *ocispec.Index) { i.Manifests = i.Manifests[1:] }}), "names 0 releases"},
		{"a blob that nobody names", bundle(handmade{entries: add(blobEntry([]byte("stray")))}), "1 blobs"},
		{"evidence that is no longer named", bundle(handmade{index: func(i *ocispec.Index) { i.Manifests = i.Manifests[:3] }}), "2 blobs"},
		{"a climbing file", bundle(handmade{entries: add(tar.Header{Name: "../evidence", Uname: "x"})}), "no part of a release"},
		{"a large envelope", bundle(handmade{evidence: [][]byte{make([]byte, maxEnvelope+1)}}), "is larger than"},
		{"more than there may be", bundle(handmade{index: func(i *ocispec.Index) {
			for range maxEnvelopes {
				i.Manifests = append(i.Manifests, i.Manifests[1])
			}
		}}), "more evidence than"},
		{"a changed byte", bundle(handmade{raw: func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"payload":"1"`), []byte(`"payload":"9"`), 1)
		}}), "not what its digest says"},
	}
	s, before := stored(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, evidence, err := s.ImportBundle(t.Context(), bytes.NewReader(c.bundle.bytes(t)))
			wantProblem(t, err, problem.Invalid, c.want)
			if evidence != nil {
				t.Error("it gave evidence")
			}
		})
	}
	wantClean(t, s, before)
	if _, _, err := s.ImportBundle(t.Context(), bytes.NewReader(bundle(handmade{}).bytes(t))); err != nil {
		t.Errorf("the bundle that all of these were made of: %v", err)
	}
}

func TestExportBundleRefusesWhatNoImportTakes(t *testing.T) {
	s, id := stored(t)
	many := make([][]byte, maxEvidence/maxEnvelope+1)
	for i := range many {
		many[i] = append(make([]byte, maxEnvelope-1), byte(i))
	}
	for want, evidence := range map[string][][]byte{
		"is there twice":     append(envelopes(2), envelopes(2)...),
		"is larger than":     {make([]byte, maxEnvelope+1)},
		"more evidence than": many,
	} {
		wantProblem(t, s.ExportBundle(t.Context(), id, evidence, io.Discard), problem.Invalid, want)
	}
	wantProblem(t, s.ExportBundle(t.Context(), release.Of([]byte("x")), envelopes(1), io.Discard), problem.NotFound, "not in the store")
}

func TestImportTakesSoManyBlobs(t *testing.T) {
	b := &bundle{dir: t.TempDir(), left: maxBundle, blobs: map[release.Digest]int64{}}
	for i := range maxBlobs {
		b.blobs[release.Of(fmt.Append(nil, i))] = 1
	}
	err := b.takeBlob(t.Context(), release.Of([]byte("one more")), 8, strings.NewReader("one more"))
	if err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v", err)
	}
}

func FuzzImportBundle(f *testing.F) {
	good := layer(f, tar.Header{Name: "bin/shop", Mode: 0o755, Uname: "x"})
	f.Add(handmade{layers: good, evidence: envelopes(2)}.bytes(f))
	f.Add(handmade{}.bytes(f))
	s := open(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		id, evidence, err := s.ImportBundle(t.Context(), bytes.NewReader(b))
		if err != nil {
			wantProblem(t, err, problem.Invalid, "")
			return
		}
		again, back, err := s.ImportBundle(t.Context(), bytes.NewReader(exportBundle(t, s, id, evidence)))
		if err != nil || again != id {
			t.Fatalf("imported, but: %v", err)
		}
		wantEvidence(t, back, evidence)
	})
}

// tarFile writes content into a file and names it.
func tarFile(t testing.TB, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "bundle.tar")
	must(t, os.WriteFile(name, content, 0o600))
	return name
}
