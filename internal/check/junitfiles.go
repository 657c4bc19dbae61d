package check

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// maxFiles bounds how many report files one check has.
const maxFiles = 10_000

// junitSource reads the JUnit XML files that a check writes. It looks for them through os.Root and reads only regular
// files: the command may run as another user, and a symlink of its making must not have us read what it can't.
type junitSource struct {
	output  io.Writer
	dir     string
	pattern string
	report  report
	before  map[string]fs.FileInfo // what was there when the command started
}

func (j *junitSource) stdout() io.Writer { return j.output }

// prepare remembers the reports of earlier runs, which may have come along with the release: they don't count. They are
// not removed, since the folder may be a person's repository, or not to be written to.
func (j *junitSource) prepare() error {
	if !filepath.IsLocal(j.pattern) {
		return fmt.Errorf("its report %q leads out of the folder in which it runs", j.pattern)
	}
	root, err := os.OpenRoot(j.dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing was written
	names, err := j.find(root)
	if err != nil {
		return err
	}
	j.before = map[string]fs.FileInfo{}
	for _, name := range names {
		if j.before[name], err = root.Stat(name); err != nil {
			delete(j.before, name) // a symlink to nowhere, so far
		}
	}
	return nil
}

// find lists what the pattern matches, sorted.
func (j *junitSource) find(root *os.Root) ([]string, error) {
	names, err := fs.Glob(root.FS(), filepath.ToSlash(filepath.Clean(j.pattern)))
	if err != nil {
		return nil, fmt.Errorf("its report %q is not a pattern", j.pattern)
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("it has more than %d report files", maxFiles)
	}
	slices.Sort(names)
	return names, nil
}

// read reads the reports that the command has written.
func (j *junitSource) read() (report, error) {
	root, err := os.OpenRoot(j.dir)
	if err != nil {
		return j.report, err
	}
	defer root.Close() //nolint:errcheck // nothing was written
	names, err := j.find(root)
	if err != nil {
		return j.report, err
	}
	fresh := false
	for _, name := range names {
		read, fileErr := j.readFile(root, name)
		if fileErr != nil && err == nil {
			err = fmt.Errorf("its report %s %w", name, fileErr)
		}
		fresh = fresh || read
	}
	if !fresh && err == nil {
		err = fmt.Errorf("it did not write its report %s", j.pattern)
	}
	return j.report, err
}

// readFile adds one file to the report, unless it is older than the run.
func (j *junitSource) readFile(root *os.Root, name string) (read bool, err error) {
	// O_NONBLOCK: opening a named pipe must not wait for somebody who writes to it.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false, fmt.Errorf("can't be read: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("can't be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return false, errors.New("is not a file")
	}
	old := j.before[name]
	if old != nil && os.SameFile(old, info) && old.ModTime().Equal(info.ModTime()) && old.Size() == info.Size() {
		return false, nil
	}
	return true, readJUnit(f, maxReport, &j.report)
}
