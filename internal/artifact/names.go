package artifact

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// maxEntries bounds how many files one artifact has: the largest node_modules have some 200,000.
const maxEntries = 1 << 20

// tree collects the names of one artifact and refuses what could not be laid out in a folder, or would leave it. Names
// are added in rising order of their bytes; case and Unicode forms are kept as they are.
type tree struct {
	last  string
	kinds map[string]kind // every name, and the folders above them
}

type kind byte

const (
	folder kind = iota + 1
	file
	symlink
)

// newTree is an empty tree: only its root.
func newTree() *tree { return &tree{kinds: map[string]kind{".": folder}} }

// add takes the next name. The folders above it come by themselves.
func (t *tree) add(name string, k kind) error {
	switch {
	case !local(name):
		return fmt.Errorf("%q is not a path inside the artifact", name)
	case name <= t.last:
		return fmt.Errorf("%q is there twice or out of order", name)
	case len(t.kinds) >= maxEntries:
		return fmt.Errorf("more than %d files", maxEntries)
	}
	// In the order of bytes "a" comes before "a.b" and "a/c": what claims to be beneath a file comes after it.
	above := path.Dir(name)
	for t.kinds[above] == 0 {
		above = path.Dir(above)
	}
	if t.kinds[above] != folder {
		return fmt.Errorf("%q lies beneath %q, which is no folder", name, above)
	}
	for dir := path.Dir(name); dir != above; dir = path.Dir(dir) {
		t.kinds[dir] = folder
	}
	t.kinds[name], t.last = k, name
	return nil
}

// local says whether name is a clean, relative path that stays below its root.
func local(name string) bool {
	return name != "." && path.Clean(name) == name && filepath.IsLocal(name) && !strings.ContainsRune(name, 0)
}

// checkLink says whether a symlink of that name may point to target: relative, and nowhere on its way above the root.
// That ".." comes only at the beginning is no pedantry: behind the name of another symlink it leads to where that one
// points to, which its text does not tell. The folders of name itself are real ones, tree sees to that.
func checkLink(name, target string) error {
	if target == "" || path.IsAbs(target) || strings.ContainsRune(target, 0) {
		return fmt.Errorf("the symlink %q points to %q, which is not a relative path", name, target)
	}
	depth, down := strings.Count(name, "/"), false
	for _, part := range strings.Split(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || down {
				return fmt.Errorf("the symlink %q points to %q, which leads out of its folder", name, target)
			}
		default:
			down = true
		}
	}
	return nil
}
