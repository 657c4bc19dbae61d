package definition_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/definition"
	"greenroom/internal/problem"
)

// TestInit drafts a definition for each repository, makes the additions as they are told, and loads the result.
func TestInit(t *testing.T) {
	for _, dir := range cases(t, "testdata/init/*") {
		if strings.HasSuffix(dir, ".txt") {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			repo := t.TempDir()
			if err := os.CopyFS(repo, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			draft, err := definition.Init(context.Background(), repo, engineOf(dir))
			if err != nil {
				t.Fatal(err)
			}
			if answers := engineOf(dir)(context.Background()); draft.NoEngine == answers { // each has an image or a build
				t.Errorf("NoEngine is %t where an Engine answers: %t", draft.NoEngine, answers)
			}
			changed := apply(t, repo, draft.Findings)
			if err := os.WriteFile(filepath.Join(repo, definition.FileName), []byte(draft.GreenroomYAML), 0o644); err != nil {
				t.Fatal(err)
			}
			a, notices, err := load(t, repo)
			if err != nil {
				t.Errorf("the draft with its additions does not load:\n%v", err)
			}
			if _, ok := a.Contents.Public(); err == nil && !ok {
				t.Error("no service is public")
			}
			lines := changed + significant(draft.GreenroomYAML)
			if lines > 15 && filepath.Base(dir) == "web-and-postgres" {
				t.Errorf("the difference to the repository is %d lines, more than fifteen", lines)
			}
			pin(t, dir+".txt", told(draft)+fmt.Sprintf("--- lines of difference: %d\n", lines)+said(notices))
		})
	}
}

// engineOf answers where the name of the case says that there is an Engine.
func engineOf(dir string) func(context.Context) bool {
	return func(context.Context) bool { return strings.HasPrefix(filepath.Base(dir), "docker-") }
}

func told(d definition.Draft) string {
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "%s:%d: %s %s: %s\n", f.File, f.Line, f.Service, f.Status, f.Why)
		if f.Add != "" {
			verb := "below"
			if f.Replaces {
				verb = "instead"
			}
			fmt.Fprintf(&b, "%s:\n%s\n", verb, f.Add)
		}
	}
	return b.String() + "--- " + definition.FileName + "\n" + d.GreenroomYAML
}

// apply makes the additions from the last line to the first, so that the lines above stay where they are, and returns
// how many lines they are.
func apply(t *testing.T, repo string, findings []definition.Finding) int {
	t.Helper()
	findings = slices.Clone(findings)
	slices.SortStableFunc(findings, func(a, b definition.Finding) int { return cmp.Compare(b.Line, a.Line) })
	n := 0
	for _, f := range findings {
		if f.Add == "" {
			continue
		}
		file := filepath.Join(repo, f.File)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(b), "\n")
		add := strings.Split(f.Add, "\n")
		from := f.Line
		if f.Replaces {
			from--
		}
		lines = slices.Replace(lines, from, f.Line, add...)
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		n += len(add)
	}
	return n
}

// significant counts the lines that are neither empty nor a comment.
func significant(yaml string) int {
	n := 0
	for _, line := range strings.Split(yaml, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			n++
		}
	}
	return n
}

func TestInitWithoutCompose(t *testing.T) {
	dir := t.TempDir()
	if _, err := definition.Init(context.Background(), dir, nil); problem.From(err).Code != problem.NotFound {
		t.Errorf("without a Compose file: %v", err)
	}
}

func TestLoadWithoutDefinition(t *testing.T) {
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), definition.FileName)} {
		_, _, err := load(t, path)
		p := problem.From(err)
		if p == nil || p.Code != problem.NotFound || !strings.Contains(p.Hint, "greenroom init") {
			t.Errorf("Load(%s) = %+v", path, p)
		}
	}
}
