package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
)

// canary finds out by trying: whether it can read, and whether it could write. It is for where the kernel does not show
// its locks. What it takes it holds for an instant, in which a writer that does not wait would fail.
type canary struct {
	file string
	db   *sql.DB
}

func (c *canary) look() (held []hold, err error) {
	if c.db == nil {
		if _, err := os.Stat(c.file); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		source := address(c.file, url.Values{"mode": {"rw"}})
		if c.db, err = sql.Open("sqlite", source); err != nil {
			return nil, err
		}
		c.db.SetMaxOpenConns(1)
		c.db.SetMaxIdleConns(0) // one that stays open would keep a migration from changing the journal's mode
	}
	conn, err := c.db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	h := hold{}
	if h.reads, err = refused(conn, "PRAGMA busy_timeout = 0", "SELECT count(*) FROM sqlite_master"); err != nil || h.reads {
		h.writes = h.reads
	} else if h.writes, err = refused(conn, "BEGIN IMMEDIATE", "ROLLBACK"); err != nil {
		return nil, err
	}
	if h.writes {
		held = append(held, h)
	}
	return held, err
}

// refused says whether a lock was in the way of one of the statements.
func refused(conn *sql.Conn, statements ...string) (bool, error) {
	err := run(context.Background(), conn, statements...)
	if isBusy(err) {
		return true, nil
	}
	return false, err
}

func (c *canary) close() error {
	if c.db == nil {
		return nil
	}
	return c.db.Close()
}
