package data_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"greenroom/internal/data"
	"greenroom/internal/data/datatest"
)

// TestCloneFile copies a file where its blocks can be shared and where they can't, and is told how. The copy stays what it is
// when the file changes.
func TestCloneFile(t *testing.T) {
	for kind, want := range map[string]string{"tmpfs": "file copy", "btrfs": "clone", "xfs": "clone"} {
		t.Run(kind, func(t *testing.T) {
			dir := datatest.Mounted(t, t.TempDir(), kind)
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			content := bytes.Repeat([]byte("Greenroom "), 1<<20)
			if err := os.WriteFile(from, content, 0o600); err != nil {
				t.Fatal(err)
			}
			before := datatest.Taken(t, dir)
			how, err := data.CloneFile(from, to, 0o640)
			if err != nil || how != want {
				t.Fatalf("it was copied by %q, %v", how, err)
			}
			if grown := datatest.Taken(t, dir) - before; (grown < int64(len(content))/2) != (want == "clone") {
				t.Errorf("by %s the copy of %d bytes takes up %d", how, len(content), grown)
			}
			if err := os.WriteFile(from, []byte("another"), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(to)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("the copy has %d bytes, %v", len(got), err)
			}
			if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("%v, %v", info, err)
			}
			if _, err := data.CloneFile(from, to, 0o640); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over a file that is there: %v", err)
			}
		})
	}
}
