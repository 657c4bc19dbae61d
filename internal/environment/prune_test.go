package environment

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"greenroom/internal/home"
)

func TestPruneBackups(t *testing.T) {
	w := &World{Home: home.Home(filepath.Join(t.TempDir(), "a [b"))}
	dir := filepath.Join(w.Home.Environment("shop", "production"), "backups")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		name := filepath.Join(dir, fmt.Sprintf("r%d.backup", i))
		for _, n := range []string{name, name + ".sha256"} {
			if err := os.WriteFile(n, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Unix(int64(1000-i), 0) // the clock was set back
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.pruneBackups(map[string]bool{"r2": true}); err != nil {
		t.Fatal(err)
	}
	left, err := newestFirst(dir)
	if err != nil || len(left) != keepBackups+1 || !slices.Contains(left, filepath.Join(dir, "r2.backup")) || !slices.Contains(left, filepath.Join(dir, "r11.backup")) || slices.Contains(left, filepath.Join(dir, "r6.backup")) {
		t.Errorf("left %v, %v", left, err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 2*keepBackups+2 {
		t.Errorf("backups and their checksums: %v, %v", all, err)
	}
}
