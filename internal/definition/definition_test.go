package definition_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/app"
	"greenroom/internal/definition"
	"greenroom/internal/problem"
)

var update = flag.Bool("update", false, "write what Load says now into testdata")

// environment is the caller's environment in all tests.
func environment(name string) (string, bool) {
	v, ok := map[string]string{"TAG": "v7", "HOME": "/home/me"}[name]
	return v, ok
}

func load(t testing.TB, dir string) (app.App, []definition.Notice, error) {
	t.Helper()
	return definition.Load(context.Background(), dir, definition.Options{Lookup: environment})
}

func cases(t *testing.T, pattern string) []string {
	t.Helper()
	dirs, err := filepath.Glob(pattern)
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases in %s: %v", pattern, err)
	}
	return dirs
}

func pin(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func said(notices []definition.Notice) string {
	var b strings.Builder
	for _, n := range notices {
		b.WriteString("notice: " + n.String() + "\n")
	}
	return b.String()
}

// TestBad pins every message about a definition that can't be used.
func TestBad(t *testing.T) {
	for _, dir := range cases(t, "testdata/bad/*") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			_, notices, err := load(t, dir)
			if err == nil {
				t.Fatalf("no fault; notices:\n%s", said(notices))
			}
			var faults *definition.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("error is %T: %v", err, err)
			}
			if code := problem.ExitCode(err); code != 2 || problem.From(err).Code != problem.Invalid {
				t.Errorf("exit code %d, problem %+v", code, problem.From(err))
			}
			pin(t, filepath.Join(dir, "want.txt"), err.Error()+"\n")
		})
	}
}

// TestGood pins what definitions mean, and what is said about attributes that are not honoured.
func TestGood(t *testing.T) {
	for _, dir := range cases(t, "testdata/good/*") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			a, notices, err := load(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			type build struct {
				app.App
				Builds map[string]*app.Build      `json:"builds,omitempty"`
				Images map[string]*app.ImageBuild `json:"images,omitempty"`
				Pulls  map[string]app.Pull        `json:"pulls,omitempty"`
			}
			out := build{a, map[string]*app.Build{}, map[string]*app.ImageBuild{}, map[string]app.Pull{}}
			for _, s := range a.Contents.Services {
				if c := s.Container; c != nil && c.Build != nil {
					out.Images[s.Name] = c.Build
				}
				if c := s.Container; c != nil && c.Pull != "" {
					out.Pulls[s.Name] = c.Pull
				}
				if s.Build != nil {
					out.Builds[s.Name] = s.Build
				}
			}
			b, err := json.MarshalIndent(out, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			pin(t, filepath.Join(dir, "want.json"), string(b)+"\n")
			pin(t, filepath.Join(dir, "notices.txt"), said(notices))
		})
	}
}
