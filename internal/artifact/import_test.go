package artifact

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// add puts entries behind an honest bundle's.
func add(hs ...tar.Header) func([]tar.Header) []tar.Header {
	return func(entries []tar.Header) []tar.Header { return append(entries, hs...) }
}

// layer is an artifact with these entries.
func layer(t testing.TB, hs ...tar.Header) map[string][]byte {
	return map[string][]byte{"service/web": archive(t, hs...)}
}

func TestImportRefusesWhatIsNotARelease(t *testing.T) {
	good := layer(t, tar.Header{Name: "bin/shop", Mode: 0o755, Uname: "x"})
	other := release.Of([]byte("other"))
	bad := func(hs ...tar.Header) handmade { return handmade{layers: layer(t, hs...)} }
	cases := []struct {
		name   string
		bundle handmade
		want   string
	}{
		{"nothing", handmade{raw: func([]byte) []byte { return nil }}, "not an OCI image layout"},
		{"noise", handmade{raw: func(b []byte) []byte { return bytes.Repeat([]byte("noise"), 1000) }}, "not a tar archive"},
		{"cut off in a blob", handmade{layers: good, raw: func(b []byte) []byte { return b[:len(b)-2000] }}, "unexpected EOF"},
		{"cut off between blobs", handmade{layers: good, entries: func(hs []tar.Header) []tar.Header { return hs[:4] }}, "is missing"},
		{"trailing bytes", handmade{layers: good, raw: func(b []byte) []byte { return append(b, "more"...) }}, "behind the end"},
		{"a second archive behind the first", handmade{layers: good, raw: func(b []byte) []byte { return append(b, b...) }}, "behind the end"},
		{"a gigabyte of zeros", handmade{layers: good, raw: func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) }}, "behind the end"},
		{"another layout", handmade{layers: good, layout: `{"imageLayoutVersion":"2.0.0"}`}, "not an OCI image layout"},
		{"climbing", handmade{layers: good, entries: add(tar.Header{Name: "../../etc/cron.d/x", Uname: "x"})}, "no part of a release"},
		{"absolute", handmade{layers: good, entries: add(tar.Header{Name: "/etc/passwd", Uname: "x"})}, "no part of a release"},
		{"climbing blob", handmade{layers: good, entries: add(tar.Header{Name: "blobs/sha256/../../../x", Uname: "x"})}, "not a digest"},
		{"another file", handmade{layers: good, entries: add(tar.Header{Name: "README", Uname: "x"})}, "no part of a release"},
		{"a symlink", handmade{layers: good, entries: add(tar.Header{Name: "blobs/sha256/" + hexOf(other), Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})},
			"is not a file"},
		{"a hard link", handmade{layers: good, entries: add(tar.Header{Name: "blobs/sha256/" + hexOf(other), Typeflag: tar.TypeLink, Linkname: "oci-layout"})},
			"is not a file"},
		{"a folder", handmade{layers: good, entries: add(tar.Header{Name: "blobs/", Typeflag: tar.TypeDir})}, "is not a file"},
		{"a device", handmade{layers: good, entries: add(tar.Header{Name: "x", Typeflag: tar.TypeChar})}, "is not a file"},
		{"a blob twice", handmade{layers: good, entries: func(hs []tar.Header) []tar.Header { return append(hs, hs[3]) }}, "is there twice"},
		{"an index twice", handmade{layers: good, entries: func(hs []tar.Header) []tar.Header { return append(hs, hs[1]) }}, "is there twice"},
		{"a blob under another name", handmade{layers: good, entries: add(tar.Header{Name: blobsInArchive + hexOf(other), Uname: "x"})}, "not what its digest says"},
		{"a blob that nobody names", handmade{layers: good, entries: add(blobEntry([]byte("stray")))}, "1 blobs that the release does not name"},
		{"a huge index", handmade{layers: good, index: func(i *ocispec.Index) { i.MediaType = strings.Repeat("x", maxDocument) }}, "larger than"},
		{"no manifest", handmade{layers: good, index: func(i *ocispec.Index) { i.Manifests = nil }}, "names 0 releases"},
		{"two manifests", handmade{layers: good, index: func(i *ocispec.Index) { i.Manifests = append(i.Manifests, i.Manifests...) }}, "names 2 releases"},
		{"a manifest that is not there", handmade{layers: good, index: func(i *ocispec.Index) { i.Manifests[0].Digest = "sha256:../../x" }}, "is missing"},
		{"a manifest of another length", handmade{layers: good, index: func(i *ocispec.Index) { i.Manifests[0].Size = 1 << 62 }}, "too large"},
		{"another artifact type", handmade{layers: good, manifest: func(m *ocispec.Manifest) { m.ArtifactType = "x/y" }}, "not that of the release document"},
		{"a layer more", handmade{layers: good, manifest: func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }}, "not that of the release document"},
		{"an annotation", handmade{layers: good, manifest: func(m *ocispec.Manifest) { m.Annotations = map[string]string{"a": "b"} }}, "not that of the release document"},
		{"a document with more in it", handmade{layers: good, document: func(b []byte) []byte { return append([]byte(`{"more":1,`), b[1:]...) }}, "unknown field"},
		{"a document in another form", handmade{layers: good, document: func(b []byte) []byte { return append(b, '\n') }}, "canonical"},
		{"a document of another format", handmade{layers: good, release: func(r *release.Release) { r.Format = 2 }}, "format 2"},
		{"an artifact that is not there", handmade{layers: good, release: func(r *release.Release) {
			r.Files["checks"] = release.Artifact{Digest: other, Size: 5}
		}}, "is missing"},
		{"an artifact with a digest that is none", handmade{layers: good, release: func(r *release.Release) {
			r.Files["checks"] = release.Artifact{Digest: "sha256:../../../../etc/passwd", Size: 5}
		}}, "is missing"},
		{"an artifact of another length", handmade{layers: good, release: func(r *release.Release) {
			r.Files["service/web"] = release.Artifact{Digest: release.Of(good["service/web"]), Size: 5}
		}}, "not as long"},

		{"an artifact that climbs", bad(tar.Header{Name: "../x", Uname: "x"}), "not a path inside"},
		{"an artifact that climbs later", bad(tar.Header{Name: "a/../../x", Uname: "x"}), "not a path inside"},
		{"an absolute artifact", bad(tar.Header{Name: "/x", Uname: "x"}), "not a path inside"},
		{"an artifact with odd names", bad(tar.Header{Name: "a//b", Uname: "x"}), "not a path inside"},
		{"an artifact with itself in it", bad(tar.Header{Name: ".", Uname: "x"}), "not a path inside"},
		{"an artifact out of order", bad(tar.Header{Name: "b", Uname: "x"}, tar.Header{Name: "a", Uname: "x"}), "twice or out of order"},
		{"an artifact with a file twice", bad(tar.Header{Name: "a", Uname: "x"}, tar.Header{Name: "a", Uname: "y"}), "twice or out of order"},
		{"an artifact with a file beneath a file", bad(tar.Header{Name: "a", Uname: "x"}, tar.Header{Name: "a.b", Uname: "x"}, tar.Header{Name: "a/c", Uname: "y"}),
			"which is no folder"},
		{"an artifact with a file behind a symlink", bad(tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}, tar.Header{Name: "a/c", Uname: "y"}),
			"which is no folder"},
		{"an artifact with a symlink that climbs", bad(tar.Header{Name: "a/b", Typeflag: tar.TypeSymlink, Linkname: "../../x"}), "leads out"},
		{"an artifact with an absolute symlink", bad(tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc"}), "not a relative path"},
		{"an artifact with a symlink to nothing", bad(tar.Header{Name: "a", Typeflag: tar.TypeSymlink}), "not a relative path"},
		{"an artifact with a symlink through another", bad(
			tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "x/a/../s"}, tar.Header{Name: "x/a", Typeflag: tar.TypeSymlink, Linkname: ".."}), "leads out"},
		{"an artifact with a hard link", bad(tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"}), "neither a file nor a symlink"},
		{"an artifact with a folder", bad(tar.Header{Name: "a/", Typeflag: tar.TypeDir, Mode: 0o755}), "neither a file nor a symlink"},
		{"an artifact with a pipe", bad(tar.Header{Name: "a", Typeflag: tar.TypeFifo}), "neither a file nor a symlink"},
		{"an artifact with a device", bad(tar.Header{Name: "a", Typeflag: tar.TypeBlock, Devmajor: 8}), "neither a file nor a symlink"},
		{"an artifact with setuid", bad(tar.Header{Name: "a", Mode: 0o4755, Uname: "x"}), "a mode"},
		{"an artifact with an owner", bad(tar.Header{Name: "a", Uid: 1000, Uname: "x"}), "an owner"},
		{"an artifact with attributes", bad(tar.Header{Name: "a", Uname: "x", PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "x"}}), "carries SCHILY"},
		{"an artifact with something behind it", handmade{layers: map[string][]byte{"service/web": append(good["service/web"], "x"...)}}, "behind the end"},
		{"an artifact that is none", handmade{layers: map[string][]byte{"service/web": []byte("#!/bin/sh\n")}}, "not a tar archive"},
	}
	s, before := stored(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.Import(t.Context(), bytes.NewReader(c.bundle.bytes(t)))
			wantProblem(t, err, problem.Invalid, c.want)
		})
	}
	wantClean(t, s, before)
	if _, err := s.Import(t.Context(), bytes.NewReader(handmade{layers: good}.bytes(t))); err != nil {
		t.Errorf("the bundle that all of these were made of: %v", err)
	}
}

