// Package sqlite is the work on a SQLite database, a file in the environment's data folder.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver named sqlite

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// engineName is how SQLite is called in manifests and observations.
const engineName = "sqlite"

// Database is one SQLite file, which an application may have open meanwhile. A file that does not exist yet is an empty
// database; nothing but Restore makes it, because it has to belong to the application's system user.
type Database struct{ file string }

var (
	_ data.Database = (*Database)(nil)
	_ data.Copier   = (*Database)(nil)
	_ data.Resetter = (*Database)(nil)
	_ data.Comparer = (*Database)(nil)
)

// Open names the database in that file, an absolute path; it opens nothing.
func Open(file string) *Database { return &Database{file: file} }

// URL is what services get as DATABASE_URL: sqlite:// and the absolute path.
func (d *Database) URL() string { return (&url.URL{Scheme: "sqlite", Path: d.file}).String() }

// Ping returns when the file can be read as a database, or when it does not exist yet and its folder does.
func (d *Database) Ping(ctx context.Context) error {
	if _, err := os.Stat(filepath.Dir(d.file)); err != nil {
		return problem.New(problem.Unavailable, "the folder of the database %s is not there: %w", d.file, err)
	}
	return d.with(ctx, func(conn *sql.Conn) error {
		var n int
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&n); err != nil {
			return fmt.Errorf("read the database %s: %w", d.file, err)
		}
		return nil
	})
}

// EndMigrator has nothing to end: there is no server, and a dead process' locks are gone with it.
func (d *Database) EndMigrator(context.Context, string) (int, error) { return 0, nil }

// with runs f on a connection to the file; to an empty database where there is none.
func (d *Database) with(ctx context.Context, f func(*sql.Conn) error) error {
	return d.withOptions(ctx, url.Values{}, f)
}

// withOptions is with, with more of the driver's options.
func (d *Database) withOptions(ctx context.Context, options url.Values, f func(*sql.Conn) error) error {
	source := ":memory:"
	if _, err := os.Stat(d.file); err == nil {
		// Opened for writing, since a reader has to clean up after a writer that was killed.
		options.Set("mode", "rw")
		source = address(d.file, options)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return locked(d.file, connect(ctx, source, f))
}

// locked tells a person that somebody else's lock was in the way for longer than is waited for one.
func locked(file string, err error) error {
	if !isBusy(err) {
		return err
	}
	return problem.New(problem.Unavailable, "another process holds the database %s: %w", file, err).
		WithHint("lsof %s tells which; try again once it is done", file)
}

// address is a file as SQLite's URI, in which a path may hold anything.
func address(file string, options url.Values) string {
	options.Set("_pragma", "busy_timeout(10000)") // ms
	return (&url.URL{Scheme: "file", Path: file, RawQuery: options.Encode()}).String()
}

func connect(ctx context.Context, source string, f func(*sql.Conn) error) (err error) {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(conn), conn.Close())
}
