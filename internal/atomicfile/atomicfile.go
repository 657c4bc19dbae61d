// Package atomicfile is the one way to write a file: temporary, sync, close, rename, sync the folder. A reader sees the
// old file or the new one, whatever happens in between.
package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Write puts data into the file of that name with these permissions, whatever the umask.
func Write(name string, data []byte, perm fs.FileMode) error {
	return WriteFrom(name, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFrom is Write for content that a function produces. When the function fails, the file of that name is as it was.
func WriteFrom(name string, perm fs.FileMode, fill func(io.Writer) error) (err error) {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, temporary(name)+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(f.Name())))
		}
	}()
	err = errors.Join(fill(f), f.Chmod(perm), f.Sync())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	return SyncDir(dir)
}

// Sweep removes what writers of this file have left behind that were killed. It is harmless and hidden, but lasts. Only
// the file's one writer may sweep, when it begins: the temporary file of another would go too.
func Sweep(name string) error {
	dir := filepath.Dir(name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary(name)) {
			err = errors.Join(err, ignoreMissing(os.Remove(filepath.Join(dir, e.Name()))))
		}
	}
	return err
}

// temporary is how the names of a file's temporary files begin.
func temporary(name string) string { return "." + filepath.Base(name) + ".tmp-" }

// SyncDir makes the names in a folder durable: what was renamed into it or removed from it.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
