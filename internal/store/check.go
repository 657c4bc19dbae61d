package store

import (
	"context"
	"database/sql"
	"errors"
)

// Check looks whether the whole file is sound. It reads all of it, beside everything else that goes on.
func (s *Store) Check(ctx context.Context) error {
	return s.explain(quickCheck(ctx, s.read, s.file))
}

func quickCheck(ctx context.Context, db *sql.DB, file string) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return damaged(file, errors.New(verdict))
	}
	return nil
}
