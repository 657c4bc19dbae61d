package examples

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// materialised writes a release into a folder of its own.
func materialised(t *testing.T, release string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if err := Materialise(dir); err != nil {
		t.Fatal(err)
	}
	if err := Apply(dir, release); err != nil {
		t.Fatal(err)
	}
	return dir
}

// goTool runs the go command in the shop as on a machine without a network: what go.mod and go.sum lack is an error.
func goTool(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	// As everything else that tests build, so that nothing is compiled twice, and what a release did not change not again.
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly -trimpath -buildvcs=false", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestEveryReleaseIsGreenInARepositoryOfItsOwn(t *testing.T) {
	for _, release := range Releases() {
		t.Run(release, func(t *testing.T) {
			dir := materialised(t, release)
			goTool(t, dir, "vet", "./...")
			goTool(t, dir, "test", "-vet=off", "./...")
			out, err := exec.Command("gofmt", "-l", dir).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("gofmt: %v, not formatted: %s", err, out)
			}
		})
	}
}

func TestApplyForwardAndBack(t *testing.T) {
	dir := materialised(t, Base)
	before := tree(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, release := range []string{Doomed, Broken, Fixed, Fixed, Base} {
		if err := Apply(dir, release); err != nil {
			t.Fatal(err)
		}
	}
	after := tree(t, dir)
	if after["notes.txt"] != "mine" {
		t.Error("a file that is not of the story is gone")
	}
	delete(after, "notes.txt")
	if !maps.Equal(before, after) {
		t.Errorf("after going forward and back there are %v, before %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
	if err := Apply(dir, "v9"); err == nil || !strings.Contains(err.Error(), `no release "v9"`) {
		t.Errorf("an unknown release gives %v", err)
	}
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestStoryHasWordsBeforeEachPatch(t *testing.T) {
	for _, release := range Releases()[1:] {
		story, err := Story(release)
		if words, _, _ := strings.Cut(story, "diff --git "); err != nil || len(words) < 100 {
			t.Errorf("%s says %q, %v", release, words, err)
		}
	}
}

// required finds the modules that a go.mod asks for.
var required = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`)

func TestTheShopsModuleIsInStepWithOurs(t *testing.T) {
	ours, shops := read(t, "../go.mod"), read(t, "shop.mod")
	for _, m := range required.FindAllStringSubmatch(shops, -1) {
		if line := m[1] + " " + m[2]; !strings.Contains(ours, "\t"+line+"\n") && !strings.Contains(ours, "\t"+line+" // indirect") {
			t.Errorf("shop.mod asks for %s, go.mod does not", line)
		}
	}
	version := regexp.MustCompile(`(?m)^go \S+$`)
	if a, b := version.FindString(shops), version.FindString(ours); a != b {
		t.Errorf("shop.mod says %q, go.mod %q", a, b)
	}
	sums := read(t, "../go.sum")
	for _, line := range lines(read(t, "shop.sum")) {
		if !strings.Contains(sums, line) {
			t.Errorf("shop.sum has %q, go.sum does not", line)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
