// Package store is everything that is kept: one SQLite file, one writer, many readers. Each change is one transaction
// with its audit entry in it, and durable when it is acknowledged. What listeners are told was committed before.
package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// ErrChanged says that what was to be changed is no longer what the caller read.
var ErrChanged = errors.New("it was changed by somebody else in the meantime")

// Store is an open state file. All methods are safe for concurrent use. Errors that a person can do something about
// (full disk, damage, a newer file) are problems.
type Store struct {
	Reader
	write *sql.DB
	read  *sql.DB
	now   func() time.Time
	feed  feed
}

// Reader answers questions. A Store answers from what is committed; a Tx sees its own changes too.
type Reader struct {
	q    querier
	file string
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a change under way. It is only valid inside the function that got it.
type Tx struct {
	Reader
	tx      *sql.Tx
	now     time.Time
	changed map[int64]bool // runs with new events
}

// Now is the time of the change.
func (t *Tx) Now() time.Time { return t.now }

// Change makes a change and writes its audit entry in the same transaction. When do fails, nothing happened.
func (s *Store) Change(ctx context.Context, by Audit, do func(t *Tx) error) error {
	return s.transact(ctx, func(t *Tx) error {
		if err := do(t); err != nil {
			return err
		}
		return t.audit(ctx, by)
	})
}

// transact runs do in the one write transaction and tells listeners after the commit.
func (s *Store) transact(ctx context.Context, do func(t *Tx) error) (err error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(err)
	}
	t := &Tx{Reader: Reader{q: tx, file: s.file}, tx: tx, now: s.now().UTC(), changed: map[int64]bool{}}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the failure is told already; after a failed commit it is done
		}
	}()
	if err := do(t); err != nil {
		return s.explain(err)
	}
	if err := tx.Commit(); err != nil {
		return s.explain(err)
	}
	for run := range t.changed {
		s.feed.tell(run)
	}
	return nil
}

func (t *Tx) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, query, args...)
}

// changedOne turns an update that met nothing into ErrChanged.
func changedOne(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		err = ErrChanged
	}
	return err
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, r Reader, scan func(row) (T, error), query string, args ...any) (_ []T, err error) {
	rows, err := r.q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, r.explain(err)
	}
	defer func() { err = r.explain(errors.Join(err, rows.Close())) }()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// first reads the one row of a query, and says whether there is one.
func first[T any](ctx context.Context, r Reader, scan func(row) (T, error), query string, args ...any) (v T, found bool, err error) {
	v, err = scan(r.q.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		var none T
		return none, false, nil
	}
	return v, err == nil, r.explain(err)
}

// row is what a scan function reads: *sql.Row or *sql.Rows.
type row interface{ Scan(dest ...any) error }

// nanos and moment are how times are kept: 0 is no time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
