package artifact

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/release"
)

// project is a folder like a real service: one large program and many small files; it returns its size.
func project(b *testing.B) (string, int64) {
	b.Helper()
	dir := b.TempDir()
	total := int64(64 << 20)
	write(b, dir, map[string]string{"bin/app*": strings.Repeat("0123456789abcdef", 4<<20)})
	for i := range 2000 {
		content := strings.Repeat("x", i*10)
		total += int64(len(content))
		write(b, dir, map[string]string{fmt.Sprintf("lib/%d/%d.js", i%50, i): content})
	}
	return dir, total
}

func BenchmarkPack(b *testing.B) {
	dir, size := project(b)
	root, err := os.OpenRoot(dir)
	must(b, err)
	defer func() { must(b, root.Close()) }()
	names, err := selection{}.list(root)
	must(b, err)
	b.SetBytes(size)
	for b.Loop() {
		must(b, pack(root, names, io.Discard))
	}
}

func BenchmarkBuildAndPut(b *testing.B) {
	dir, size := project(b)
	s := open(b)
	b.SetBytes(size)
	for b.Loop() {
		built, err := Build(b.Context(), BuildOptions{Repository: dir, App: shop(appBuild())})
		must(b, err)
		_, err = s.Put(b.Context(), built)
		must(b, err)
		must(b, built.Close())
	}
}

func BenchmarkStore(b *testing.B) {
	dir, size := project(b)
	s := open(b)
	id, err := s.Put(b.Context(), build(b, BuildOptions{Repository: dir, App: shop(appBuild())}))
	must(b, err)
	place := filepath.Join(placed(b), "web")
	b.Run("unpack", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			must(b, s.Unpack(b.Context(), id, "service/web", place))
			b.StopTimer()
			must(b, RemoveTree(place))
			b.StartTimer()
		}
	})
	must(b, s.Unpack(b.Context(), id, "service/web", place))
	b.Run("verify", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			must(b, s.Verify(b.Context(), id, "service/web", place))
		}
	})
	b.Run("export", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			must(b, s.Export(b.Context(), id, io.Discard))
		}
	})
}

// BenchmarkManyReleases is about what must not grow with the number of releases.
func BenchmarkManyReleases(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkReleases(b, n) })
	}
}

func benchmarkReleases(b *testing.B, n int) {
	s := open(b)
	var list []known
	for i := range n { // as Import does, without syncing each
		r := release.Release{Format: release.Format, App: fmt.Sprint("shop", i), Files: map[string]release.Artifact{}}
		man, text, err := manifest(r)
		must(b, err)
		must(b, os.WriteFile(s.blobPath(man.Digest), text, 0o444))
		must(b, os.WriteFile(s.blobPath(r.Digest()), r.Bytes(), 0o444))
		list = append(list, known{r.Digest(), man})
	}
	must(b, s.writeIndex(list))
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			_, err := Open(b.Context(), s.dir)
			must(b, err)
		}
	})
	b.Run("release", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, err := s.Release(b.Context(), list[i%n].id)
			must(b, err)
		}
	})
	b.Run("import", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			var bundle bytes.Buffer
			_, err := bundleOf(b.Context(), &bundle, fmt.Sprint("one more", i), nil)
			must(b, err)
			b.StartTimer()
			_, err = s.Import(b.Context(), &bundle)
			must(b, err)
		}
	})
	b.Run("sweep", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Sweep(b.Context(), func(release.Digest) bool { return true })
			must(b, err)
		}
	})
}
