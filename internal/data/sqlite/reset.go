package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"greenroom/internal/atomicfile"
	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// pristine is where the copy lies that Reset goes back to: beside the database, so that a file system that can clone does.
func (d *Database) pristine() string { return d.file + pristineSuffix }

// Keep copies the database with SQLite's online backup, since its file may be written to and have a log beside it. The
// copy is this system user's alone: the app can't change what it is reset to.
func (d *Database) Keep(ctx context.Context) (err error) {
	part := d.pristine() + partSuffix
	if err := errors.Join(atomicfile.Sweep(part), remove(beside(part)...)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(beside(part)...)) }()
	// SQLite would make it readable for all.
	if err := atomicfile.Write(part, nil, 0o600); err != nil {
		return err
	}
	if err := d.with(ctx, func(conn *sql.Conn) error { return copyTo(ctx, conn, part) }); err != nil {
		return fmt.Errorf("keep a pristine copy of %s: %w", d.file, err)
	}
	if err := syncFile(part); err != nil {
		return err
	}
	if err := os.Rename(part, d.pristine()); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(d.file))
}

// Reset clones the pristine copy into the database's place, or copies it where the file system can't clone. There are no
// sessions to end, as there is no server: a process that still has the database open goes on in the old file, which has no
// name any more.
func (d *Database) Reset(ctx context.Context) (how string, err error) {
	if _, err := os.Stat(d.pristine()); errors.Is(err, fs.ErrNotExist) {
		return "", problem.New(problem.NotFound, "there is no pristine copy of the database %s", d.file).
			WithHint("it is made when a snapshot was loaded; load one first")
	}
	err = d.replace(ctx, func(fresh string, perm fs.FileMode) (err error) {
		how, err = data.CloneFile(d.pristine(), fresh, perm)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reset the database %s: %w", d.file, err)
	}
	return how, nil
}

// syncFile makes a file's content durable.
func syncFile(name string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
