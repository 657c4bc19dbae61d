package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/migration"
)

// spareQuery says of sessions in the way of the session $1, whose role is $2, why they are not ended; "" of one that may be.
// It is about those that have the pids $4 and began at $5: a pid alone may be another session's by now. Who stands in the way
// holds a lock ($3: see conflicting) on what is waited for. Whoever holds nothing of it waits for the same in front. What a
// parallel worker holds is its leader's. A migrator's name, with a hyphen, spares nobody: a replica that migrated as it
// started is the app's, and bears it as long as it lives.
const spareQuery = `SELECT a.pid, a.backend_start,
	CASE WHEN a.backend_type = 'autovacuum worker' AND a.query LIKE '%(to prevent wraparound)' THEN 'it keeps the server from running out of transaction numbers'
		WHEN a.backend_type = 'autovacuum worker' THEN 'it is an autovacuum, which the server ends by itself'
		WHEN a.backend_type = 'walsender' THEN 'it is a replication'
		WHEN a.backend_type <> 'client backend' THEN 'it is the server''s own ' || a.backend_type
		WHEN a.application_name = '` + greenroomName + `' OR a.application_name LIKE '` + greenroomName + ` %' OR a.usename = '` + admin + `' THEN 'it is Greenroom''s own'
		WHEN r.rolsuper AND a.usename <> $2 THEN 'it is a superuser''s'
		WHEN NOT EXISTS (SELECT FROM pg_locks want JOIN pg_locks has
			ON (want.locktype, want.database, want.relation, want.page, want.tuple, want.virtualxid, want.transactionid, want.classid, want.objid, want.objsubid)
				IS NOT DISTINCT FROM (has.locktype, has.database, has.relation, has.page, has.tuple, has.virtualxid, has.transactionid, has.classid, has.objid, has.objsubid)
			WHERE want.pid = $1 AND NOT want.granted AND has.granted AND want.mode || ' ' || has.mode = ANY ($3::text[])
				AND (has.pid = a.pid OR has.pid IN (SELECT pid FROM pg_stat_activity WHERE leader_pid = a.pid))) THEN 'it waits in front for the same'
		ELSE '' END AS spared
	FROM unnest($4::integer[], $5::timestamptz[]) AS seen(pid, born)
	JOIN pg_stat_activity a ON a.pid = seen.pid AND a.backend_start = seen.born LEFT JOIN pg_roles r ON r.oid = a.usesysid`

// spare marks those in the way who are not ended. A superuser is spared as somebody who looks after the server, and not
// where the database's own role is one, as an image makes it: then its sessions are the application's. One whose beginning
// the server keeps to itself, as it does from a role without pg_read_all_stats, could not be told from the next of its pid.
func (w *waits) spare(ctx context.Context, conn *pgx.Conn, blockers []migration.Blocker) error {
	pids, born := identities(blockers)
	for i, b := range blockers {
		blockers[i].Spared = isGone
		if b.Born.IsZero() {
			blockers[i].Spared = "the server does not show who it is"
		}
	}
	rows, err := conn.Query(ctx, spareQuery, w.pid, w.role, conflicting(), pids, born)
	if err != nil {
		return err
	}
	var pid int32
	var at time.Time
	var what string
	_, err = pgx.ForEachRow(rows, []any{&pid, &at, &what}, func() error {
		for i := range blockers {
			if b := &blockers[i]; b.PID == int(pid) {
				b.Spared = what
				if slices.ContainsFunc(w.refused, same(*b)) {
					b.Spared = "the server refuses to end it"
				}
			}
		}
		return nil
	})
	return err
}

// conflicting are the pairs of modes, one that is wanted and one that is held, of which the second keeps the first from being had.
func conflicting() (pairs []string) {
	modes := []string{"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
	for _, want := range modes {
		for _, has := range modes {
			if migration.Conflict(want, has) {
				pairs = append(pairs, want+" "+has)
			}
		}
	}
	return pairs
}
