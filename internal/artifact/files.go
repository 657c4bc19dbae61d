package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ignoreFiles say what of a folder does not travel; the first that exists counts.
var ignoreFiles = []string{".greenroomignore", ".dockerignore"}

// selection says which files of a folder travel.
type selection struct {
	names []string // files, folders and globs; empty: everything that the ignore file does not hide
	state string   // Greenroom's own folder, which never travels; absolute, may be empty
}

// missingError says that something named in the definition's files is not there.
type missingError struct{ name, why string }

func (e missingError) Error() string { return fmt.Sprintf("%q %s", e.name, e.why) }

// list gives the selected files and symlinks below root, sorted by their bytes, each once. Folders are not listed: like
// git, an artifact knows them by what is in them, so an empty one that a checkout happens to have changes nothing.
func (s selection) list(root *os.Root) ([]string, error) {
	l := lister{root: root, found: map[string]bool{}}
	if s.state != "" {
		if rel, err := filepath.Rel(root.Name(), s.state); err == nil && filepath.IsLocal(rel) {
			l.never = filepath.ToSlash(rel)
		}
	}
	var err error
	if len(s.names) == 0 {
		err = l.everything()
	}
	for _, name := range s.names {
		err = errors.Join(err, l.named(name))
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(l.found))
	for name := range l.found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// lister collects names below a root.
type lister struct {
	root  *os.Root
	never string
	found map[string]bool
}

// everything adds all that the ignore file does not hide.
func (l *lister) everything() error {
	ignore, err := readIgnore(l.root)
	if err != nil {
		return err
	}
	prune := ignore.prunable()
	return l.walk(".", func(name string, dir bool) bool {
		hidden := ignore.hide(name)
		if !hidden && !dir {
			l.found[name] = true
		}
		return !hidden || !prune
	})
}

// named adds what one entry of the definition's files stands for.
func (l *lister) named(name string) error {
	clean := path.Clean(filepath.ToSlash(name))
	if !filepath.IsLocal(clean) {
		return missingError{name, "leads out of the folder"}
	}
	info, err := l.root.Lstat(clean)
	found := 0
	switch {
	case err == nil && info.IsDir():
		found, err = l.matching(clean, func(string) bool { return true })
	case err == nil:
		l.found[clean], found = true, 1
	case errors.Is(err, fs.ErrNotExist) && isGlob(clean):
		found, err = l.glob(clean)
	case errors.Is(err, fs.ErrNotExist):
		return missingError{name, "does not exist"}
	}
	if err == nil && found == 0 {
		return missingError{name, "stands for no file"}
	}
	return err
}

// glob adds what a pattern matches, looking only below the folder that it names without any wildcard.
func (l *lister) glob(glob string) (int, error) {
	p, err := compile(glob)
	if err != nil {
		return 0, missingError{glob, "is not a pattern"}
	}
	start := path.Dir(glob)
	for isGlob(start) {
		start = path.Dir(start)
	}
	if _, err := l.root.Lstat(start); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return l.matching(start, p.match)
}

// matching adds the files below dir that match, and says how many those are.
func (l *lister) matching(dir string, match func(name string) bool) (int, error) {
	found := 0
	err := l.walk(dir, func(name string, dir bool) bool {
		if !dir && match(name) {
			l.found[name] = true
			found++
		}
		return true
	})
	return found, err
}

// walk visits all that is below dir but not what never travels; visit says whether to go into a folder. It does not use
// fs.WalkDir, which refuses names that are not UTF-8.
func (l *lister) walk(dir string, visit func(name string, dir bool) bool) error {
	entries, err := readDir(l.root, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.Name() == ".git" || name == l.never {
			continue
		}
		if visit(name, e.IsDir()) && e.IsDir() {
			if err := l.walk(name, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// readDir lists a folder below root.
func readDir(root *os.Root, dir string) ([]fs.DirEntry, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	return entries, errors.Join(err, f.Close())
}

// readIgnore reads the ignore file of a folder, if it has one.
func readIgnore(root *os.Root) (patterns, error) {
	for _, name := range ignoreFiles {
		b, err := root.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ps, err := parsePatterns(b)
		if err != nil {
			return nil, fmt.Errorf("%s, %w", name, err)
		}
		return ps, nil
	}
	return nil, nil
}

// subfolder opens a folder below root by its path in the definition.
func subfolder(root *os.Root, name string) (*os.Root, error) {
	clean := path.Clean(filepath.ToSlash(strings.TrimSpace(name)))
	if name == "" {
		clean = "."
	}
	if !filepath.IsLocal(clean) {
		return nil, missingError{name, "leads out of the repository"}
	}
	sub, err := root.OpenRoot(clean)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missingError{name, "does not exist"}
	}
	return sub, err
}
