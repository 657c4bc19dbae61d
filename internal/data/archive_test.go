package data

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// TestMain makes this program the reader of an archive that a test kills.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "read-archive" {
		_, err := ReadArchive(context.Background(), os.Stdin, into(os.Args[2], os.Args[3]))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // it is to be killed before it gets here
	}
	os.Exit(m.Run())
}

var testSeal = []byte(`{"signed":"by somebody"}`)

// into takes a snapshot with that manifest into dir, if it is sealed as in these tests.
func into(dir, manifest string) func([]byte) (Place, error) {
	return func(seal []byte) (Place, error) {
		if !bytes.Equal(seal, testSeal) {
			return Place{}, problem.New(problem.Invalid, "nobody signed it")
		}
		return Place{Dir: dir, Manifest: manifest, Taken: func(Snapshot) error { return nil },
			Named: func(name func() error) error { return name() }}, nil
	}
}

// exported is the archive of a snapshot with files, the largest of about so many bytes, and its manifest's digest.
func exported(t testing.TB, size int) (archive []byte, manifest string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "snapshot")
	f, err := NewFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"catalog.json", "empty", "rows-1", "Räume und \"mehr\""} {
		w, err := f.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte(name), []int{1, 0, size / len(name), 20}[i])); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Complete(testSnapshot()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, Manifest))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteArchive(t.Context(), &out, dir, "test", testSeal); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), strings.TrimPrefix(string(release.Of(text)), "sha256:")
}

// wantNothing fails the test when something is left in a folder.
func wantNothing(t testing.TB, parent string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left", e.Name())
	}
}

func TestArchive(t *testing.T) {
	archive, manifest := exported(t, 20_000)
	dir := filepath.Join(t.TempDir(), "snapshot")
	if _, err := ReadArchive(t.Context(), bytes.NewReader(archive), into(dir, manifest)); err != nil {
		t.Fatal(err)
	}
	s, err := VerifySnapshot(t.Context(), dir)
	if err != nil || len(s.Files) != 4 {
		t.Fatalf("%+v, %v", s, err)
	}
	var again bytes.Buffer
	if err := WriteArchive(t.Context(), &again, dir, "test", testSeal); err != nil || !bytes.Equal(again.Bytes(), archive) {
		t.Errorf("exported once more it is another archive: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "rows-1"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := ReadArchive(t.Context(), bytes.NewReader(archive), into(dir, manifest)); problem.From(err).Code != problem.Blocked {
		t.Errorf("it is written over one that is there: %v", err)
	}
}

// TestArchiveOfADamagedSnapshot: what is not what was written any more does not leave.
func TestArchiveOfADamagedSnapshot(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"a bit":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "rows"), []byte("contend"), 0o600) },
		"shorter":  func(dir string) error { return os.Truncate(filepath.Join(dir, "rows"), 3) },
		"manifest": func(dir string) error { return os.Truncate(filepath.Join(dir, Manifest), 30) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "snapshot")
			written(t, dir)
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			if err := WriteArchive(t.Context(), io.Discard, dir, "test", testSeal); problem.From(err) == nil || problem.From(err).Code != problem.Fail {
				t.Errorf("got %v", err)
			}
		})
	}
}

// entry is one of an archive.
type entry struct {
	tar.Header
	content []byte
}

func entriesOf(t testing.TB, archive []byte) (all []entry) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{*h, content})
	}
}

