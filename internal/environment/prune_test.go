package environment

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"greenroom/internal/home"
)

func TestPruneBackups(t *testing.T) {
	w := &World{Home: home.Home(t.TempDir())}
	dir := filepath.Join(w.Home.Environment("shop", "production"), "backups")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		name := filepath.Join(dir, fmt.Sprintf("r%d.backup", i))
		for _, n := range []string{name, name + ".sha256"} {
			if err := os.WriteFile(n, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.pruneBackups(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.backup"))
	if err != nil || len(left) != keepBackups || filepath.Base(left[0]) != "r3.backup" {
		t.Errorf("left %v, %v", left, err)
	}
	if sums, _ := filepath.Glob(filepath.Join(dir, "*.sha256")); len(sums) != keepBackups {
		t.Errorf("checksums left %v", sums)
	}
}
