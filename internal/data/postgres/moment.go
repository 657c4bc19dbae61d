package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"greenroom/internal/problem"
)

// moment is one state of a database that several connections look at, on a primary or on a hot standby. All tables are
// locked against changes of their structure, and against nothing else.
type moment struct {
	id        string
	structure *structure
	replays   bool // on a standby
	exporter  *pgx.Conn
	readers   []*pgx.Conn
}

// How a moment is taken. A lock that is not to be had at once means that somebody changes a table; whoever waits for it
// longer stands in front of everybody who only wants to read that table.
const (
	lockPatience = time.Second
	lockTries    = 5
	lockPause    = time.Second
)

// takeMoment takes a moment and locks for readers connections beside the one that keeps it. Where a table can't be locked
// within a second it lets go of everything, waits a second and begins anew; after five times that is Blocked, with who is
// in the way.
func (d *Database) takeMoment(ctx context.Context, readers int, timeout time.Duration) (*moment, error) {
	for try := 1; ; try++ {
		m, err := d.tryMoment(ctx, readers, timeout)
		if err == nil {
			return m, nil
		}
		if !passing(err) {
			return nil, err
		}
		if try == lockTries {
			return nil, d.inTheWay(ctx, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

var errTableCame = errors.New("a table was made meanwhile")

// passing says whether an error comes of somebody who changes the schema right now.
func passing(err error) bool {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return errors.Is(err, errTableCame)
	}
	switch pe.Code {
	case "55P03", "42P01", "3F000": // lock not available; a table, a schema is gone
		return true
	}
	return false
}

func (d *Database) tryMoment(ctx context.Context, readers int, timeout time.Duration) (m *moment, err error) {
	m = &moment{}
	defer func() {
		if err != nil {
			m.end(ctx)
		}
	}()
	if m.exporter, err = d.reader(ctx, timeout); err != nil {
		return m, err
	}
	lock, locked, err := lockStatement(ctx, m.exporter)
	if err != nil {
		return m, err
	}
	// The moment is that of the first query, so the locks come before it: what is read is what was locked.
	for _, s := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", lock} {
		if _, err := m.exporter.Exec(ctx, s); err != nil {
			return m, unreadable(err)
		}
	}
	if err := m.exporter.QueryRow(ctx, "SELECT pg_export_snapshot(), pg_is_in_recovery()").Scan(&m.id, &m.replays); err != nil {
		return m, err
	}
	if m.structure, err = readStructure(ctx, m.exporter); err != nil {
		return m, err
	}
	for _, t := range m.structure.tables {
		for _, h := range t.heaps {
			if h.kind == "r" && !locked[[2]string{h.space, h.name}] {
				return m, errTableCame
			}
		}
	}
	for range readers {
		conn, err := d.reader(ctx, timeout)
		if err != nil {
			return m, err
		}
		m.readers = append(m.readers, conn)
		// Each reader locks everything now. Later it would wait behind whoever waits for the exporter, for ever.
		for _, s := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET TRANSACTION SNAPSHOT " + literal(m.id), lock} {
			if _, err := conn.Exec(ctx, s); err != nil {
				return m, m.ended(ctx, err)
			}
		}
	}
	return m, nil
}

// lockStatement locks every table that has rows. An extension's tables are not read.
func lockStatement(ctx context.Context, conn *pgx.Conn) (statement string, tables map[[2]string]bool, err error) {
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'e')
		ORDER BY c.oid`)
	if err != nil {
		return "", nil, err
	}
	tables = map[[2]string]bool{}
	var names []string
	var space, name string
	_, err = pgx.ForEachRow(rows, []any{&space, &name}, func() error {
		tables[[2]string{space, name}] = true
		names = append(names, "ONLY "+quote(space, name))
		return nil
	})
	if err != nil || len(names) == 0 {
		return "SET LOCAL row_security = off", tables, err // nothing to lock
	}
	return "LOCK TABLE " + strings.Join(names, ", ") + " IN ACCESS SHARE MODE", tables, nil
}

// alone is how long a transaction of ours may be idle. A Greenroom that died with its machine, so that the server hears
// nothing of it, leaves it open no longer. The exporter idles while pg_dump joins the moment; the readers have joined.
const alone = time.Minute

// reader is a connection for reading production: known by its name, bounded in all that it may hold up, writing values
// the one way that every server reads.
func (d *Database) reader(ctx context.Context, timeout time.Duration) (*pgx.Conn, error) {
	settings := append(spelling(),
		"application_name = 'greenroom snapshot'",
		fmt.Sprintf("statement_timeout = %d", timeout.Milliseconds()),
		fmt.Sprintf("lock_timeout = %d", lockPatience.Milliseconds()),
		fmt.Sprintf("idle_in_transaction_session_timeout = %d", alone.Milliseconds()),
		"tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3",
		"default_transaction_read_only = on",
	)
	return d.session(ctx, d.name, settings)
}

// spelling are the settings that decide how values are written, whatever a database or a role has set, and those that
// pg_dump sets for its own sake: nothing is found by search_path, and hidden rows are an error.
func spelling() []string {
	return []string{
		"client_encoding = 'UTF8'", "datestyle = 'ISO, MDY'", "intervalstyle = 'postgres'", "extra_float_digits = 3", "timezone = 'UTC'",
		"bytea_output = 'hex'", "lc_monetary = 'C'", "search_path = ''", "row_security = off", "xmloption = 'content'",
		"standard_conforming_strings = on", "client_min_messages = 'warning'",
	}
}

// session is a connection with settings of its own, to be ended with hangUp.
func (d *Database) session(ctx context.Context, name string, settings []string) (*pgx.Conn, error) {
	config := d.admin.Copy()
	config.Database = name
	conn, err := dial(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := perform(ctx, conn, "SET "+strings.Join(settings, "; SET ")); err != nil {
		hangUp(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// perform runs SQL as the text that it is, several statements too.
func perform(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// A replica ends the sessions of a moment that stands in the way of what it has to replay one after the other, and those that
// idle by hanging up. What it said before is read only by who reads before he writes.
const (
	hungUp  = time.Millisecond // for a session that is about to be used
	hangsUp = 2 * time.Second  // for the exporter, whose turn may come later than that of those who joined it
)

// cancelled is what a replica said when it ended a session of the moment, if it says so within that time.
func (m *moment) cancelled(ctx context.Context, conn *pgx.Conn, within time.Duration) error {
	if !m.replays {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	message, err := conn.PgConn().ReceiveMessage(ctx)
	if said, ok := message.(*pgproto3.ErrorResponse); ok { // it may also abort the transaction and stay
		err = pgconn.ErrorResponseToPgError(said)
	}
	if Conflicted(err) {
		return err
	}
	return nil
}

// ended is why somebody could not join the moment. Where a replica ended it, whoever comes next only hears that there is no such
// snapshot, and pg_dump tells no SQLSTATE at all; the exporter is told why.
func (m *moment) ended(ctx context.Context, err error) error {
	if err == nil || Conflicted(err) {
		return err
	}
	if why := m.cancelled(ctx, m.exporter, hangsUp); why != nil {
		return why
	}
	return err
}

// leave lets go of the connection that exported the moment: those who joined it have it without that.
func (m *moment) leave(ctx context.Context) {
	hangUp(ctx, m.exporter)
	<-m.exporter.PgConn().CleanupDone()
}

// end lets go of everything. The server rolls back what a connection leaves.
func (m *moment) end(ctx context.Context) {
	for _, conn := range append(m.readers, m.exporter) {
		if conn != nil {
			hangUp(ctx, conn)
			<-conn.PgConn().CleanupDone()
		}
	}
}

// unreadable says what to do where the role may not read a table.
func unreadable(err error) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "42501" { // insufficient_privilege
		return err
	}
	return problem.New(problem.Blocked, "not every row can be read: %w", err).
		WithHint("read with a role that has pg_read_all_data, and BYPASSRLS where tables have row level security")
}

// inTheWay makes a problem of a lock that could not be had, with who has it or waits for it. What they run is not told: it
// may hold values.
func (d *Database) inTheWay(ctx context.Context, cause error) error {
	var who []string
	err := d.with(ctx, d.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT DISTINCT format('session %s%s with %s', a.pid,
				CASE a.application_name WHEN '' THEN '' ELSE ' (' || a.application_name || ')' END, l.relation::regclass)
			FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.relation >= 16384
				AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if err != nil {
			return err
		}
		who, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	if len(who) == 0 {
		who = []string{"nobody who is still there"}
	}
	return problem.New(problem.Blocked, "the tables of %s are being changed, by %s: a snapshot does not wait in front of that", d.name, strings.Join(who, ", ")).
		WithHint("try again when that migration is through")
}
