package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"greenroom/internal/data"
	"greenroom/internal/layout"
)

// session is the connection that migrations run on, as the database's own role: what they make has to belong to it.
type session struct {
	conn     *pgx.Conn
	name     string // application name
	user     string // the role
	schema   string // the current one
	database string
	path     string // of the database in the URL, with which golang-migrate makes its lock
	assume   string // statement that makes the administrator the role; "" where it logged in itself
}

// openSession connects the way the daemon does, since the URL's address may mean another server where the daemon is: as
// the administrator, who then becomes the role. One who can't do that is no nearer to the server than the role is, and the
// role logs in itself.
func (d *Database) openSession(ctx context.Context, o data.RunOptions) (*session, error) {
	config, u, err := parse(d.url)
	if err != nil {
		return nil, err
	}
	s := &session{name: clipped(o.Migrator), user: config.User, database: d.name, path: u.Path}
	if s.path == "" {
		s.path = "/" + d.name
	}
	version, super, settings, err := d.about(ctx, config.User)
	if err != nil {
		return nil, err
	}
	if super && d.admin.User != config.User {
		config = d.admin.Copy()
		config.Database = d.name
		s.assume = "SET SESSION AUTHORIZATION " + quote(s.user)
	} else {
		settings = nil // logging in brings them along
	}
	config.ConnectTimeout = max(config.ConnectTimeout, d.admin.ConnectTimeout)
	// Statements go to the server as they are, several at once where the tool sends them so.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	// A cancelled statement is cancelled at the server, and the connection lives on to roll back.
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: endTimeout}
	}
	for name, value := range settings {
		config.RuntimeParams[name] = value
	}
	for name, value := range timeouts(o, version) {
		config.RuntimeParams[name] = value
	}
	config.RuntimeParams["application_name"] = s.name
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, d.failed(ctx, "connect for migrations to", err)
	}
	s.conn = conn
	if err := s.begin(ctx); err != nil {
		s.close(ctx)
		return nil, d.failed(ctx, "become the role "+s.user+" in", err)
	}
	return s, nil
}

func (s *session) begin(ctx context.Context) error {
	if err := s.reset(ctx); err != nil {
		return err
	}
	return s.conn.QueryRow(ctx, "SELECT coalesce(current_schema(), ''), current_user").Scan(&s.schema, &s.user)
}

// clipped is a name as the server keeps it: 63 bytes, printable ASCII alone.
func clipped(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c < 32 || c > 126 {
			b[i] = '?'
		}
	}
	return string(b[:min(len(b), 63)])
}

// timeouts are the session's settings, as such of its start, so that RESET ALL brings them back. What a dead Greenroom had
// open is rolled back by the server within a minute, also while a statement runs or waits.
func timeouts(o data.RunOptions, version int) map[string]string {
	all := map[string]string{
		"lock_timeout":                        milliseconds(o.LockTimeout),
		"statement_timeout":                   milliseconds(o.Statement),
		"idle_in_transaction_session_timeout": "60000",
		"tcp_keepalives_idle":                 "10",
		"tcp_keepalives_interval":             "10",
		"tcp_keepalives_count":                "3",
	}
	if version >= 140000 {
		all["client_connection_check_interval"] = "2000"
	}
	return all
}

// milliseconds is never 0 for what is longer: that would be no limit.
func milliseconds(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}

// about tells the server's version, whether the administrator may become any role, and the settings that the role would
// get when it logs in here.
func (d *Database) about(ctx context.Context, role string) (version int, super bool, settings map[string]string, err error) {
	settings = map[string]string{}
	err = d.with(ctx, d.name, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&version, &super)
		if err != nil {
			return err
		}
		rows, err := conn.Query(ctx, `SELECT unnest(s.setconfig) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
			WHERE r.rolname = $1 AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) ORDER BY s.setdatabase`, role)
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, setting := range all {
			name, value, _ := strings.Cut(setting, "=")
			settings[name] = value
		}
		return err
	})
	return version, super, settings, err
}

// reset makes the session what it was at its start: a migration may have set anything, and the next one must not depend on
// whether both run on the same day.
func (s *session) reset(ctx context.Context) error {
	statements := "RESET ALL; RESET ROLE"
	if s.assume != "" {
		statements = s.assume + "; " + statements
	}
	return s.run(ctx, statements)
}

// run sends SQL as one query, as the tools do, and drops what it returns.
func (s *session) run(ctx context.Context, sql string) error {
	results := s.conn.PgConn().Exec(ctx, sql)
	for results.NextResult() {
		for rows := results.ResultReader(); rows.NextRow(); {
			continue
		}
	}
	return results.Close()
}

func (s *session) pid() uint32 { return s.conn.PgConn().PID() }

func (s *session) versionTable(tool layout.Tool) layout.Table {
	return layout.VersionTable(tool, layout.Postgres, s.schema)
}

// read is what a version table says.
func (s *session) read(ctx context.Context, t layout.Table) (layout.State, error) {
	var there bool
	err := s.conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = $2)", s.schema, t.Name).Scan(&there)
	if err != nil {
		return layout.State{}, err
	}
	if !there {
		state := t.State(nil)
		state.Missing = true
		return state, nil
	}
	rows, err := s.conn.Query(ctx, t.Read().SQL)
	if err != nil {
		return layout.State{}, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[layout.Row])
	return t.State(all), err
}

// end waits until the server has nothing of the session any more, and ends it where it doesn't end by itself.
func (s *session) end(ctx context.Context, d *Database) error {
	pid, name := int32(s.pid()), s.name
	return d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error {
		return untilGone(ctx, func() (int, error) {
			pids, err := terminate(ctx, conn, "pid = $1 AND application_name = $2", pid, name)
			return len(pids), err
		})
	})
}

func (s *session) close(ctx context.Context) {
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.conn.Close(bye)
}

// What PostgreSQL calls lock_not_available, deadlock_detected and query_canceled.
const (
	lockTimedOut = "55P03"
	deadlock     = "40P01"
	cancelled    = "57014"
)

// failed is what an error of the session's means.
func (s *session) failed(statement layout.Statement, err error) *failure {
	f := &failure{statement: statement, err: err, lost: s.conn.IsClosed()}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		switch pg.Code {
		case lockTimedOut, deadlock:
			f.again = true
		}
		f.lost = f.lost || pg.Severity == "FATAL"
	}
	return f
}
