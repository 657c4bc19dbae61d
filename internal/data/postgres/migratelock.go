package postgres

import (
	"context"
	"errors"
	"hash/crc32"
	"time"
	"unicode/utf16"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// Advisory locks of whoever migrates. Each is asked for and never waited for: a session that waits holds a snapshot, for which
// CREATE INDEX CONCURRENTLY of the one who has the lock would wait in turn.
const (
	migrating = 0x67726e6d69677261 // Greenroom's own, any number that means nothing else: "grnmigra"
	gooseLock = 4097083626         // lock.DefaultLockID of goose v3, for those who switch its session lock on
)

// lockWait bounds the wait for another migrator.
const lockWait = 5 * time.Minute

// migratorLocks are the locks of Greenroom and of all the tools, so that nobody migrates beside somebody else, whatever both
// use. They are asked for in this order.
func (s *session) migratorLocks() []int64 {
	table := func(name string) string { return quote(s.schema, name) }
	return []int64{
		migrating, gooseLock,
		// golang-migrate takes the URL's path for the database's name where it is called with a URL, and the name itself where a
		// program hands it a connection.
		migrateLock(s.path, s.schema, "schema_migrations"),
		migrateLock(s.database, s.schema, "schema_migrations"),
		flywayLock(table("flyway_schema_history")),
	}
}

// migrateLock is database.GenerateAdvisoryLockId of golang-migrate v4.
func migrateLock(database, schema, table string) int64 {
	const salt = 1486364155
	return int64(crc32.ChecksumIEEE([]byte(schema+"\x00"+table+"\x00"+database)) * salt)
}

// flywayLock is the number of Flyway's PostgreSQLAdvisoryLockTemplate: its name in ASCII, and Java's hash of the table's.
func flywayLock(table string) int64 {
	var hash int32
	for _, c := range utf16.Encode([]rune(table)) {
		hash = 31*hash + int32(c)
	}
	return 0x466C79776179 + int64(hash)
}

// lock gets all of the locks within so long, or none and the reason why not. They go with the session.
func (r *runner) lock(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, errTooLong)
	defer cancel()
	keys := r.session.migratorLocks()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		missing, err := r.tryLock(ctx, keys)
		if err != nil {
			return r.notLocked(ctx, within, err)
		}
		if missing == 0 {
			r.waits.ended()
			return nil
		}
		holders, err := r.holders(ctx, missing)
		if err != nil {
			return r.notLocked(ctx, within, err)
		}
		r.waits.behind(holders)
		select {
		case <-ctx.Done():
			return r.notLocked(ctx, within, ctx.Err())
		case <-time.After(pause):
		}
	}
}

var errTooLong = errors.New("another migrator has been at work for too long")

func (r *runner) notLocked(ctx context.Context, within time.Duration, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errTooLong):
		return problem.New(problem.Blocked, "another migrator has been at work on the database %s for more than %s: %s", r.d.name, migration.Human(within), migration.Blockers(r.waits.seen())).
			WithHint("wait for it to end, and try again")
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return r.d.failed(ctx, "lock the migrations of", err)
}

// tryLock returns the key that could not be had; then it holds none.
func (r *runner) tryLock(ctx context.Context, keys []int64) (missing int64, err error) {
	for _, key := range keys {
		var got bool
		if err := r.session.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&got); err != nil {
			return 0, err
		}
		if !got {
			_, err := r.session.conn.Exec(ctx, "SELECT pg_advisory_unlock_all()")
			return key, err
		}
	}
	return 0, nil
}

// holders are those who hold an advisory lock.
func (r *runner) holders(ctx context.Context, key int64) ([]migration.Blocker, error) {
	var all []migration.Blocker
	err := r.d.with(ctx, r.d.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, holdersQuery+` WHERE a.pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND (classid::bigint << 32) | objid::bigint = $2)`, int32(r.session.pid()), key)
		if err != nil {
			return err
		}
		all, err = collectBlockers(rows)
		return err
	})
	return all, err
}
