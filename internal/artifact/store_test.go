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
	"sync"
	"testing"

	"oras.land/oras-go/v2/content/oci"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

func TestStoreKeepsARelease(t *testing.T) {
	built := build(t, BuildOptions{Repository: repository(t, nil), App: shop(appBuild("bin", "public"), "test/smoke")})
	s := open(t)
	id, err := s.Put(t.Context(), built)
	must(t, err)
	if id != built.Release.Digest() {
		t.Fatalf("put %s, got %s", built.Release.Digest(), id)
	}
	got, err := s.Release(t.Context(), id)
	must(t, err)
	if !bytes.Equal(got.Bytes(), built.Release.Bytes()) {
		t.Errorf("got %s", got.Bytes())
	}
	again, err := s.Put(t.Context(), built)
	must(t, err)
	if again != id {
		t.Errorf("put again, got %s", again)
	}
	wantClean(t, s, id)

	var out bytes.Buffer
	must(t, s.Export(t.Context(), id, &out))
	if !bytes.Equal(out.Bytes(), exported(t, built)) {
		t.Error("store and builder export different bytes")
	}
	other := open(t)
	moved, err := other.Import(t.Context(), bytes.NewReader(out.Bytes()))
	must(t, err)
	padded, err := other.Import(t.Context(), io.MultiReader(&out, bytes.NewReader(make([]byte, 8192)))) // as GNU tar ends its files
	must(t, err)
	if moved != id || padded != id {
		t.Errorf("moved %s and %s", moved, padded)
	}
}

// Any OCI tool has to be able to read the store: oras itself does, strictly.
func TestStoreIsAnOCILayout(t *testing.T) {
	s, id := stored(t)
	layout, err := oci.NewFromFS(t.Context(), os.DirFS(s.dir))
	must(t, err)
	d, err := layout.Resolve(t.Context(), hexOf(id))
	must(t, err)
	if d.ArtifactType != MediaType {
		t.Errorf("artifact type %s", d.ArtifactType)
	}
	must(t, layout.Tags(t.Context(), "", func(tags []string) error {
		if len(tags) != 1 {
			t.Errorf("tags %v", tags)
		}
		return nil
	}))
}

