// Package store is everything that is kept: one SQLite file, one writer, many readers. Each change is made whole, together
// with its entry in the log, or not at all, and is durable when it is acknowledged. What listeners are told was committed
// before. The log is a chain of signed entries; what counts is what stands in it.
package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"greenroom/internal/evidence"
)

// ErrChanged says that what was to be changed is no longer what the caller read.
var ErrChanged = errors.New("it was changed by somebody else in the meantime")

// Store is an open state file. All methods are safe for concurrent use. Errors that a person can do something about
// (full disk, damage, a newer file) are problems.
type Store struct {
	Reader
	write  *sql.DB // session is its one connection
	read   *sql.DB
	now    func() time.Time
	signer func() evidence.Signer
	ring   Ring
	feed   feed

	turn    chan struct{} // holds one while somebody has the turn to write; guards what follows
	session *session      // nil once the store is closed
	open    *group        // the one under way, or nil
}

// Reader answers questions. A Store answers from what is committed; a Tx sees its own changes too.
type Reader struct {
	q    querier
	file string
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Tx is a change under way. It is only valid inside the function that got it.
type Tx struct {
	Reader
	session *session
	group   *group
	signer  evidence.Signer
	now     time.Time
	changed map[int64]bool // runs with new events
	broken  error          // after which SQLite may have undone the transaction
}

// Now is the time of the change.
func (t *Tx) Now() time.Time { return t.now }

// Change makes a change and writes its audit entry in the same transaction. When do fails, nothing happened. do may be
// called a second time after a failure that is not its own, so it touches nothing but the transaction, and what it returns
// by setting variables it sets anew.
func (s *Store) Change(ctx context.Context, by Audit, do func(t *Tx) error) error {
	return s.transact(ctx, func(t *Tx) error {
		if err := do(t); err != nil {
			return err
		}
		return t.audit(ctx, by)
	})
}

// exec changes something. A failure other than a broken constraint may have taken the whole transaction with it, so that
// whatever came after it would be done outside of any: then nothing comes after it.
func (t *Tx) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	r, err := t.session.ExecContext(ctx, query, args...)
	if err != nil && primary(err) != codeConstraint {
		t.broken = err
	}
	return r, err
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
	all, err := collect(ctx, r, scan, query, args...)
	if err != nil || len(all) == 0 {
		return v, false, err
	}
	return all[0], true, nil
}

// row is what a scan function reads.
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
