package store

import (
	"context"
	"database/sql"
	"errors"
)

// session is the one connection that writes. It prepares each statement once: their texts are constants, so they are few.
// Only who has the turn (group.go) may use it.
//
// It looks at a context before a statement and not during it: SQLite answers an interrupted write by rolling back the whole
// transaction, in which others may have a share.
type session struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, prepared: map[string]*sql.Stmt{}}, nil
}

// Close ends the connection.
func (s *session) Close() error {
	var err error
	for _, st := range s.prepared {
		err = errors.Join(err, st.Close())
	}
	return errors.Join(err, s.conn.Close())
}

func (s *session) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if st := s.prepared[query]; st != nil {
		return st, nil
	}
	st, err := s.conn.PrepareContext(context.WithoutCancel(ctx), query)
	if err == nil {
		s.prepared[query] = st
	}
	return st, err
}

// ExecContext changes something.
func (s *session) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	st, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(context.WithoutCancel(ctx), args...)
}

// QueryContext is querier's.
func (s *session) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(context.WithoutCancel(ctx), args...)
}

// control begins and ends transactions. It knows no context: what has begun is ended.
func (s *session) control(statement string) error {
	_, err := s.ExecContext(context.Background(), statement)
	return err
}
