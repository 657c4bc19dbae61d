package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver

	"greenroom/internal/atomicfile"
	"greenroom/internal/evidence"
)

// readers is how many questions are answered at once.
const readers = 4

// Options are what a store works with.
type Options struct {
	Now    func() time.Time       // the clock; nil for the machine's
	Signer func() evidence.Signer // with this Greenroom's active key, which signs the log and what is found here
	Ring   Ring                   // the keys that Signer takes its own from; nil: it is one key for ever

	driver string // of database/sql; "" for SQLite's
}

// Ring is this Greenroom's own keys, as key.Ring keeps them. Activate makes the key active that Prepare gave, and has
// nothing to do where it is active already.
type Ring interface {
	Publics() []ed25519.PublicKey // of all that were ever active, the active one last
	Prepare() (evidence.Signer, error)
	Activate(id evidence.KeyID) error
}

// fixed is a ring with one key.
type fixed struct{ signer func() evidence.Signer }

func (f fixed) Publics() []ed25519.PublicKey { return []ed25519.PublicKey{f.signer().Public()} }

func (f fixed) Prepare() (evidence.Signer, error) {
	return evidence.Signer{}, errors.New("the key of this store can't be replaced")
}

func (f fixed) Activate(evidence.KeyID) error {
	return fmt.Errorf("the only key here is %s", f.signer().ID())
}

// Open opens the state file of that name, makes it where there is none, and brings an older one up to date. A file that
// was written by a newer Greenroom, or whose log is in the hands of a key that Options do not have, is a problem,
// and is left as it is; so is one that is damaged, as far as can be told at once: see Check.
//
// Exactly one process may have the file open for writing; who holds the state folder's lock is the daemon's business.
func Open(ctx context.Context, file string, o Options) (*Store, error) {
	if o.Signer == nil {
		return nil, errors.New("a store without a signer")
	}
	if o.Ring == nil {
		o.Ring = fixed{o.Signer}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.driver == "" {
		o.driver = "sqlite"
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, file, o); err != nil {
		return nil, explainFile(file, err)
	}
	s := &Store{now: o.Now, signer: o.Signer, ring: o.Ring, turn: make(chan struct{}, 1)}
	if s.write, err = connect(o.driver, file, 1, ""); err != nil {
		return nil, err
	}
	if s.read, err = connect(o.driver, file, readers, "&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	s.Reader = Reader{q: s.read, file: file}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(s.explain(err), s.Close())
	}
	return s, nil
}

// Close lets the file go. Changes under way are finished or undone first.
func (s *Store) Close() error {
	s.turn <- struct{}{}
	defer s.give()
	var err error
	if s.open != nil {
		s.end(s.open, nil)
	}
	if s.session != nil {
		err = s.session.Close()
		s.session = nil
	}
	return errors.Join(err, s.read.Close(), s.write.Close())
}

// start looks whether the file is whole, migrates it, and takes up the log.
func (s *Store) start(ctx context.Context) error {
	if err := checkAtOnce(ctx, s.write, s.file); err != nil {
		return err
	}
	if err := migrate(ctx, s.write, s.file, s.signer()); err != nil {
		return err
	}
	var err error
	if s.session, err = newSession(ctx, s.write); err != nil {
		return err
	}
	return s.activate(ctx)
}

// prepare makes the file where there is none. A new file appears under its name only when it is whole; so one that is
// empty, or has a log beside it and is gone itself, was damaged and is not silently replaced by an empty state.
func prepare(ctx context.Context, file string, o Options) error {
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
	db, err := connect(o.driver, fresh, 1, "")
	if err != nil {
		return err
	}
	if err := errors.Join(migrate(ctx, db, file, o.Signer()), db.Close()); err != nil { // the last one to close empties the log
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
func connect(driver, file string, n int, more string) (*sql.DB, error) {
	// synchronous=NORMAL could lose the last commits when the machine stops.
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() + "?_txlock=immediate&_pragma=busy_timeout(5000)" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" + more
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}
