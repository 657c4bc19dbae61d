package environment

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"greenroom/internal/data"
	"greenroom/internal/release"
)

// Arrival is the backup with which the environment's database comes from another machine.
func (e *Environment) Arrival() string { return filepath.Join(e.Folder(), "arrival.backup") }

// arrive makes a database that came from another machine what its backup holds, before anybody uses it. The backup goes
// when that is done: after a kill it is done again.
func (e *Environment) arrive(ctx context.Context, db data.Database) error {
	e.world.arriving.Lock()
	defer e.world.arriving.Unlock()
	file := e.Arrival()
	if _, err := os.Stat(file); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := db.Restore(ctx, file); err != nil {
		return err
	}
	return os.Remove(file)
}

// Copy writes a copy of the environment's database to a file, whether the environment is up or not, and whether there is
// one.
func (e *Environment) Copy(ctx context.Context, r release.Release, file string) (bool, error) {
	if r.Contents.Database == nil || e.givenDatabase(r.Contents.Database) {
		return false, nil
	}
	db, err := e.Database(ctx, r)
	if err != nil {
		return false, err
	}
	_, err = db.Backup(ctx, file)
	return err == nil, err
}
