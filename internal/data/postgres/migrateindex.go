package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/layout"
)

// CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY that don't come to their end leave an index behind that nobody reads and
// everybody has to keep up to date. What a migration of ours left is dropped before it is tried again.

// invalid are the indexes that are not usable and that nobody is building right now, quoted.
func (r *runner) invalid(ctx context.Context) ([]string, error) {
	rows, err := r.session.conn.Query(ctx, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE NOT i.indisvalid AND c.relkind = 'i' AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// clearInvalid drops what an earlier attempt at this very statement left, perhaps of a run that was killed: with IF NOT
// EXISTS the statement would pass, and the index would stay unusable.
func (r *runner) clearInvalid(ctx context.Context, s layout.Statement) error {
	name := layout.BuildsIndex(s.SQL)
	if name == "" {
		return nil
	}
	all, err := r.invalid(ctx)
	if err != nil {
		return err
	}
	var full string
	err = r.session.conn.QueryRow(ctx, `SELECT coalesce((SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)), '')`, name).Scan(&full)
	if err != nil || !slices.Contains(all, full) {
		return err
	}
	return r.drop(ctx, full)
}

// dropNew drops what a statement that failed left, and says whether anything of it stays.
func (r *runner) dropNew(ctx context.Context, before []string) (left bool) {
	now, err := r.invalid(ctx)
	if err != nil {
		return true
	}
	for _, index := range now {
		if !slices.Contains(before, index) && r.drop(ctx, index) != nil {
			r.ran.Notes = append(r.ran.Notes, fmt.Sprintf("the index %s is left unusable: DROP INDEX CONCURRENTLY %s", index, index))
			left = true
		}
	}
	return left
}

func (r *runner) drop(ctx context.Context, index string) error {
	// To drop it waits for whoever might use it, and whoever stopped this does not want to wait.
	if err := r.session.run(ctx, "SET lock_timeout = '2s'"); err != nil {
		return err
	}
	if err := r.session.run(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+index); err != nil {
		return err
	}
	r.ran.Notes = append(r.ran.Notes, fmt.Sprintf("the index %s was left unusable by an attempt that did not come to its end, and was dropped", index))
	return nil
}
