// Package examples holds the small shop, the app that the demo and a newcomer start with, and the releases of its
// story. The shop's base release is the folder shop; each later one is a patch upon the one before it, in the folder
// story: what a developer would have handed in, with the words that came with it.
package examples

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"greenroom/internal/atomicfile"
)

// A built bin/shop stays out: of bin only its .gitignore is named here.
//
//go:embed shop/*.go shop/*.md shop/*.yaml shop/Dockerfile shop/.dockerignore shop/bin/.gitignore
//go:embed shop/migrations shop/pages
//go:embed shop.mod shop.sum story/*.patch
var embedded embed.FS

// The releases of the story, in its order.
const (
	Base   = "v1"        // live when the story begins
	Broken = "v2-broken" // a discount in the cart that the payment does not know of: a customer's journey finds it
	Fixed  = "v2-fixed"  // the payment knows of it; brings a migration that only adds
	Slow   = "v3-slow"   // invoice numbers; its migration takes milliseconds in dev, and seconds of all orders at production's size
	Safe   = "v3-safe"   // the same, with a migration that nobody stands behind
	Doomed = "v4"        // passes everything, and fails once enough real customers have ordered
)

// Releases are the names of all releases, each built upon the one before it.
func Releases() []string { return []string{Base, Broken, Fixed, Slow, Safe, Doomed} }

// Materialise writes the shop's base release into dir, which is made, as a repository of its own with a go.mod.
func Materialise(dir string) error {
	module, err := module()
	if err != nil {
		return err
	}
	if err := write(dir, module); err != nil {
		return err
	}
	return Apply(dir, Base)
}

// Apply makes a materialised shop that release, whichever it was before. Files that only another release of the story
// has are removed; what is not of the story is left alone.
func Apply(dir, release string) error {
	want, err := files(release)
	if err != nil {
		return err
	}
	for _, other := range Releases() {
		has, err := files(other)
		if err != nil {
			return err
		}
		for name := range has {
			if _, keep := want[name]; keep {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				return fmt.Errorf("apply %s: %w", release, err)
			}
		}
	}
	return write(dir, want)
}

// Story is what was handed in with a release: a few words and the patch. It is "" for Base.
func Story(release string) (string, error) {
	if release == Base {
		return "", nil
	}
	if !slices.Contains(Releases(), release) {
		return "", unknown(release)
	}
	patch, err := embedded.ReadFile("story/" + release + ".patch")
	return string(patch), err
}

func unknown(release string) error {
	return fmt.Errorf("the story has no release %q, only %s", release, strings.Join(Releases(), ", "))
}

// files are a release's files by their path in the repository, with slashes.
func files(release string) (map[string]string, error) {
	last := slices.Index(Releases(), release)
	if last < 0 {
		return nil, unknown(release)
	}
	tree, err := base()
	if err != nil {
		return nil, err
	}
	for _, r := range Releases()[1 : last+1] {
		patch, err := Story(r)
		if err != nil {
			return nil, err
		}
		if err := applyPatch(tree, patch); err != nil {
			return nil, fmt.Errorf("story/%s.patch: %w", r, err)
		}
	}
	return tree, nil
}

func base() (map[string]string, error) {
	tree := map[string]string{}
	shop, err := fs.Sub(embedded, "shop")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(shop, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(shop, name)
		tree[name] = string(data)
		return err
	})
	return tree, err
}

// module is what makes the shop a module of its own. It can't lie in the shop's folder: a go.mod there would take the
// folder out of this module, and nothing outside a module can be embedded.
func module() (map[string]string, error) {
	mod, err := embedded.ReadFile("shop.mod")
	if err != nil {
		return nil, err
	}
	sum, err := embedded.ReadFile("shop.sum")
	return map[string]string{"go.mod": string(mod), "go.sum": string(sum)}, err
}

// write puts files into dir. Those that are as they should be are not touched, so that a build finds them unchanged.
func write(dir string, files map[string]string) error {
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if old, err := os.ReadFile(path); err == nil && string(old) == data {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write the shop: %w", err)
		}
		if err := atomicfile.Write(path, []byte(data), 0o644); err != nil {
			return fmt.Errorf("write the shop: %w", err)
		}
	}
	return nil
}
