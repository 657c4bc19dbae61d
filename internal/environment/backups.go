package environment

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"greenroom/internal/atomicfile"
	"greenroom/internal/data"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Backup is a raw copy of an environment's database, which never leaves it, and what was known when it was taken.
type Backup struct {
	ID          string         `json:"id"` // of the run that it was taken for; manual ones begin with a b
	Environment string         `json:"environment"`
	Release     release.Digest `json:"release"`           // that was live
	Schema      string         `json:"schema"`            // fingerprint
	Taken       time.Time      `json:"taken"`             // when it was begun: what was written later is not in it
	Copy        data.Backup    `json:"copy"`              // the file
	Verified    time.Time      `json:"verified,omitzero"` // when it was last restored and counted
	// Written is what the server had counted of each table by then; nil where it counts nothing.
	Written map[string]data.Written `json:"written,omitempty"`
	Damaged string                  `json:"-"` // why it can't be used; "" for nothing that shows without reading it
}

// BackupFile is where the backup of that id lies.
func (e *Environment) BackupFile(id string) string {
	return filepath.Join(e.Folder(), "backups", id+backupSuffix)
}

const backupSuffix = ".backup"

// infoFile is beside a backup's file and says what it is of.
func infoFile(backup string) string { return strings.TrimSuffix(backup, backupSuffix) + ".json" }

// Backup copies the database into the environment's backups, under that id: a run's, for one. One that was interrupted is
// made anew.
func (e *Environment) Backup(ctx context.Context, r release.Release, id string) (data.Backup, error) {
	db, err := e.Database(ctx, r)
	if err != nil || db == nil {
		return data.Backup{}, err
	}
	file := e.BackupFile(id)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return data.Backup{}, err
	}
	b := Backup{ID: id, Environment: e.Name, Release: r.Digest(), Taken: e.world.Now()}
	if b.Schema, err = db.Fingerprint(ctx); err != nil {
		return data.Backup{}, err
	}
	if b.Written, err = written(ctx, db); err != nil {
		return data.Backup{}, err
	}
	if b.Copy, err = db.Backup(ctx, file); err != nil {
		return data.Backup{}, err
	}
	return b.Copy, b.note(file)
}

// note writes down what is known of a backup.
func (b Backup) note(file string) error {
	raw, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return atomicfile.Write(infoFile(file), raw, 0o600)
}

func written(ctx context.Context, db data.Database) (map[string]data.Written, error) {
	c, ok := db.(data.Counter)
	if !ok {
		return nil, nil
	}
	return c.Written(ctx)
}

// Backups lists the environment's backups, the newest first.
func (e *Environment) Backups() ([]Backup, error) {
	files, err := fs.Glob(os.DirFS(e.Folder()), "backups/*"+backupSuffix)
	if err != nil {
		return nil, err
	}
	all := make([]Backup, 0, len(files))
	for _, f := range files {
		b, err := e.BackupOf(strings.TrimSuffix(filepath.Base(f), backupSuffix))
		if p := problem.From(err); p != nil && p.Code == problem.NotFound {
			continue // somebody removed it just now
		} else if err != nil { // it hides none of the others
			b.Damaged = p.Message
		}
		all = append(all, b)
	}
	slices.SortStableFunc(all, func(a, b Backup) int { return b.Taken.Compare(a.Taken) })
	return all, nil
}

// BackupOf is the backup of that id, or NotFound. Of one that an earlier Greenroom took, only the file is known.
func (e *Environment) BackupOf(id string) (Backup, error) {
	b := Backup{ID: id, Environment: e.Name}
	none := problem.New(problem.NotFound, "%s has no backup %q", e.Name, id).WithHint("greenroom backup list")
	if id == "" || !filepath.IsLocal(id) || filepath.Base(id) != id {
		return b, none
	}
	file := e.BackupFile(id)
	stat, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return b, none
	}
	if err != nil {
		return b, err
	}
	b.Taken, b.Copy = stat.ModTime(), data.Backup{File: file, Size: stat.Size()}
	raw, err := os.ReadFile(infoFile(file))
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	known := b
	if err := json.Unmarshal(raw, &known); err != nil {
		return b, problem.New(problem.Unavailable, "what is known of the backup %s can't be read: %w", id, err).
			WithHint("greenroom backup rm %s; or restore the file %s by hand", id, file)
	}
	b = known
	b.ID, b.Environment = id, e.Name
	b.Copy.File = file // the state folder may have moved
	return b, nil
}

// RemoveBackup removes one, also one of which nothing can be read.
func (e *Environment) RemoveBackup(id string) error {
	b, err := e.BackupOf(id)
	if b.Copy.File == "" {
		return err
	}
	return removeBackup(b.Copy.File)
}

func removeBackup(file string) error {
	return errors.Join(os.Remove(file), removeIfThere(file+".sha256"), removeIfThere(infoFile(file)))
}

// VerifyBackup restores a backup into a database that is thrown away afterwards, and notes that it could be.
func (e *Environment) VerifyBackup(ctx context.Context, r release.Release, id string) (Backup, error) {
	b, err := e.BackupOf(id)
	if err != nil {
		return b, err
	}
	db, err := e.Database(ctx, r)
	if err != nil {
		return b, err
	}
	v, ok := db.(data.Verifier)
	if !ok {
		return b, problem.New(problem.Invalid, "%s has no database whose backups could be tried", e.Name)
	}
	schema, err := v.Verify(ctx, b.Copy.File)
	if err != nil {
		return b, err
	}
	if b.Schema != "" && schema != b.Schema {
		return b, data.Damaged(b.Copy.File, "its schema is not the one that the database had when it was taken")
	}
	b.Verified = e.world.Now()
	return b, b.note(b.Copy.File)
}

// Restore makes the database what a backup holds.
func (e *Environment) Restore(ctx context.Context, r release.Release, file string) error {
	db, err := e.Database(ctx, r)
	if err != nil {
		return err
	}
	return db.Restore(ctx, file)
}

// Since is what was written to each table since a backup was taken; ok is false where nobody counted, or the counting
// began anew.
func (e *Environment) Since(ctx context.Context, r release.Release, b Backup) (since map[string]data.Written, ok bool, err error) {
	db, err := e.Database(ctx, r)
	if err != nil || b.Written == nil {
		return nil, false, err
	}
	now, err := written(ctx, db)
	if err != nil || now == nil {
		return nil, false, err
	}
	since = map[string]data.Written{}
	for table, n := range now {
		was := b.Written[table]
		d := data.Written{Inserted: n.Inserted - was.Inserted, Updated: n.Updated - was.Updated, Deleted: n.Deleted - was.Deleted}
		if d.Inserted < 0 || d.Updated < 0 || d.Deleted < 0 {
			return nil, false, nil
		}
		if d != (data.Written{}) {
			since[table] = d
		}
	}
	return since, true, nil
}
