package daemon

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/data/sqlite"
	"greenroom/internal/store"
)

// stateFormat is the version of the archives that this Greenroom writes and reads.
const stateFormat = 1

// stateHead is the first file of an archive of the state.
type stateHead struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of Greenroom
	Home    string    `json:"home"`    // the state folder that it is of
	At      time.Time `json:"at"`
}

// The names in an archive of the state, which are those in the state folder.
const (
	headName  = "greenroom-state.json"
	storeName = "greenroom.db"
	keysName  = "keys"
	endName   = "greenroom-state.end" // the last file, empty: an archive without it was cut off
	envsName  = "environments"
)

// StateBackup is api.Backend's: everything with which another machine can take over. The store comes first, so that all
// that it names is in what follows: blobs are never changed, none goes meanwhile, and those that came later do no harm.
func (d *Daemon) StateBackup(ctx context.Context) (io.ReadCloser, error) {
	dir, err := os.MkdirTemp(d.opts.Home.Uploads(), "state-")
	if err != nil {
		return nil, err
	}
	free := d.holdReleases() // what the copy of the store names is still to be read
	if err := d.copyStore(ctx, dir); err != nil {
		free()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	r, w := io.Pipe()
	go func() {
		defer free()
		err := d.writeState(ctx, tar.NewWriter(w), dir)
		w.CloseWithError(errors.Join(err, os.RemoveAll(dir)))
	}()
	return r, nil
}

// copyStore copies the store, and the keys that its log is in the hands of: once more where they were replaced meanwhile.
func (d *Daemon) copyStore(ctx context.Context, dir string) error {
	for {
		before := d.world.Ring.Signer().ID()
		if err := os.RemoveAll(filepath.Join(dir, keysName)); err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(dir, keysName), os.DirFS(d.opts.Home.Keys())); err != nil {
			return err
		}
		file := filepath.Join(dir, storeName)
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := d.world.Store.Backup(ctx, file); err != nil {
			return err
		}
		if d.world.Ring.Signer().ID() == before {
			return nil
		}
	}
}

func (d *Daemon) writeState(ctx context.Context, w *tar.Writer, dir string) error {
	head, err := json.Marshal(stateHead{Format: stateFormat, Version: d.opts.Version, Home: string(d.opts.Home), At: d.world.Now().UTC()})
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: headName, Mode: 0o600, Size: int64(len(head)), Format: tar.FormatPAX}); err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	if err := addFile(ctx, w, filepath.Join(dir, storeName), storeName); err != nil {
		return err
	}
	for _, folder := range []string{filepath.Join(dir, keysName), d.opts.Home.Secrets(), d.opts.Home.Artifacts()} {
		if err := addTree(ctx, w, folder, filepath.Base(folder), nil); err != nil {
			return err
		}
	}
	environments, err := d.world.Store.Environments(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range environments {
		if err := d.writeEnvironment(ctx, w, dir, e); err != nil {
			return fmt.Errorf("%s of %s: %w", e.Name, e.App, err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: endName, Mode: 0o600, Format: tar.FormatPAX}); err != nil {
		return err
	}
	return w.Close()
}

// writeEnvironment adds an environment's database, as a backup, and the files that its services keep.
func (d *Daemon) writeEnvironment(ctx context.Context, w *tar.Writer, dir string, record store.Environment) error {
	a, err := d.world.Store.App(ctx, record.App)
	if err != nil {
		return err
	}
	e, known := d.world.Open(a.Policy, record.Name)
	if !known || record.Live == "" {
		return nil
	}
	unlock := d.locks.Lock(e.App, e.Name) // one that is stopped must not be started meanwhile, nor be stopped again
	defer unlock()
	live, err := d.world.Release(ctx, record.Live)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "database.backup")
	copied, err := e.Copy(ctx, live, file)
	if err != nil {
		return err
	}
	at := path.Join(envsName, e.App, e.Name)
	if copied {
		if err := errors.Join(addFile(ctx, w, file, path.Join(at, filepath.Base(e.Arrival()))), os.Remove(file)); err != nil {
			return err
		}
	}
	if record.Want != store.Up {
		if err := e.StopAll(ctx); err != nil { // the server was started for the copy
			return err
		}
	}
	return addTree(ctx, w, e.Data(), path.Join(at, filepath.Base(e.Data())), func(name string) bool { return isDatabase(live.Contents, name) })
}

// isDatabase says whether a file is the SQLite database, which travels as a backup, or one that is there because of it.
func isDatabase(c app.Contents, name string) bool {
	return c.Database != nil && c.Database.File != "" && slices.Contains(sqlite.Files(filepath.Clean(c.Database.File)), name)
}

// addTree adds the files below a folder. Links are left out: what they lead to may be anything.
func addTree(ctx context.Context, w *tar.Writer, folder, as string, without func(name string) bool) error {
	return filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it went while we looked
		case err != nil:
			return err
		case !entry.Type().IsRegular():
			return nil
		}
		name, err := filepath.Rel(folder, file)
		if err != nil || without != nil && without(name) {
			return err
		}
		return addFile(ctx, w, file, path.Join(as, filepath.ToSlash(name)))
	})
}

// addFile adds a file as it is. One that grows meanwhile is cut at the length that it had, one that shrinks is an error.
func addFile(ctx context.Context, w *tar.Writer, file, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read from
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: info.ModTime().Truncate(time.Second), Format: tar.FormatPAX}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, info.Size())
	return err
}
