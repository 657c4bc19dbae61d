package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/problem"
)

// endTimeout is how long a session may take to roll back what it did.
const endTimeout = 30 * time.Second

// EndMigrator ends the sessions in this database that carry the application name, and returns how many those were once
// none is left. A session is asked again every time it is seen, so one that was about to commit has either committed or
// rolled back by then. One that stays longer than 30 s is Inconclusive.
func (d *Database) EndMigrator(ctx context.Context, name string) (int, error) {
	if name == "" {
		return 0, problem.New(problem.Invalid, "a migrator without an application name can't be told from the app")
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	ended := map[int32]bool{}
	err := d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error {
		return untilGone(ctx, func() (int, error) {
			pids, err := terminate(ctx, conn, `datname = $1 AND application_name = left($2, 63)`, d.name, name)
			for _, pid := range pids {
				ended[pid] = true
			}
			return len(pids), err
		})
	})
	if err != nil {
		return len(ended), fmt.Errorf("end the sessions of %s in the database %s: %w", name, d.name, err)
	}
	return len(ended), nil
}

// terminate ends the sessions for which the condition on pg_stat_activity holds, and returns their pids: sessions of
// clients only: what works in parallel for them goes with them.
func terminate(ctx context.Context, conn *pgx.Conn, condition string, args ...any) ([]int32, error) {
	rows, err := conn.Query(ctx, `SELECT pid FROM (SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND `+condition+`) AS t`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int32])
}

// untilGone asks, after 10 ms, then twice as long each time up to 250 ms, until there are none left.
func untilGone(ctx context.Context, ask func() (left int, err error)) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		left, err := ask()
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return problem.New(problem.Inconclusive, "%d sessions are still there after %s", left, endTimeout).
				WithHint("look at pg_stat_activity; only the server's administrator can end what does not end by itself")
		case <-time.After(pause):
		}
	}
}
