package definition_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"greenroom/internal/definition"
	"greenroom/internal/problem"
)

// FuzzLoad: whatever the files hold, Load returns an app or faults that a person can be told, and never panics.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*", "testdata/good/*"} {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, dir := range dirs {
			green, _ := os.ReadFile(filepath.Join(dir, definition.FileName))
			compose, _ := os.ReadFile(filepath.Join(dir, "compose.yaml"))
			f.Add(green, compose)
		}
	}
	f.Fuzz(func(t *testing.T, green, compose []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{definition.FileName: green, "compose.yaml": compose} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, notices, err := load(t, dir)
		for _, n := range notices {
			if n.What == "" || n.File == "" {
				t.Errorf("notice without words: %+v", n)
			}
		}
		if err == nil {
			return
		}
		var faults *definition.Faults
		if !errors.As(err, &faults) || problem.ExitCode(err) != 2 {
			t.Fatalf("%T, exit code %d: %v", err, problem.ExitCode(err), err)
		}
		for _, x := range faults.List {
			if x.What == "" || x.File == "" {
				t.Errorf("fault without words: %+v", x)
			}
		}
	})
}
