// Package postgres is PostgreSQL: a private server for where an image asks for one (Server), and the work on a database
// (Database), whether it is in a server of ours or one that a URL names.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// Config says how a database is reached.
type Config struct {
	URL      string   // what services get: postgres://user:password@host:port/name?…
	Admin    string   // how the daemon gets to the same server, in the same form; "" is URL. The name in it doesn't matter
	Programs Programs // pg_dump and pg_restore are in there; none of Server's are needed
}

// Database is one database. It holds no connection: each call makes its own, so nothing is there to go stale while
// servers come and go.
type Database struct {
	url      string
	name     string
	admin    *pgx.ConnConfig
	adminURL *url.URL // without a password
	programs Programs
}

var _ data.Database = (*Database)(nil)

// Open makes a Database of its addresses; it does not connect. A malformed address is Invalid.
func Open(c Config) (*Database, error) {
	target, _, err := parse(c.URL)
	if err != nil {
		return nil, err
	}
	if target.Database == "" {
		return nil, problem.New(problem.Invalid, "a database's URL has to name it, as in postgres://user@host:5432/name")
	}
	if c.Admin == "" {
		c.Admin = c.URL
	}
	conn, u, err := parse(c.Admin)
	if err != nil {
		return nil, err
	}
	conn.RuntimeParams["application_name"] = "greenroom"
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = 10 * time.Second
	}
	return &Database{url: c.URL, name: target.Database, admin: conn, adminURL: u, programs: c.Programs}, nil
}

// parse reads a URL, and takes the password out of the one that it returns: it goes to programs as an argument. What is
// wrong is told without the URL, which may hold that password.
func parse(address string) (*pgx.ConnConfig, *url.URL, error) {
	invalid := problem.New(problem.Invalid, "this is not a PostgreSQL URL; one looks like postgres://user:password@host:5432/name")
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, nil, invalid
	}
	conn, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, nil, invalid
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	q.Del("password")
	u.RawQuery = encode(q)
	return conn, u, nil
}

// URL is what services get as DATABASE_URL.
func (d *Database) URL() string { return d.url }

// Ping returns when the database answers a query, or with the reason why not.
func (d *Database) Ping(ctx context.Context) error {
	return d.with(ctx, d.name, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
}

// with runs f on a connection to the database of that name in the same server, as the administrator.
func (d *Database) with(ctx context.Context, name string, f func(*pgx.Conn) error) error {
	config := d.admin.Copy()
	config.Database = name
	return connect(ctx, config, f)
}

func connect(ctx context.Context, config *pgx.ConnConfig, f func(*pgx.Conn) error) error {
	conn, err := dial(ctx, config)
	if err != nil {
		return err
	}
	defer hangUp(ctx, conn)
	return f(conn)
}

func dial(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, fmt.Errorf("connect to the database %s: %w", config.Database, err)
	}
	return nil, problem.New(problem.Unavailable, "the database %s does not answer: %w", config.Database, err)
}

// hangUp says goodbye to the server, also when ctx is over already.
func hangUp(ctx context.Context, conn *pgx.Conn) {
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(bye)
}

// tool runs a program of PostgreSQL's with the address of the database of that name. The password goes along in the
// environment, which only this user can read; arguments everybody can.
func (d *Database) tool(ctx context.Context, t tool, name string) (string, error) {
	u := *d.adminURL
	u.Path = "/" + name
	t.argv = append(t.argv, "--no-password", "--dbname="+u.String())
	t.env = append(t.env, "PGAPPNAME=greenroom", "PGCONNECT_TIMEOUT=10")
	if d.admin.Password != "" {
		t.env = append(t.env, "PGPASSWORD="+d.admin.Password)
	}
	return run(ctx, t)
}

// maintenance is a database beside this one, from which it can be renamed and dropped.
func (d *Database) maintenance() string {
	if d.name == "postgres" {
		return "template1"
	}
	return "postgres"
}

func quote(names ...string) string { return pgx.Identifier(names).Sanitize() }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