func archiveOf(t testing.TB, all []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range all {
		e.Size = int64(len(e.content))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.content); err != nil && e.Typeflag == tar.TypeReg {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestArchiveIsStrict brings archives that are not what was exported. Each is refused, and nothing is left.
func TestArchiveIsStrict(t *testing.T) {
	good, manifest := exported(t, 20_000)
	named := func(name, content string) entry {
		return entry{tar.Header{Name: name, Mode: 0o600, Typeflag: tar.TypeReg}, []byte(content)}
	}
	for name, c := range map[string]struct {
		change func([]entry) []entry
		want   string
	}{
		"another format":       {func(e []entry) []entry { e[0].content = []byte(`{"format":2,"version":"9.9"}`); return e }, "format 2"},
		"no head":              {func(e []entry) []entry { return e[1:] }, "no snapshot that a Greenroom exported"},
		"a head of nonsense":   {func(e []entry) []entry { e[0].content = []byte(`hello`); return e }, "no snapshot that a Greenroom exported"},
		"another signature":    {func(e []entry) []entry { e[1].content = []byte("x"); return e }, "nobody signed it"},
		"no signature":         {func(e []entry) []entry { return slices.Delete(e, 1, 2) }, "snapshot.dsse.json"},
		"another manifest":     {func(e []entry) []entry { e[2].content = append(e[2].content, ' '); return e }, "not the one that was signed"},
		"no manifest":          {func(e []entry) []entry { return slices.Delete(e, 2, 3) }, Manifest},
		"a file less":          {func(e []entry) []entry { return slices.Delete(e, 3, 4) }, "belongs"},
		"a file more":          {func(e []entry) []entry { return slices.Insert(e, 5, named("more", "x")) }, "belongs"},
		"one behind the files": {func(e []entry) []entry { return slices.Insert(e, len(e)-1, named("more", "x")) }, "belongs"},
		"one behind the end":   {func(e []entry) []entry { return append(e, named("more", "x")) }, "more than its manifest"},
		"an end that is none":  {func(e []entry) []entry { e[len(e)-1].content = []byte("x"); return e }, "more than its manifest"},
		"no end":               {func(e []entry) []entry { return e[:len(e)-1] }, "cut off"},
		"files exchanged":      {func(e []entry) []entry { e[3], e[5] = e[5], e[3]; return e }, "belongs"},
		"twice":                {func(e []entry) []entry { return slices.Insert(e, 4, e[3]) }, "belongs"},
		"a bit":                {func(e []entry) []entry { e[6].content[100] ^= 1; return e }, "not what was written"},
		"longer":               {func(e []entry) []entry { e[6].content = append(e[6].content, 'x'); return e }, "bytes and not"},
		"climbing out":         {func(e []entry) []entry { e[6].Name = "../../rows-1"; return e }, "belongs"},
		"a link": {func(e []entry) []entry {
			e[6].Typeflag, e[6].Linkname, e[6].content = tar.TypeSymlink, "/etc/passwd", nil
			return e
		}, "belongs"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			bad := archiveOf(t, c.change(entriesOf(t, good)))
			_, err := ReadArchive(t.Context(), bytes.NewReader(bad), into(filepath.Join(parent, "snapshot"), manifest))
			if p := problem.From(err); p == nil || p.Code != problem.Invalid || !strings.Contains(p.Message, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			wantNothing(t, parent)
		})
	}
	t.Run("bytes behind it", func(t *testing.T) {
		parent := t.TempDir()
		_, err := ReadArchive(t.Context(), io.MultiReader(bytes.NewReader(good), strings.NewReader("x")), into(filepath.Join(parent, "snapshot"), manifest))
		if problem.From(err) == nil {
			t.Error("it is taken")
		}
		wantNothing(t, parent)
	})
}

// TestArchiveCutOff has an archive end after each number of bytes, or the reading stopped there.
func TestArchiveCutOff(t *testing.T) {
	good, manifest := exported(t, 20_000)
	parent := t.TempDir()
	dir := filepath.Join(parent, "snapshot")
	for n := 0; n < len(good); n += 97 {
		if _, err := ReadArchive(t.Context(), bytes.NewReader(good[:n]), into(dir, manifest)); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := ReadArchive(ctx, io.MultiReader(bytes.NewReader(good[:n]), stopping(cancel), bytes.NewReader(good[n:])), into(dir, manifest))
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped after %d bytes: %v", n, err)
		}
	}
	wantNothing(t, parent)
}

// stopping cancels when it is read.
type stopping context.CancelFunc

func (s stopping) Read([]byte) (int, error) { s(); return 0, io.EOF }

// TestArchiveKilled kills the one who reads an archive at points all over it, which it has come to and not passed: there is
// no snapshot then, and the next one that is read sweeps away what is left.
func TestArchiveKilled(t *testing.T) {
	good, manifest := exported(t, 600_000)
	parent := t.TempDir()
	dir := filepath.Join(parent, "snapshot")
	for n := 512; n < len(good); n += len(good) / 12 {
		cmd := exec.Command(os.Args[0], "read-archive", dir, manifest)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(good[:n]); err != nil { // it returns when the child has taken all but what a pipe holds
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
			t.Fatalf("it ended by itself: %v", err)
		}
		if _, err := ReadSnapshot(dir); problem.From(err) == nil || problem.From(err).Code != problem.NotFound {
			t.Fatalf("after %d bytes there is a snapshot: %v", n, err)
		}
	}
	if _, err := ReadArchive(t.Context(), bytes.NewReader(good), into(dir, manifest)); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("beside the snapshot there is more: %v, %v", entries, err)
	}
}

// FuzzReadArchive: what is taken is, byte for byte, what was signed; nothing is written outside its folder, and what is
// refused leaves nothing.
func FuzzReadArchive(f *testing.F) {
	good, manifest := exported(f, 2000)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(append(slices.Clone(good), 0))
	entries := entriesOf(f, good)
	entries[3].Name = "../catalog.json"
	f.Add(archiveOf(f, entries))
	f.Fuzz(func(t *testing.T, archive []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "deep", "snapshot")
		if err := os.Mkdir(filepath.Dir(dir), 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := ReadArchive(t.Context(), bytes.NewReader(archive), into(dir, manifest))
		if err != nil {
			wantNothing(t, filepath.Dir(dir))
		} else if _, err := VerifySnapshot(t.Context(), dir); err != nil {
			t.Errorf("what was taken is damaged: %v", err)
		}
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Fatal(err)
		}
		wantNothing(t, parent)
	})
}

// BenchmarkArchive exports and imports 64 MB; what is allocated does not grow with that.
func BenchmarkArchive(b *testing.B) {
	const size = 64 << 20
	parent := b.TempDir()
	from := filepath.Join(parent, "from")
	f, err := NewFolder(from)
	if err != nil {
		b.Fatal(err)
	}
	w, err := f.Create("rows")
	if err != nil {
		b.Fatal(err)
	}
	for line := bytes.Repeat([]byte("0123456789abcdef"), 1<<12); w.size < size; {
		if _, err := w.Write(line); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if _, err := f.Complete(testSnapshot()); err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(from, Manifest))
	if err != nil {
		b.Fatal(err)
	}
	manifest := strings.TrimPrefix(string(release.Of(text)), "sha256:")
	b.Run("export", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if err := WriteArchive(b.Context(), io.Discard, from, "test", testSeal); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("import", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		to := filepath.Join(parent, "to")
		for b.Loop() {
			r, w := io.Pipe()
			go func() { w.CloseWithError(WriteArchive(b.Context(), w, from, "test", testSeal)) }()
			if _, err := ReadArchive(b.Context(), r, into(to, manifest)); err != nil {
				b.Fatal(err)
			}
			if err := os.RemoveAll(to); err != nil {
				b.Fatal(err)
			}
		}
	})
}
