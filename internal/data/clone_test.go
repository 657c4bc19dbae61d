package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"greenroom/internal/problem"
)

// tree makes a folder with files of many sizes, as deep as a server's data.
func tree(t *testing.T) (dir string, files map[string][]byte) {
	t.Helper()
	dir, files = t.TempDir(), map[string][]byte{}
	for i, size := range []int{0, 1, 8192, 1 << 20, 3<<20 + 7} {
		for _, sub := range []string{"", "base/1", "base/2", "pg wal/ünï"} {
			name := filepath.Join(sub, fmt.Sprintf("file %d", i))
			files[name] = bytes.Repeat([]byte{byte(i + 1)}, size)
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o750); err != nil {
		t.Fatal(err)
	}
	return dir, files
}

func TestCloneFolder(t *testing.T) {
	from, files := tree(t)
	if err := os.Chmod(filepath.Join(from, "base"), 0o500); err != nil { // the copy has to get in all the same
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(from, "base"), 0o700) })
	to := filepath.Join(t.TempDir(), "to")
	how, err := CloneFolder(t.Context(), from, to)
	if err != nil || (how != "clone" && how != "file copy") {
		t.Fatalf("%q, %v", how, err)
	}
	for name, content := range files {
		got, err := os.ReadFile(filepath.Join(to, name))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, want %d: %v", name, len(got), len(content), err)
		}
	}
	if info, err := os.Stat(filepath.Join(to, "empty")); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the empty folder: %v, %v", info, err)
	}
	// They are two: what is written to one is not in the other.
	if err := os.WriteFile(filepath.Join(to, "file 3"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(from, "file 3")); err != nil || !bytes.Equal(got, files["file 3"]) {
		t.Error("the copy is the original")
	}
}

func TestCloneFolderRefuses(t *testing.T) {
	full, _ := tree(t)
	linked, _ := tree(t)
	if err := os.Symlink("/etc", filepath.Join(linked, "base/elsewhere")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to string }{
		"into a folder that has something": {full, full},
		"a link":                           {linked, filepath.Join(t.TempDir(), "to")},
	} {
		_, err := CloneFolder(t.Context(), c.from, c.to)
		if p := problem.From(err); p == nil || p.Code != problem.Blocked {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := CloneFolder(t.Context(), filepath.Join(full, "missing"), filepath.Join(t.TempDir(), "to")); err == nil {
		t.Error("a folder that is not there was copied")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := CloneFolder(ctx, full, filepath.Join(t.TempDir(), "to")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestCloneFolderFault takes a file's place in the copy: the fault is told, and nobody waits for ever.
func TestCloneFolderFault(t *testing.T) {
	from, _ := tree(t)
	c := cloning{ctx: t.Context(), to: filepath.Join(from, "file 1"), names: make(chan string)}
	var err error
	if c.source, err = os.OpenRoot(from); err != nil {
		t.Fatal(err)
	}
	defer c.source.Close()
	done := make(chan struct{})
	go func() { defer close(done); c.work() }()
	for range 100 {
		c.names <- "file 2"
	}
	close(c.names)
	<-done
	if c.err == nil {
		t.Error("writing below a file succeeded")
	}
}
