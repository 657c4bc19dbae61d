package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// What is looked at when: a file of a usual size is read as a whole before it is used. Of a large one that would take
// seconds, in which nothing answers; so its header, its schema and the tables that say what is live and who may come first,
// and the rest is for Check, beside the work. Whatever is met damaged before that is told when it is read.
const (
	checkedAtOnce = 32 << 20 // bytes: some 30 ms
	headerSize    = 100      // bytes; https://www.sqlite.org/fileformat.html, section 1.3
)

// small are the tables that stay small and decide most.
var small = [...]string{"apps", "environments", "known_bad", "numbers", "secrets", "glass", "standings", "goose_db_version"}

// Check looks whether the whole file is sound. It reads all of it, beside everything else that goes on: a second for each
// gigabyte or so.
func (s *Store) Check(ctx context.Context) error {
	return s.explain(quickCheck(ctx, s.read, s.file, ""))
}

// checkAtOnce looks at what can be looked at in an instant.
func checkAtOnce(ctx context.Context, db *sql.DB, file string) error {
	size, err := length(file)
	if err != nil {
		return err
	}
	if size <= checkedAtOnce {
		return quickCheck(ctx, db, file, "")
	}
	for _, table := range small {
		var there bool
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = ?`, table).Scan(&there); err != nil {
			return err
		}
		if !there { // an older file that is to be migrated
			continue
		}
		if err := quickCheck(ctx, db, file, table); err != nil {
			return err
		}
	}
	return nil
}

// quickCheck has SQLite look at a table, or with table "" at everything.
func quickCheck(ctx context.Context, db *sql.DB, file, table string) error {
	query := "PRAGMA quick_check"
	if table != "" {
		query += "(" + table + ")"
	}
	var verdict string
	if err := db.QueryRowContext(ctx, query).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return damaged(file, errors.New(verdict))
	}
	return nil
}

// length is the size of the file. One that is shorter than its header says was cut off, unless a log beside it has the
// rest.
func length(file string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	var head [headerSize]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return 0, damaged(file, err)
	}
	page := int64(binary.BigEndian.Uint16(head[16:]))
	if page == 1 {
		page = 1 << 16
	}
	want := page * int64(binary.BigEndian.Uint32(head[28:]))
	wal, err := os.Stat(file + "-wal")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if info.Size() < want && (err != nil || wal.Size() == 0) {
		return 0, damaged(file, fmt.Errorf("it has %d bytes and should have %d", info.Size(), want))
	}
	return info.Size(), nil
}
