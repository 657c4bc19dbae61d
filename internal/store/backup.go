package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
)

// Backup writes a copy of the state file, as it is at one moment, into a new file of that name; work goes on meanwhile.
// The copy is opened as any state file is. The keys that belong to it are not in it.
func (s *Store) Backup(ctx context.Context, file string) error {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.Invalid, "%s is there already", file).WithHint("name another file")
	}
	half := file + ".new"
	if err := os.Remove(half); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explainFile(file, err)
	}
	err := s.copyTo(ctx, half)
	if err == nil {
		err = os.Rename(half, file)
	}
	if err != nil {
		return explainFile(file, errors.Join(err, os.RemoveAll(half)))
	}
	return explainFile(file, atomicfile.SyncDir(filepath.Dir(file)))
}

// copyTo makes a durable copy: SQLite does not wait for the disk when it copies.
func (s *Store) copyTo(ctx context.Context, file string) error {
	if err := atomicfile.Write(file, nil, 0o600); err != nil { // SQLite takes an empty file for a new one
		return err
	}
	db, err := connect("sqlite", s.file, 1, "")
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, file)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