// wantClean fails unless a store holds exactly this one small release.
func wantClean(t *testing.T, s *Store, id release.Digest) {
	t.Helper()
	incoming, err := os.ReadDir(filepath.Join(s.dir, incomingFolder))
	must(t, err)
	blobs, err := os.ReadDir(filepath.Join(s.dir, blobsFolder))
	must(t, err)
	r, err := s.Release(t.Context(), id)
	must(t, err)
	if want := len(artifacts(r)) + 2; len(incoming) != 0 || len(blobs) != want {
		t.Errorf("%d incoming, %d blobs instead of %d", len(incoming), len(blobs), want)
	}
}

func TestImportIsBounded(t *testing.T) {
	s, id := stored(t)
	s.limit = 100_000
	big := layer(t, tar.Header{Name: "big", Uname: strings.Repeat("x", 200_000)})
	_, err := s.Import(t.Context(), bytes.NewReader(handmade{layers: big}.bytes(t)))
	wantProblem(t, err, problem.Invalid, "larger than a release may be")
	wantClean(t, s, id)
}

func TestImportTellsOfReadErrors(t *testing.T) {
	s, id := stored(t)
	bundle := handmade{layers: layer(t, tar.Header{Name: "a", Uname: "x"})}.bytes(t)
	broken := errors.New("connection reset")
	_, err := s.Import(t.Context(), &failing{bytes.NewReader(bundle[:3000]), broken})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	wantClean(t, s, id)
}

