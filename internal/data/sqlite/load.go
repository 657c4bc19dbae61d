package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// Load puts the snapshot's file in the database's place, as Restore does with a backup's. The copy's structure is checked
// (integrity_check reads all of it) and compared, its rows are counted, with ReadBack summed up too, and it is measured
// before that, so whatever is wrong with it leaves the database as it was. Jobs change nothing.
func (d *Database) Load(ctx context.Context, dir string, o data.LoadOptions) (data.Loaded, error) {
	started := time.Now()
	s, err := data.VerifySnapshot(ctx, dir)
	if err != nil {
		return data.Loaded{}, err
	}
	if s.Engine != engineName || len(s.Files) != 1 || s.Files[0].Name != snapshotFile {
		return data.Loaded{}, problem.New(problem.Fail, "the snapshot in %s is one of %s, and this is a SQLite database", dir, s.Engine).
			WithHint("take a snapshot of an environment whose database is a SQLite file; nothing was changed")
	}
	loaded := data.Loaded{Tables: len(s.Tables)}
	err = d.replace(ctx, func(fresh string, perm fs.FileMode) error {
		if err := copyFile(filepath.Join(dir, snapshotFile), fresh, perm); err != nil {
			return err
		}
		l := &loader{snapshot: s, dir: dir, options: o, at: data.Progress{Of: len(s.Tables)}}
		if err := connect(ctx, address(fresh, url.Values{"mode": {"rw"}}), func(conn *sql.Conn) error { return l.check(ctx, conn) }); err != nil {
			return err
		}
		loaded.Rows = l.at.Rows
		return syncFile(fresh)
	})
	if err != nil {
		return data.Loaded{}, fmt.Errorf("load the snapshot in %s: %w", dir, err)
	}
	loaded.Took = time.Since(started)
	return loaded, nil
}

// loader holds what came out against what the manifest says.
type loader struct {
	snapshot data.Snapshot
	dir      string
	options  data.LoadOptions
	at       data.Progress
}

func (l *loader) check(ctx context.Context, conn *sql.Conn) error {
	var verdict string
	if err := conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return l.differs(err.Error())
	}
	if verdict != "ok" {
		return l.differs(verdict)
	}
	text, err := describe(ctx, conn)
	if err != nil {
		return err
	}
	if fingerprint(text) != l.snapshot.Masked {
		return l.differs("its schema is another one than the manifest says")
	}
	s, err := readStructure(ctx, conn)
	if err != nil {
		return err
	}
	if len(s.tables) != len(l.snapshot.Tables) {
		return l.differs(fmt.Sprintf("it has %d tables, and the manifest %d", len(s.tables), len(l.snapshot.Tables)))
	}
	for i, t := range s.tables {
		if err := l.compare(ctx, conn, t, l.snapshot.Tables[i]); err != nil {
			return err
		}
	}
	return run(ctx, conn, "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)")
}

func (l *loader) compare(ctx context.Context, conn *sql.Conn, t *table, want data.SnapshotTable) error {
	if t.name != want.Name {
		return l.differs(fmt.Sprintf("it has the table %s, and the manifest %s", t.name, want.Name))
	}
	if t.empty {
		return nil
	}
	if err := l.counted(ctx, conn, t, want); err != nil {
		return err
	}
	l.at.Table, l.at.Rows, l.at.Bytes = t.name, l.at.Rows+want.Rows, l.at.Bytes+want.Bytes
	l.at.Tables++
	if l.options.Progress != nil {
		l.options.Progress(l.at)
	}
	return nil
}

// counted counts a table's rows, and reads and sums them up where that is asked for.
func (l *loader) counted(ctx context.Context, conn *sql.Conn, t *table, want data.SnapshotTable) error {
	if l.options.ReadBack {
		got, err := t.tally(ctx, conn)
		if err == nil && (got.rows != want.Rows || got.sum.String() != want.Sum) {
			err = l.differs(fmt.Sprintf("%s has %d rows with the checksum %s, where %d with %s were written", t.name, got.rows, got.sum, want.Rows, want.Sum))
		}
		return err
	}
	var rows int64
	err := conn.QueryRowContext(ctx, "SELECT count(*) FROM "+quote(t.name)).Scan(&rows)
	if err == nil && rows != want.Rows {
		err = l.differs(fmt.Sprintf("%s has %d rows, where %d were written", t.name, rows, want.Rows))
	}
	return err
}

func (l *loader) differs(what string) error {
	return problem.New(problem.Fail, "the snapshot in %s does not come out as it went in: %s", l.dir, what).
		WithHint("take another snapshot; the database was not touched")
}
