package store

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many questions are answered at once.
const readers = 4

// Open opens the state file of that name, makes it where there is none, and brings an older one up to date. A file that
// is damaged or was written by a newer Greenroom is a problem, and is left as it is. now is the clock, nil for the
// machine's.
//
// Exactly one process may have the file open for writing; who holds the state folder's lock is the daemon's business.
func Open(ctx context.Context, file string, now func() time.Time) (*Store, error) {
	if now == nil {
		now = time.Now
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, file); err != nil {
		return nil, explainFile(file, err)
	}
	s := &Store{now: now}
	if s.write, err = connect(file, 1, ""); err != nil {
		return nil, err
	}
	if s.read, err = connect(file, readers, "&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	s.Reader = Reader{q: s.read, file: file}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(s.explain(err), s.Close())
	}
	return s, nil
}

// Close lets the file go. Changes under way are finished or undone first.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// begin looks whether the file is whole, and migrates it.
func (s *Store) begin(ctx context.Context) error {
	var verdict string
	if err := s.write.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return damaged(s.file, errors.New(verdict))
	}
	return migrate(ctx, s.write, s.file)
}

// prepare makes the file where there is none. A new file appears under its name only when it is whole; so one that is
// empty, or has a log beside it and is gone itself, was damaged and is not silently replaced by an empty state.
func prepare(ctx context.Context, file string) error {
	err := header(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(file + "-wal"); err == nil {
		return damaged(file, errors.New("it is gone, but its log is here"))
	}
	fresh := file + ".new"
	for _, leftover := range []string{fresh, fresh + "-wal", fresh + "-shm"} {
		if err := os.Remove(leftover); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := atomicfile.Write(fresh, nil, 0o600); err != nil { // SQLite gives its other files the same permissions
		return err
	}
	db, err := connect(fresh, 1, "")
	if err != nil {
		return err
	}
	if err := errors.Join(migrate(ctx, db, file), db.Close()); err != nil { // the last one to close empties the log
		return err
	}
	if err := os.Rename(fresh, file); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(file))
}

// header looks at the file's first bytes: SQLite takes an empty file for a new one.
func header(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	if err := errors.Join(ignoreShort(err), f.Close()); err != nil {
		return err
	}
	if !bytes.Equal(head, []byte(magic)) {
		return damaged(file, errors.New("it does not begin like a state file"))
	}
	return nil
}

func ignoreShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// connect makes a pool of at most n connections. Writers take the lock when they begin, so none has to give up half-way.
func connect(file string, n int, more string) (*sql.DB, error) {
	// synchronous=NORMAL could lose the last commits when the machine stops.
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() + "?_txlock=immediate&_pragma=busy_timeout(5000)" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" + more
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// migrate brings the schema up to date.
func migrate(ctx context.Context, db *sql.DB, file string) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, know, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > know {
		return problem.New(problem.Unavailable,
			"%s was written by a newer Greenroom (its schema is version %d, this Greenroom knows %d)", file, have, know).
			WithHint("start the newer Greenroom again; nothing was changed")
	}
	if have == know {
		return nil
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring %s up to date: %w", file, err)
	}
	return nil
}
