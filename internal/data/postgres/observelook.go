package postgres

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// look is what the server's sessions were at in one moment.
type look struct {
	at       time.Time     // the server's clock, as all times in it, right before the locks were read
	took     time.Duration // until the answer was here: the locks were read meanwhile
	sessions []seenSession
	prepared bool // a transaction that was prepared, and is no session's any more, has a lock as only changes of the schema take
}

// seenSession is one that works, waits, or has a transaction open. What its user's rights don't let us see is zero.
type seenSession struct {
	pid       int32
	leader    int32 // the session that a parallel worker works for; 0 for a session of its own
	client    bool
	app       string
	from      netip.AddrPort // where its client is; zero on a unix socket
	state     string
	query     string // of migrators, of those who may be, and of those who wait
	born      time.Time
	xact      time.Time // when its transaction began
	began     time.Time // when its statement did
	changed   time.Time // when its state did: for one that is idle, the end of its statement
	waits     bool
	blockers  []int32 // of a migrator: who is in its way, those before it in the queue included
	locks     []seenLock
	completed bool // begun and ended are final: nothing runs
}

// seenLock is a lock on a relation, on a row of one, or on the end of a transaction, that is held or waited for.
type seenLock struct {
	relation uint32
	xid      int64 // the transaction; its own where that is granted
	row      bool
	mode     string
	granted  bool
	since    time.Time // when it began to be waited for; zero where that is not known
}

// firstUsersOID is where the numbers of what users make begin; below are the system's catalogues.
const firstUsersOID = 16384

// lookQuery asks everything at once, because two queries see two moments. It is asked 200 times a second, so it goes
// past the views, whose joins with the catalogues cost as much again, and asks the server who is in whose way for the
// migrator only: that locks the whole lock table, and hundreds may wait.
func lookQuery(version int) string {
	since := "l.waitstart"
	if version < 140000 {
		since = "NULL::timestamptz"
	}
	return fmt.Sprintf(`WITH l AS MATERIALIZED (
		SELECT l.pid, bool_or(NOT l.granted) AS waits,
			bool_or(l.locktype = 'relation' AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')) AS strong, array_agg(coalesce(l.relation, 0)) AS relations, array_agg(l.locktype = 'tuple') AS rows,
			array_agg(coalesce(l.transactionid::text::bigint, 0)) AS xids,
			array_agg(l.mode) AS modes, array_agg(l.granted) AS granted, array_agg(%[1]s) AS since
		FROM pg_lock_status() l
		WHERE NOT l.granted OR l.locktype = 'transactionid' OR l.database = $1 AND l.relation >= %[2]d AND l.locktype IN ('relation', 'tuple') AND l.mode <> 'AccessShareLock'
		GROUP BY l.pid)
	SELECT c.at, (SELECT coalesce(bool_or(strong), false) FROM l WHERE pid IS NULL), s.* FROM (SELECT clock_timestamp() AS at) c LEFT JOIN (
		SELECT a.pid, coalesce(a.leader_pid, 0) AS leader, coalesce(a.backend_type = 'client backend', true) AS client, coalesce(a.application_name, '') AS app,
			a.client_addr, coalesce(a.client_port, -1) AS client_port, coalesce(a.state, '') AS state,
			CASE WHEN a.application_name = $2 OR l.waits OR l.strong OR a.pid = ANY ($3) OR a.backend_start >= $5 THEN coalesce(a.query, '') ELSE '' END AS query,
			a.backend_start, a.xact_start, a.query_start, a.state_change,
			coalesce(l.waits, false) AS waits, CASE WHEN l.waits AND (a.application_name = $2 OR a.pid = ANY ($3)) THEN pg_blocking_pids(a.pid) END AS blockers,
			l.relations, l.rows, l.xids, l.modes, l.granted, l.since
		FROM pg_stat_get_activity(NULL) a LEFT JOIN l ON l.pid = a.pid
		WHERE a.datid = $1 AND a.pid <> pg_backend_pid()
			AND ($4 OR l.pid IS NOT NULL OR a.application_name = $2 OR a.pid = ANY ($3) OR a.leader_pid = ANY ($3) OR a.backend_start >= $5)
	) s ON true`, since, firstUsersOID)
}

// looker looks through a connection of its own.
type looker struct {
	conn     *pgx.Conn
	query    string
	database uint32
	migrator string
	newer    *time.Time // all sessions are looked at that began since; nil for none because of that
}

// newLooker connects.
func (d *Database) newLooker(ctx context.Context, migrator string) (*looker, error) {
	config := d.admin.Copy()
	config.Database = d.name
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	l := &looker{conn: conn, migrator: migrator}
	var version int
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, oid FROM pg_database WHERE datname = current_database()`).
		Scan(&version, &l.database)
	if err != nil {
		l.close()
		return nil, err
	}
	l.query = lookQuery(version)
	return l, nil
}

func (l *looker) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx)
}

// lookTimeout is how long a look may take. A connection that is quiet for longer is taken for a lost one.
const lookTimeout = 5 * time.Second

// look looks once at the sessions of the migrator's name and at pids, at those who wait, and at those who hold a lock that
// somebody may wait for; or else at all there are.
func (l *looker) look(ctx context.Context, pids []int32, all bool) (look, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	asked := time.Now()
	rows, err := l.conn.Query(ctx, l.query, l.database, l.migrator, pids, all, l.newer)
	if err != nil {
		return look{}, err
	}
	defer rows.Close()
	var out look
	for rows.Next() {
		r, err := scanSession(rows, &out)
		if err != nil {
			return look{}, err
		}
		if r.pid != 0 {
			out.sessions = append(out.sessions, r)
		}
	}
	out.took = time.Since(asked)
	return out, rows.Err()
}

func scanSession(rows pgx.Rows, l *look) (seenSession, error) {
	var s seenSession
	var pid, leader *int32
	var client, waits *bool
	var app, state, query *string
	var from *netip.Addr
	var port *int32
	var born, xact, began, changed *time.Time
	var relations []uint32
	var row, granted []bool
	var modes []string
	var xids []int64
	var since []*time.Time
	err := rows.Scan(&l.at, &l.prepared, &pid, &leader, &client, &app, &from, &port, &state, &query, &born, &xact, &began, &changed, &waits, &s.blockers,
		&relations, &row, &xids, &modes, &granted, &since)
	if err != nil || pid == nil {
		return s, err
	}
	s.pid, s.leader, s.client, s.app, s.state, s.query, s.waits = *pid, *leader, *client, *app, *state, *query, *waits
	s.from = addressOf(from, orZero(port))
	s.born, s.xact, s.began, s.changed = orZero(born), orZero(xact), orZero(began), orZero(changed)
	s.completed = s.state == "idle" || s.state == "idle in transaction" || s.state == abortedState
	for i := range relations {
		s.locks = append(s.locks, seenLock{relations[i], xids[i], row[i], modes[i], granted[i], orZero(since[i])})
	}
	return s, nil
}

// abortedState is the state of a session whose transaction failed and was not yet rolled back.
const abortedState = "idle in transaction (aborted)"

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
