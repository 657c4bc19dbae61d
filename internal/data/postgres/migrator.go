package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/human"
	"greenroom/internal/problem"
)

var _ data.Sessions = (*Database)(nil)

// endTimeout is how long a session may take to roll back what it did.
const endTimeout = 30 * time.Second

// EndMigrator ends the sessions in this database that carry the application name, and returns how many those were once
// none is left. A session is asked again every time it is seen, so one that was about to commit has either committed or
// rolled back by then. One that stays longer than 30 s is Inconclusive.
func (d *Database) EndMigrator(ctx context.Context, name string) (int, error) {
	if name == "" {
		return 0, problem.New(problem.Invalid, "a migrator without an application name can't be told from the app")
	}
	return d.EndSessions(ctx, data.Whose{Name: name})
}

// EndSessions ends a migrator's sessions in this database as EndMigrator does.
func (d *Database) EndSessions(ctx context.Context, w data.Whose) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	ended := map[int32]bool{}
	err := d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error {
		return untilGone(ctx, func() (int, error) {
			pids, err := d.signal(ctx, conn, "pg_terminate_backend", w, func(s migratorSession) bool { return s.mine || s.left && s.strong })
			for _, pid := range pids {
				ended[pid] = true
			}
			return len(pids), err
		})
	})
	if err != nil {
		return len(ended), fmt.Errorf("end the sessions of %s in the database %s: %w", w.Name, d.name, err)
	}
	return len(ended), nil
}

// CancelWaiting cancels what a migrator waits for a lock with.
func (d *Database) CancelWaiting(ctx context.Context, w data.Whose) (n int, err error) {
	err = d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error {
		pids, err := d.signal(ctx, conn, "pg_cancel_backend", w, func(s migratorSession) bool { return s.mine && s.waits })
		n = len(pids)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("cancel what %s waits for in the database %s: %w", w.Name, d.name, err)
	}
	return n, nil
}

// migratorSession is a session that may be a migrator's.
type migratorSession struct {
	pid           int32
	born          time.Time
	mine          bool // by its name, or by who is at its other end
	left          bool // nobody is at its other end any more
	waits, strong bool // for a lock; one as only changes of the schema take is held or waited for
}

// signal calls a function of the server's for each session of a migrator's that is wanted, and returns their pids. Sessions
// of clients only: what works in parallel for them goes with them.
func (d *Database) signal(ctx context.Context, conn *pgx.Conn, function string, w data.Whose, wanted func(migratorSession) bool) ([]int32, error) {
	all, err := d.sessionsOf(ctx, conn, w)
	if err != nil {
		return nil, err
	}
	var pids []int32
	var born []time.Time
	for _, s := range all {
		if wanted(s) {
			pids, born = append(pids, s.pid), append(born, s.born)
		}
	}
	if len(pids) == 0 {
		return nil, nil
	}
	// A pid may be another session's by now; its beginning is not.
	rows, err := conn.Query(ctx, `SELECT pid FROM (SELECT a.pid, `+function+`(a.pid) FROM pg_stat_activity a
		JOIN unnest($1::integer[], $2::timestamptz[]) AS w(pid, born) ON w.pid = a.pid AND w.born = a.backend_start) AS t`, pids, born)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int32])
}

// sessionsOf are the database's sessions, judged by whose they are.
func (d *Database) sessionsOf(ctx context.Context, conn *pgx.Conn, w data.Whose) ([]migratorSession, error) {
	clients, err := alike(ctx, conn, w.Clients)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `SELECT a.pid, a.backend_start, $2 <> '' AND coalesce(a.application_name, '') = left($2, 63),
			a.client_addr, coalesce(a.client_port, -1), coalesce(a.wait_event_type = 'Lock', false),
			EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.database = a.datid AND l.locktype = 'relation'
				AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock'))
		FROM pg_stat_activity a
		WHERE a.datname = $1 AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND a.backend_start IS NOT NULL
			AND coalesce(a.application_name, '') <> '`+greenroomName+`'`, d.name, w.Name)
	if err != nil {
		return nil, err
	}
	var all []migratorSession
	var ends endsOf
	var s migratorSession
	var client *netip.Addr
	var port int32
	_, err = pgx.ForEachRow(rows, []any{&s.pid, &s.born, &s.mine, &client, &port, &s.waits, &s.strong}, func() error {
		if from := addressOf(client, port); !s.mine && from.IsValid() {
			ends.ask(from, len(all))
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	ends.answer(ctx, clients, func(i int, end data.End) {
		all[i].mine, all[i].left = end == data.EndMigrator, end == data.EndGone
	})
	return all, nil
}

// endsOf collects questions after the other ends of sessions, so that all are asked at once.
type endsOf struct {
	addresses []netip.AddrPort
	sessions  []int
}

func (e *endsOf) ask(from netip.AddrPort, session int) {
	e.addresses, e.sessions = append(e.addresses, from), append(e.sessions, session)
}

func (e *endsOf) answer(ctx context.Context, clients data.Clients, take func(session int, end data.End)) {
	if clients == nil || len(e.addresses) == 0 {
		return
	}
	for i, end := range clients(ctx, e.addresses) {
		take(e.sessions[i], end)
	}
}

// addressOf is where a session's client is; the zero address for one on a unix socket, or where it may not be known.
func addressOf(client *netip.Addr, port int32) netip.AddrPort {
	if client == nil || port <= 0 || port > 1<<16-1 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(client.Unmap(), uint16(port)) //nolint:gosec // it was looked at
}

// alike are the clients where the server sees addresses as they are here, and nil where something between translates
// them: then the address of one of its sessions is that of somebody else here, or nobody's. It shows by this connection's own.
func alike(ctx context.Context, conn *pgx.Conn, clients data.Clients) (data.Clients, error) {
	here, tcp := conn.PgConn().Conn().LocalAddr().(*net.TCPAddr)
	if clients == nil || !tcp { // whoever has its socket is on the same machine
		return clients, nil
	}
	var client *netip.Addr
	var port int32
	if err := conn.QueryRow(ctx, "SELECT inet_client_addr(), coalesce(inet_client_port(), -1)").Scan(&client, &port); err != nil {
		return nil, err
	}
	at := here.AddrPort()
	if addressOf(client, port) != netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()) {
		return nil, nil
	}
	return clients, nil
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
			return problem.New(problem.Inconclusive, "%d sessions are still there after %s", left, human.Duration(endTimeout)).
				WithHint("look at pg_stat_activity; only the server's administrator can end what does not end by itself")
		case <-time.After(pause):
		}
	}
}
