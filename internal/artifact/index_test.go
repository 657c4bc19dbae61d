package artifact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// small imports a release that is named after its app.
func small(t testing.TB, s *Store, app string) release.Digest {
	t.Helper()
	var b bytes.Buffer
	_, err := bundleOf(t.Context(), &b, app, map[string][]byte{Checks: randomArtifact(uint64(len(app)))})
	must(t, err)
	id, err := s.Import(t.Context(), &b)
	must(t, err)
	return id
}

// wantKnown fails unless the index names exactly these releases, each once, in this order, and is JSON that OCI tools read.
func wantKnown(t testing.TB, s *Store, want ...release.Digest) {
	t.Helper()
	text, err := os.ReadFile(s.indexPath())
	must(t, err)
	var ind ocispec.Index
	must(t, json.Unmarshal(text, &ind))
	got := []release.Digest{}
	for _, d := range ind.Manifests {
		got = append(got, release.Digest("sha256:"+d.Annotations[ocispec.AnnotationRefName]))
	}
	if !slices.Equal(got, want) || ind.SchemaVersion != 2 || ind.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("the index names %d releases, %v\nwant %v\n%s", len(got), got, want, text)
	}
	for _, id := range want {
		if err := s.Export(t.Context(), id, io.Discard); err != nil {
			t.Error(err)
		}
	}
}

func TestIndexKeepsWhatIsAppended(t *testing.T) {
	s := open(t)
	rapid.Check(t, func(r *rapid.T) {
		entry := rapid.Custom(func(r *rapid.T) known {
			return known{release.Of(rapid.SliceOf(rapid.Byte()).Draw(r, "id")), artifactOf(rapid.SliceOf(rapid.Byte()).Draw(r, "manifest"))}
		})
		entries := rapid.SliceOfNDistinct(entry, 0, 6, func(k known) release.Digest { return k.id }).Draw(r, "entries")
		written := rapid.IntRange(0, len(entries)).Draw(r, "written")
		must(t, s.writeIndex(entries[:written]))
		for _, k := range entries[written:] {
			must(t, s.appendIndex(k))
		}
		if got, err := s.all(); err != nil || !slices.Equal(got, entries) {
			r.Fatalf("got %v, %v; want %v", got, err, entries)
		}
	})
}

// A kill while a line is appended leaves any part of it; its release is still in the folder of what comes in.
func TestKilledWhileTheIndexIsAppendedTo(t *testing.T) {
	s := open(t)
	var ids []release.Digest
	for _, app := range []string{"one", "two", "three"} {
		old, err := os.ReadFile(s.indexPath())
		must(t, err)
		ids = append(ids, small(t, s, app))
		full, err := os.ReadFile(s.indexPath())
		must(t, err)
		step := map[bool]int{true: 1, false: 37}[app == "two"]
		for cut := len(old) - len(indexTail); cut <= len(full); cut += step {
			left := slices.Concat(full[:cut], old[min(cut, len(old)):])
			must(t, os.WriteFile(s.indexPath(), left, 0o644))
			must(t, os.Mkdir(s.incomingPath(ids[len(ids)-1]), 0o700))
			back, err := Open(t.Context(), s.dir)
			if err != nil {
				t.Fatalf("cut at %d: %v\n%s", cut, err, left)
			}
			if wantKnown(t, back, ids...); t.Failed() {
				t.Fatalf("cut at %d:\n%s", cut, left)
			}
		}
	}
}

// The state folder of the Greenroom before this one has its index in one line; that one reads this one's, as any JSON.
func TestIndexOfAnEarlierGreenroom(t *testing.T) {
	s := open(t)
	ids := []release.Digest{small(t, s, "one"), small(t, s, "two")}
	for range 2 { // there, back, and there again
		text, err := os.ReadFile(s.indexPath())
		must(t, err)
		var ind ocispec.Index
		must(t, json.Unmarshal(text, &ind))
		earlier, err := json.Marshal(ind)
		must(t, err)
		must(t, os.WriteFile(s.indexPath(), earlier, 0o644))
		s, err = Open(t.Context(), s.dir)
		must(t, err)
		wantKnown(t, s, ids...)
		ids = append(ids, small(t, s, fmt.Sprint("more", len(ids))))
		wantKnown(t, s, ids...)
	}
	none, err := index([]ocispec.Descriptor{})
	must(t, err)
	empty := open(t)
	must(t, os.WriteFile(empty.indexPath(), none, 0o644))
	empty, err = Open(t.Context(), empty.dir)
	must(t, err)
	wantKnown(t, empty)
}

func TestIndexOntoAFullDisk(t *testing.T) {
	if rerun(t) {
		return
	}
	s := open(t)
	ids := []release.Digest{small(t, s, "one")}
	filler := []known{{ids[0], artifactOf(s.mustRead(t, ids[0]))}}
	for i := range 1000 { // so that the index is larger than any blob
		filler = append(filler, known{release.Of(fmt.Append(nil, i)), filler[0].manifest})
	}
	must(t, s.writeIndex(filler))
	before, err := os.ReadFile(s.indexPath())
	must(t, err)
	var coming bytes.Buffer
	id, err := bundleOf(t.Context(), &coming, "two", nil)
	must(t, err)
	for room := range uint64(6) { // for nothing of the line, for some of it
		err = withFullDisk(t, uint64(len(before))+100*room, func() error {
			_, err := s.Import(t.Context(), bytes.NewReader(coming.Bytes()))
			return err
		})
		if err == nil {
			break // it had room
		}
		wantProblem(t, err, problem.Unavailable, "can't take it")
		after, err := os.ReadFile(s.indexPath())
		must(t, err)
		if !bytes.Equal(before, after) {
			t.Fatalf("with room for %d bytes the index was left as\n%s", 100*room, after[len(before)-200:])
		}
	}
	must(t, err)
	if listed, err := s.listed(id); err != nil || !listed {
		t.Errorf("listed %v, %v", listed, err)
	}
	if left, _ := os.ReadDir(filepath.Join(s.dir, incomingFolder)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func (s *Store) mustRead(t testing.TB, id release.Digest) []byte {
	t.Helper()
	r, err := s.Release(t.Context(), id)
	must(t, err)
	_, text, err := manifest(r)
	must(t, err)
	return text
}