func TestStoreComesBack(t *testing.T) {
	s, id := stored(t)
	must(t, os.Mkdir(filepath.Join(s.dir, incomingFolder, "killed"), 0o700))
	back, err := Open(t.Context(), s.dir)
	must(t, err)
	wantClean(t, back, id)
	second, err := back.Import(t.Context(), bytes.NewReader(handmade{}.bytes(t)))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(s.dir, incomingFolder, "killed"), []byte("a file"), 0o444))
	back, err = Open(t.Context(), s.dir)
	must(t, err)
	for _, id := range []release.Digest{id, second} {
		if _, err := back.Release(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

func TestStoreDoesNotKnow(t *testing.T) {
	s, id := stored(t)
	for _, d := range []release.Digest{"", "latest", "sha256:../../x", release.Of([]byte("x"))} {
		_, err := s.Release(t.Context(), d)
		wantProblem(t, err, problem.NotFound, "not in the store")
		wantProblem(t, s.Export(t.Context(), d, io.Discard), problem.NotFound, "not in the store")
	}
	wantProblem(t, s.Unpack(t.Context(), id, "service/none", t.TempDir()), problem.NotFound, `no files called "service/none"`)
}

func TestRemoveKeepsWhatOthersNeed(t *testing.T) {
	s := open(t)
	shared, own := archive(t, tar.Header{Name: "shared", Uname: "x"}), archive(t, tar.Header{Name: "own", Uname: "x"})
	var a, b bytes.Buffer
	one, err := bundleOf(t.Context(), &a, "one", map[string][]byte{"service/web": shared, Checks: own})
	must(t, err)
	two, err := bundleOf(t.Context(), &b, "two", map[string][]byte{"service/web": shared})
	must(t, err)
	for _, r := range []io.Reader{&a, &b} {
		_, err := s.Import(t.Context(), r)
		must(t, err)
	}
	for range 2 { // removing it twice is removing it once
		must(t, s.Remove(t.Context(), one))
		_, err = s.Release(t.Context(), one)
		wantProblem(t, err, problem.NotFound, "not in the store")
		wantClean(t, s, two)
	}
	s, err = Open(t.Context(), s.dir)
	must(t, err)
	must(t, s.Unpack(t.Context(), two, "service/web", filepath.Join(placed(t), "web")))
}

// tamper changes one byte in the middle of a blob, keeping its length.
func tamper(t *testing.T, s *Store, d release.Digest) {
	t.Helper()
	b, err := os.ReadFile(s.blobPath(d))
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.Chmod(s.blobPath(d), 0o644))
	must(t, os.WriteFile(s.blobPath(d), b, 0o644))
}

func TestTamperedBlobsAreRefused(t *testing.T) {
	s, id := stored(t)
	var bundle bytes.Buffer
	must(t, s.Export(t.Context(), id, &bundle))
	r, err := s.Release(t.Context(), id)
	must(t, err)
	man, _, err := manifest(r)
	must(t, err)
	web := filepath.Join(placed(t), "web")
	must(t, s.Unpack(t.Context(), id, "service/web", web))

	use := map[string]func() error{
		"release": func() error { _, err := s.Release(t.Context(), id); return err },
		"export":  func() error { return s.Export(t.Context(), id, io.Discard) },
		"unpack":  func() error { return s.Unpack(t.Context(), id, "service/web", web) },
		"fresh":   func() error { return s.Unpack(t.Context(), id, "service/web", web+"-fresh") },
		"verify":  func() error { return s.Verify(t.Context(), id, "service/web", web) },
	}
	harm := map[string]func(release.Digest){
		"changed": func(d release.Digest) { tamper(t, s, d) },
		"cut off": func(d release.Digest) {
			must(t, os.Chmod(s.blobPath(d), 0o644))
			must(t, os.Truncate(s.blobPath(d), 20))
		},
		"gone": func(d release.Digest) { must(t, os.Remove(s.blobPath(d))) },
		"longer": func(d release.Digest) {
			b, _ := os.ReadFile(s.blobPath(d))
			must(t, os.Remove(s.blobPath(d)))
			must(t, os.WriteFile(s.blobPath(d), append(b, 0), 0o444))
		},
	}
	for which, d := range map[string]release.Digest{"manifest": man.Digest, "document": id, "layer": r.Files["service/web"].Digest} {
		for how, do := range harm {
			do(d)
			for what, f := range use {
				err := f()
				if what == "release" && which == "layer" {
					must(t, err) // it reads no layer
				} else if err == nil {
					t.Errorf("%s with a %s %s: no error", what, how, which)
				}
			}
			if _, err := os.Stat(web + "-fresh"); err == nil {
				t.Errorf("a %s %s was laid out", how, which)
			}
			_, err := s.Import(t.Context(), bytes.NewReader(bundle.Bytes()))
			must(t, err)
			for what, f := range use {
				if err := f(); err != nil {
					t.Errorf("%s after importing anew over a %s %s: %v", what, how, which, err)
				}
			}
			must(t, RemoveTree(web+"-fresh"))
		}
	}
}

func TestOpenNoticesDamage(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, s *Store){
		"index": func(t *testing.T, s *Store) {
			must(t, os.WriteFile(filepath.Join(s.dir, "index.json"), []byte(`{"man`), 0o644))
		},
		"empty": func(t *testing.T, s *Store) {
			must(t, os.Truncate(filepath.Join(s.dir, "index.json"), 0))
		},
		"layout": func(t *testing.T, s *Store) {
			must(t, os.WriteFile(filepath.Join(s.dir, "oci-layout"), []byte(`{}`), 0o644))
		},
		"half":  func(t *testing.T, s *Store) { must(t, os.Truncate(filepath.Join(s.dir, "index.json"), 200)) },
		"none":  func(t *testing.T, s *Store) { must(t, os.Remove(filepath.Join(s.dir, "index.json"))) },
		"other": func(t *testing.T, s *Store) { must(t, os.Remove(filepath.Join(s.dir, "oci-layout"))) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := stored(t)
			harm(t, s)
			_, err := Open(t.Context(), s.dir)
			wantProblem(t, err, problem.Unavailable, "is damaged")
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(t.Context(), file)
	wantProblem(t, err, problem.Unavailable, "can't be used")
}

func TestStoreIsSafeForConcurrentUse(t *testing.T) {
	s, id := stored(t)
	dir := filepath.Join(placed(t), "web")
	shared := archive(t, tar.Header{Name: "shared", Uname: "x"})
	var wg sync.WaitGroup
	do := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 8 {
		do(func() error { return s.Unpack(t.Context(), id, "service/web", dir) })
		do(func() error { return s.Export(t.Context(), id, io.Discard) })
		do(func() error {
			_, err := s.Sweep(t.Context(), func(release.Digest) bool { return true })
			return err
		})
		do(func() error {
			var b bytes.Buffer
			one, err := bundleOf(t.Context(), &b, fmt.Sprint("app", i/2), map[string][]byte{"service/web": shared})
			if err != nil {
				return err
			}
			if _, err := s.Import(t.Context(), &b); err != nil {
				return err
			}
			if i%2 == 0 {
				return nil
			}
			_, err = s.Release(t.Context(), one)
			return err
		})
	}
	wg.Wait()
	must(t, s.Verify(t.Context(), id, "service/web", dir))
	back, err := Open(t.Context(), s.dir)
	must(t, err)
	entries, err := back.all()
	must(t, err)
	if len(entries) != 5 {
		t.Errorf("%d releases instead of 5", len(entries))
	}
}

func TestContextEndsTheWork(t *testing.T) {
	s, id := stored(t)
	dir := filepath.Join(placed(t), "web")
	must(t, s.Unpack(t.Context(), id, "service/web", dir))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Import(ctx, bytes.NewReader(handmade{}.bytes(t)))
	wantProblem(t, err, problem.Interrupted, "interrupted")
	wantProblem(t, s.Verify(ctx, id, "service/web", dir), problem.Interrupted, "interrupted")
	if err := s.Unpack(ctx, id, "service/web", dir+"2"); !errors.Is(err, context.Canceled) {
		t.Errorf("unpack: %v", err)
	}
	if err := s.Export(ctx, id, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("export: %v", err)
	}
	wantClean(t, s, id)
}
