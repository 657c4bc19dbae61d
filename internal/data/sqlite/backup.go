package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"modernc.org/sqlite"

	"greenroom/internal/atomicfile"
	"greenroom/internal/data"
)

// pages is how much is copied between two looks at the context: 16 MB of pages of the usual size.
const pages = 4096

// What the names of this package's own files end with.
const (
	partSuffix     = ".partial"
	restoreSuffix  = ".restore"
	pristineSuffix = ".pristine"
)

// Backup copies the database with SQLite's online backup, which is one moment: with a write-ahead log writers go on
// meanwhile, without one they wait. The copy passes SQLite's integrity check before it gets its name.
func (d *Database) Backup(ctx context.Context, file string) (b data.Backup, err error) {
	started := time.Now()
	part := file + partSuffix
	if err := errors.Join(atomicfile.Sweep(part), remove(beside(part)...)); err != nil {
		return data.Backup{}, err
	}
	defer func() { err = errors.Join(err, remove(beside(part)...)) }()
	// SQLite would make it readable for all.
	if err := atomicfile.Write(part, nil, 0o600); err != nil {
		return data.Backup{}, err
	}
	err = d.with(ctx, func(conn *sql.Conn) error { return copyTo(ctx, conn, part) })
	if err != nil {
		return data.Backup{}, fmt.Errorf("back up the database %s: %w", d.file, err)
	}
	if err := sound(ctx, part); err != nil {
		return data.Backup{}, err
	}
	return data.Complete(part, file, started)
}

// copyTo copies the connection's database into a file. The transaction around it holds the moment: without one the copy
// would start over at each write of another process, and might never end.
func copyTo(ctx context.Context, conn *sql.Conn, file string) error {
	return inMoment(ctx, conn, func() error {
		return conn.Raw(func(driver any) error {
			backup, err := driver.(interface {
				NewBackup(address string) (*sqlite.Backup, error)
			}).NewBackup(address(file, url.Values{}))
			if err != nil {
				return err
			}
			for more := true; more && err == nil; {
				if err = ctx.Err(); err == nil {
					more, err = backup.Step(pages)
				}
			}
			return errors.Join(err, backup.Finish())
		})
	})
}

// Restore replaces the file with the backup's content, atomically, and keeps its owner and permissions. Nothing may have
// the database open: a process that has goes on in the old file, which has no name any more.
func (d *Database) Restore(ctx context.Context, file string) (err error) {
	if err := data.Intact(file); err != nil {
		return err
	}
	if err := sound(ctx, file); err != nil {
		return err
	}
	return d.replace(ctx, func(fresh string, perm fs.FileMode) error { return copyFile(file, fresh, perm) })
}

// replace puts a file that fill makes in the database's place, with its owner and permissions.
func (d *Database) replace(ctx context.Context, fill func(fresh string, perm fs.FileMode) error) (err error) {
	uid, gid, perm, err := d.owner()
	if err != nil {
		return err
	}
	fresh := d.file + restoreSuffix
	if err := errors.Join(atomicfile.Sweep(fresh), remove(beside(fresh)...)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(beside(fresh)...)) }()
	if err := fill(fresh, perm); err != nil {
		return err
	}
	if err := os.Lchown(fresh, uid, gid); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// The old file's logs go first. SQLite would play one that it found beside the new file into it and ruin it; without
	// them the old file may be ruined, and is about to be replaced, by the next restore if this one is cut off here.
	if err := remove(beside(d.file)[1:]...); err != nil {
		return err
	}
	if err := os.Rename(fresh, d.file); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(d.file))
}

// owner is whose the file is: its folder's owner's where there is none yet.
func (d *Database) owner() (uid, gid int, perm fs.FileMode, err error) {
	info, err := os.Stat(d.file)
	perm = 0o600
	switch {
	case err == nil:
		perm = info.Mode().Perm()
	case errors.Is(err, fs.ErrNotExist):
		if info, err = os.Stat(filepath.Dir(d.file)); err != nil {
			return 0, 0, 0, err
		}
	default:
		return 0, 0, 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return os.Getuid(), os.Getgid(), perm, nil
	}
	return int(st.Uid), int(st.Gid), perm, nil
}

// sound runs SQLite's integrity check on a file that nobody writes to.
func sound(ctx context.Context, file string) error {
	var verdict string
	// immutable: no log is made beside the file, and none is looked for.
	source := address(file, url.Values{"mode": {"ro"}, "immutable": {"1"}})
	err := connect(ctx, source, func(conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict)
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return data.Damaged(file, err.Error())
	case verdict != "ok":
		return data.Damaged(file, verdict)
	}
	return nil
}

// beside lists a database's file and the logs that SQLite may keep for it.
func beside(file string) []string {
	return []string{file, file + "-wal", file + "-shm", file + "-journal"}
}

// Files lists a database's file and all that may lie in its folder because of it: SQLite's logs, and the copies that Restore,
// Keep and Reset work with.
func Files(file string) []string {
	all := beside(file)
	for _, own := range []string{file + restoreSuffix, file + pristineSuffix, file + pristineSuffix + partSuffix} {
		all = append(all, beside(own)...)
	}
	return all
}

func remove(files ...string) error {
	for _, name := range files {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func copyFile(from, to string, perm fs.FileMode) (err error) {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return atomicfile.WriteFrom(to, perm, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}
