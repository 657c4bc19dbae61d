package atomicfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/atomicfile"
)

// TestMain makes this program the writer that a test kills.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "write-for-ever" {
		writeForEver(os.Args[2])
	}
	os.Exit(m.Run())
}

const bodySize = 128 << 10

// body is content that shows whether it is whole: the same byte all over.
func body(b byte) []byte { return bytes.Repeat([]byte{b}, bodySize) }

func writeForEver(name string) {
	fmt.Println("ready")
	for b := byte(0); ; b++ {
		if err := atomicfile.Write(name, body(b), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func TestWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "table")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, content := range []string{"one", "two, longer", ""} {
		if err := atomicfile.Write(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != content {
			t.Fatalf("read %q, %v; want %q", got, err, content)
		}
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v; want 0644 whatever the umask", info.Mode(), err)
	}
	wantNames(t, filepath.Dir(name), "table")
}

func TestWriteFromThatFailsChangesNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "table")
	if err := atomicfile.Write(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := atomicfile.WriteFrom(name, 0o600, func(w io.Writer) error {
		if _, err := w.Write([]byte("half")); err != nil {
			t.Fatal(err)
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the one of the function", err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "old" {
		t.Errorf("read %q, %v; want the old content", got, err)
	}
	wantNames(t, filepath.Dir(name), "table")
}

func TestWriteIntoNoFolder(t *testing.T) {
	err := atomicfile.Write(filepath.Join(t.TempDir(), "missing", "table"), nil, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want that it does not exist", err)
	}
}

// A name that can't be replaced must not leave a temporary file: a folder stands there.
func TestWriteOverAFolder(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "table")
	if err := os.MkdirAll(filepath.Join(name, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(name, []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	wantNames(t, dir, "table")
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".table.tmp-1", ".table.tmp-2", ".other.tmp-1", "table", ".table"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := atomicfile.Sweep(filepath.Join(dir, "table")); err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir, ".other.tmp-1", ".table", "table")
}

// A reader sees the old file or the new one, at whatever instant the writer is killed.
func TestKilledWriterLeavesWholeFile(t *testing.T) {
	kills := 300
	if testing.Short() {
		kills = 30
	}
	name := filepath.Join(t.TempDir(), "table")
	if err := atomicfile.Write(name, body(0), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range kills {
		killWriter(t, name)
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatalf("after %d kills: %v", i+1, err)
		}
		if len(got) != bodySize || !bytes.Equal(got, body(got[0])) {
			t.Fatalf("after %d kills the file is torn: %d bytes", i+1, len(got))
		}
	}
	if err := atomicfile.Sweep(name); err != nil {
		t.Fatal(err)
	}
	wantNames(t, filepath.Dir(name), "table")
}

// killWriter starts a writer, lets it write for a random while, and kills it.
func killWriter(t *testing.T, name string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "write-for-ever", name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatalf("the writer did not start: %v", err)
	}
	<-time.After(rand.N(5 * time.Millisecond))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}
