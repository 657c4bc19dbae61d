package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/migration"
)

// spareQuery says of sessions in the way of the session $1, whose role is $3, what they are, and what they hold of what it
// waits for: the mode that is waited for and the one that is held, for each lock. Whoever holds nothing of it waits for the
// same in front. What a parallel worker holds is its leader's. A migrator's name, with a hyphen, spares nobody: a replica that
// migrated as it started is the app's, and bears it as long as it lives.
const spareQuery = `SELECT a.pid,
	CASE WHEN a.backend_type = 'autovacuum worker' AND a.query LIKE '%(to prevent wraparound)' THEN 'it keeps the server from running out of transaction numbers'
		WHEN a.backend_type = 'autovacuum worker' THEN 'it is an autovacuum, which the server ends by itself'
		WHEN a.backend_type = 'walsender' THEN 'it is a replication'
		WHEN a.backend_type <> 'client backend' THEN 'it is the server''s own ' || a.backend_type
		WHEN a.application_name = '` + greenroomName + `' OR a.application_name LIKE '` + greenroomName + ` %' OR a.usename = '` + admin + `' THEN 'it is Greenroom''s own'
		WHEN r.rolsuper AND a.usename <> $3 THEN 'it is a superuser''s' ELSE '' END,
	coalesce((SELECT string_agg(want.mode || ' ' || has.mode, ',') FROM pg_locks want JOIN pg_locks has
		ON (want.locktype, want.database, want.relation, want.page, want.tuple, want.virtualxid, want.transactionid, want.classid, want.objid, want.objsubid)
			IS NOT DISTINCT FROM (has.locktype, has.database, has.relation, has.page, has.tuple, has.virtualxid, has.transactionid, has.classid, has.objid, has.objsubid)
		WHERE want.pid = $1 AND NOT want.granted AND has.granted
			AND (has.pid = a.pid OR has.pid IN (SELECT pid FROM pg_stat_activity WHERE leader_pid = a.pid))), '')
	FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid WHERE a.pid = ANY ($2)`

// spare marks those in the way who are not ended. A superuser is spared as somebody who looks after the server, and not
// where the database's own role is one, as an image makes it: then its sessions are the application's.
func (w *waits) spare(ctx context.Context, conn *pgx.Conn, blockers []migration.Blocker) error {
	pids := make([]int32, len(blockers))
	for i := range blockers {
		pids[i] = int32(blockers[i].PID)
		blockers[i].Spared = "it is gone"
	}
	rows, err := conn.Query(ctx, spareQuery, w.pid, pids, w.role)
	if err != nil {
		return err
	}
	var pid int32
	var what, held string
	_, err = pgx.ForEachRow(rows, []any{&pid, &what, &held}, func() error {
		if what == "" && !stands(held) {
			what = "it waits in front for the same"
		}
		for i := range blockers {
			if blockers[i].PID == int(pid) {
				blockers[i].Spared = what
			}
		}
		return nil
	})
	return err
}

// stands says whether one of the locks that are held keeps the one from being had that is waited for.
func stands(held string) bool {
	for pair := range strings.SplitSeq(held, ",") {
		if want, has, _ := strings.Cut(pair, " "); migration.Conflict(want, has) {
			return true
		}
	}
	return false
}
