package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// Sessions in a migrator's way are ended as the caller asks. A session that was asked to end rolls back first, so what came of
// it is seen later: each is looked for until it is gone, at the latest when the run is over. All of it is in one goroutine.

// endQuery ends a session, unless one of the rules spares it by now or it stands in nobody's way any more; all of that is
// looked at in this very statement. It returns why not, and nothing where the session is gone.
const endQuery = `WITH judged AS MATERIALIZED (` + spareQuery + `) SELECT CASE WHEN pid <> ALL (pg_blocking_pids($1)) THEN 'it no longer stands in the way'
	WHEN spared <> '' THEN spared WHEN pg_terminate_backend(pid) THEN '' ELSE '` + isGone + `' END FROM judged`

const isGone = "it is gone"

// insufficientPrivilege is PostgreSQL's code of that name.
const insufficientPrivilege = "42501"

// remove ends the sessions that the caller wants ended, as long as they still stand in the way. One that the server refuses to
// end keeps no other from being ended.
func (w *waits) remove(ctx context.Context, conn *pgx.Conn, blockers []migration.Blocker) error {
	if w.o.Blockers == nil || len(blockers) == 0 {
		return nil
	}
	for _, pid := range w.o.Blockers(blockers) {
		i := slices.IndexFunc(blockers, func(b migration.Blocker) bool { return b.PID == pid && b.Spared == "" })
		if i < 0 || slices.ContainsFunc(w.asked, same(blockers[i])) {
			continue
		}
		if err := w.ask(ctx, conn, blockers[i]); err != nil {
			return err
		}
	}
	return nil
}

// ask asks a session to end. It outlives the migration, which may be over in between: what was told as about to be done is
// done, or it is known why not.
func (w *waits) ask(ctx context.Context, conn *pgx.Conn, b migration.Blocker) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	spared, err := w.end(ctx, conn, b)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == insufficientPrivilege:
		w.refused = append(w.refused, b)
		w.became(b, data.FateSpared, "the server refuses: "+refused.Message)
		return nil
	case err != nil:
		w.became(b, data.FateUnknown, "whether it was asked to end is not known: "+err.Error())
		return err
	case spared != "":
		w.became(b, data.FateSpared, cmp.Or(map[string]string{isGone: "it was gone by itself"}[spared], spared))
		return nil
	}
	w.asked = append(w.asked, b)
	return nil
}

// end ends a session in the way; spared says why it did not.
func (w *waits) end(ctx context.Context, conn *pgx.Conn, b migration.Blocker) (spared string, err error) {
	rows, err := conn.Query(ctx, endQuery, w.pid, w.role, conflicting(), []int32{int32(b.PID)}, []time.Time{b.Born})
	if err != nil {
		return "", err
	}
	spared, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if errors.Is(err, pgx.ErrNoRows) {
		return isGone, nil
	}
	return spared, err
}

// reap tells of those that were asked to end and are gone.
func (w *waits) reap(ctx context.Context, conn *pgx.Conn) error {
	if len(w.asked) == 0 {
		return nil
	}
	pids, born := identities(w.asked)
	rows, err := conn.Query(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = seen.pid AND a.backend_start = seen.born)
		FROM unnest($1::integer[], $2::timestamptz[]) WITH ORDINALITY AS seen(pid, born, n) ORDER BY n`, pids, born)
	if err != nil {
		return err
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	if err != nil {
		return err
	}
	var left []migration.Blocker
	for i, b := range w.asked {
		if there[i] {
			left = append(left, b)
		} else {
			w.became(b, data.FateEnded, "")
		}
	}
	w.asked = left
	return nil
}

// settle tells what came of those that were asked to end and had not ended when the run was over.
func (w *waits) settle(ctx context.Context) {
	if len(w.asked) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.grace)
	defer cancel()
	err := w.d.with(ctx, w.d.maintenance(), func(conn *pgx.Conn) error {
		return untilGone(ctx, func() (int, error) {
			err := w.reap(ctx, conn)
			return len(w.asked), err
		})
	})
	for _, b := range w.asked {
		w.became(b, data.FateUnknown, "it was asked to end, and nobody saw that it did: "+err.Error())
	}
	w.asked = nil
}

func (w *waits) became(b migration.Blocker, fate data.Fate, why string) {
	if w.o.Ended != nil {
		w.o.Ended(b, fate, why)
	}
}

// same says of a session whether it is that one.
func same(b migration.Blocker) func(migration.Blocker) bool {
	return func(other migration.Blocker) bool { return other.PID == b.PID && other.Born.Equal(b.Born) }
}

// identities are what sessions are known by in the server.
func identities(all []migration.Blocker) (pids []int32, born []time.Time) {
	for _, b := range all {
		pids, born = append(pids, int32(b.PID)), append(born, b.Born)
	}
	return pids, born
}