type failing struct {
	r   *bytes.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.r.Len() == 0 {
		return 0, f.err
	}
	return f.r.Read(p)
}

func FuzzImport(f *testing.F) {
	f.Add(handmade{layers: layer(f, tar.Header{Name: "bin/shop", Mode: 0o755, Uname: "x"})}.bytes(f))
	f.Add(handmade{}.bytes(f))
	s := open(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := s.Import(t.Context(), bytes.NewReader(b))
		if err != nil {
			wantProblem(t, err, problem.Invalid, "")
			return
		}
		if _, err := s.Release(t.Context(), id); err != nil {
			t.Fatalf("imported, but: %v", err)
		}
	})
}

// FuzzUnpack lays out arbitrary archives: nothing may come to lie outside of the folder.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, tar.Header{Name: "a/b", Uname: "x"}, tar.Header{Name: "c", Typeflag: tar.TypeSymlink, Linkname: "a"}))
	f.Add(archive(f, tar.Header{Name: "../b", Uname: "x"}))
	s := open(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var bundle bytes.Buffer
		_, err := bundleOf(t.Context(), &bundle, "fuzz", map[string][]byte{Checks: b})
		must(t, err)
		id, err := s.Import(t.Context(), &bundle)
		if err != nil {
			return
		}
		dir := placed(t)
		must(t, s.Unpack(t.Context(), id, Checks, filepath.Join(dir, "place", "here")))
		must(t, s.Verify(t.Context(), id, Checks, filepath.Join(dir, "place", "here")))
		must(t, RemoveTree(filepath.Join(dir, "place", "here")))
		if left := listing(t, dir); left != "drwxr-xr-x place \n" {
			t.Errorf("outside of its folder: %s", left)
		}
	})
}
