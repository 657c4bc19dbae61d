package postgres

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/problem"
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
	s := &session{name: clipped(o.Migrator), user: config.User, database: d.name, path: cmp.Or(u.Path, "/"+d.name)}
	who, err := d.about(ctx, config.User)
	if err != nil {
		return nil, err
	}
	same := d.admin.User == config.User
	settings := map[string]string{}
	if who.super && !same {
		// Whoever logs in gets them by itself.
		settings = who.settings
		s.assume = "SET SESSION AUTHORIZATION " + quote(s.user)
	}
	maps.Copy(settings, config.RuntimeParams) // what stands in the URL goes before what the role has
	if who.super || same {
		config = d.admin.Copy()
		config.Database = d.name
	}
	maps.Copy(settings, timeouts(o, who.version))
	maps.Copy(config.RuntimeParams, settings)
	config.RuntimeParams["application_name"] = s.name
	config.ConnectTimeout = max(config.ConnectTimeout, d.admin.ConnectTimeout)
	return s, d.login(ctx, s, config)
}

// login connects and becomes the role.
func (d *Database) login(ctx context.Context, s *session, config *pgx.ConnConfig) (err error) {
	// A cancelled statement is cancelled at the server, and the connection lives on to roll back.
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: endTimeout}
	}
	// A migration changes what a statement that was prepared before it means.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	s.conn, err = pgx.ConnectConfig(ctx, config)
	if err != nil && ctx.Err() == nil {
		return problem.New(problem.Unavailable, "the database %s does not answer the role %s: %w", d.name, s.user, err)
	} else if err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		s.close(ctx)
		return d.failed(ctx, "become the role "+s.user+" in", err)
	}
	if s.schema == "" {
		s.close(ctx)
		return problem.New(problem.Invalid, "the role %s has no schema to work in: none of its search_path is there in the database %s", s.user, d.name)
	}
	return nil
}

func (s *session) begin(ctx context.Context) error {
	if err := s.reset(ctx); err != nil {
		return err
	}
	return s.conn.QueryRow(ctx, "SELECT coalesce(current_schema(), ''), current_user").Scan(&s.schema, &s.user)
}

// allowed refuses statements that would make the administrator of the role again.
func (s *session) allowed(o data.RunOptions) error {
	if s.assume == "" {
		return nil
	}
	for _, m := range o.Migrations {
		for _, statement := range slices.Concat(m.Up, m.Down) {
			if strings.Contains(strings.ToLower(strings.Join(strings.Fields(statement.SQL), " ")), "session authorization") {
				return problem.New(problem.Invalid, "%s:%d: SESSION AUTHORIZATION is Greenroom's: the migration runs as the role %s, and SET ROLE is for others", m.File, statement.Line, s.user)
			}
		}
	}
	return nil
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

// about is what has to be known of a server and a role before the role is there.
type about struct {
	version  int               // 150006
	super    bool              // the administrator may become any role
	settings map[string]string // that the role gets when it logs in here
}

func (d *Database) about(ctx context.Context, role string) (about, error) {
	a := about{settings: map[string]string{}}
	err := d.with(ctx, d.name, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&a.version, &a.super)
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
			a.settings[name] = value
		}
		return err
	})
	return a, err
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
