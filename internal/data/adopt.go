package data

import (
	"errors"
	"os"
	"path/filepath"
)

// Path is where a file of the snapshot lies until Complete, for an engine that writes its files itself.
func (f *Folder) Path(name string) string { return filepath.Join(f.part, name) }

// Adopt takes a file that an engine has written at Path into the snapshot, and makes it durable.
func (f *Folder) Adopt(name string) (err error) {
	file, err := os.Open(f.Path(name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := file.Sync(); err != nil {
		return fullDisk(f.dir, err)
	}
	size, sum, err := digest(f.Path(name))
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files = append(f.files, SnapshotFile{Name: name, Size: size, SHA256: sum})
	return nil
}
