package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/problem"
)

// standing is what a server says of who it is.
type standing struct {
	system    string // the identifier that it shares with its replicas alone
	following bool   // it replays what another writes
	started   time.Time
	at        string        // in the write-ahead log: what was written, or replayed
	since     time.Duration // since the last transaction that was replayed, or since it started where it replayed none
}

func (d *Database) standing(ctx context.Context) (s standing, err error) {
	var since float64
	err = d.with(ctx, d.name, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT (SELECT system_identifier::text FROM pg_control_system()), pg_is_in_recovery(), pg_postmaster_start_time(),
			CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE pg_current_wal_lsn() END::text,
			extract(epoch FROM clock_timestamp() - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()))::float8`).
			Scan(&s.system, &s.following, &s.started, &s.at, &since)
	})
	s.since = time.Duration(since * float64(time.Second))
	return s, d.failed(ctx, "see whose replica has", err)
}

// catchUp is how long a replica gets to replay what was written when it was asked. Without that, one that is always a
// millisecond late would be said to be as old as what it replayed before, be it of yesterday.
const catchUp = 2 * time.Second

// Follows returns how far the replica d is behind the database that it is a replica of: 0 where it has replayed all that was
// written when it was asked, or does so within two seconds. A server that is no replica of that one, or does not follow it any
// more, is Blocked: what it has would be taken for production's.
func (d *Database) Follows(ctx context.Context, of *Database) (behind time.Duration, err error) {
	origin, err := of.standing(ctx)
	if err != nil {
		return 0, err
	}
	replica, err := d.standing(ctx)
	switch {
	case err != nil:
		return 0, err
	case origin.system != replica.system:
		return 0, problem.New(problem.Blocked, "the replica is not of the server of %s: their system identifiers are %s and %s", of.name, replica.system, origin.system).
			WithHint("set the secret with the replica's address anew: greenroom secret set")
	case !replica.following && !replica.started.Equal(origin.started):
		return 0, problem.New(problem.Blocked, "the replica of %s does not follow it any more: it was promoted, or is a copy that runs by itself", of.name).
			WithHint("set the secret with the replica's address anew: greenroom secret set")
	}
	for until := time.Now().Add(catchUp); ; {
		caught, err := of.reached(ctx, replica.at, origin.at)
		if err != nil || caught {
			return 0, err
		}
		if time.Now().After(until) {
			return replica.since, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(catchUp / 20):
		}
		if replica, err = d.standing(ctx); err != nil {
			return 0, err
		}
	}
}

// reached says whether a place in the write-ahead log is not before another one.
func (d *Database) reached(ctx context.Context, at, place string) (reached bool, err error) {
	err = d.with(ctx, d.name, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT $1::text::pg_lsn >= $2::text::pg_lsn", at, place).Scan(&reached)
	})
	return reached, err
}

// Conflicted says whether a replica cancelled what was read from it because it stood in the way of what it had to replay. It
// may work another time. SQLSTATE 40001: whoever only reads gets it for no other reason.
func Conflicted(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == "40001"
}

// Cancelled is the problem of a replica that did so again and again.
func Cancelled(err error, times int) error {
	return problem.New(problem.Unavailable, "the replica cancelled the snapshot %d times, since it stood in the way of what the replica had to replay: %w", times, err).
		WithHint("set hot_standby_feedback = on at the replica, or a larger max_standby_streaming_delay, and try again")
}
