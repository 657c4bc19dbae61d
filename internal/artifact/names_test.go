package artifact

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPatterns(t *testing.T) {
	cases := []struct {
		pattern, matches, others string
	}{
		{"a", "a a/b a/b/c", "b ab b/a"},
		{"/a/", "a a/b", "b/a"},
		{"*.md", "x.md .md x.md/y", "a/x.md xmd"},
		{"*/*.md", "a/x.md", "x.md a/b/x.md"},
		{"**/*.md", "x.md a/x.md a/b/x.md", "xmd"},
		{"a/**", "a/b a/b/c", "b"},
		{"**", "a a/b", ""},
		{"a/**/z", "a/z a/b/z a/b/c/z a/z/y", "az b/a/z"},
		{"a?c", "abc a.c", "ac a/c abbc"},
		{"[a-c]x", "ax cx", "dx x"},
		{"[!a-c]x", "dx", "ax"},
		{`\*x`, "*x", "ax"},
		{"a.b", "a.b", "axb"},
		{"a+(b)$", "a+(b)$", "aab"},
		{"./a/../b", "b", "a"},
		{".", "", ""},
	}
	for _, c := range cases {
		p, err := compile(c.pattern)
		must(t, err)
		for _, name := range strings.Fields(c.matches) {
			if !p.match(name) {
				t.Errorf("%q does not match %q", c.pattern, name)
			}
		}
		for _, name := range strings.Fields(c.others) {
			if p.match(name) {
				t.Errorf("%q matches %q", c.pattern, name)
			}
		}
	}
}

// Whatever symlinks an artifact may have, following them never leaves its folder.
func TestSymlinksStayInside(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "c", "..", ".."})
	target := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "target"), "/") })
	name := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3).Draw(t, "name"), "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		parent, err := os.MkdirTemp("", "greenroom-links-*")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := os.RemoveAll(parent); err != nil {
				t.Fatal(err)
			}
		}()
		dir := filepath.Join(parent, "inside")
		names := rapid.SliceOfNDistinct(name, 1, 8, rapid.ID).Draw(t, "names")
		slices.Sort(names)
		tree := newTree()
		var links []string
		for _, n := range names {
			to := target.Draw(t, "to")
			if checkLink(n, to) != nil || tree.add(n, symlink) != nil {
				continue
			}
			file := filepath.Join(dir, n)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(to, file); err != nil {
				t.Fatal(err)
			}
			links = append(links, file)
		}
		for _, l := range links {
			real, err := filepath.EvalSymlinks(l)
			if err != nil { // to nothing, or round in a circle
				continue
			}
			if real != dir && !strings.HasPrefix(real, dir+"/") {
				target, _ := os.Readlink(l)
				t.Fatalf("%s -> %s leads to %s", l, target, real)
			}
		}
	})
}
