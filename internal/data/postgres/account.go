package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/problem"
)

// Account is a database in a Server with the role that owns it, as the Compose file names them with POSTGRES_USER,
// POSTGRES_PASSWORD and POSTGRES_DB.
type Account struct {
	Role      string
	Password  string
	Database  string
	Superuser bool // as the image's POSTGRES_USER is; leave it off where environments share a server
}

// Database is the account's database, reached by the daemon through the unix socket. EnsureDatabase makes it.
func (s Server) Database(a Account) (*Database, error) {
	return Open(Config{URL: s.accountURL(a), Admin: s.adminURL(a.Database), Programs: s.Programs})
}

// EnsureDatabase makes sure that the running server has the account's role, with this password, and its database. It
// can be called again at any time.
func (s Server) EnsureDatabase(ctx context.Context, a Account) error {
	if a.Role == "" || a.Database == "" {
		return problem.New(problem.Invalid, "a database needs the name of its role and its own")
	}
	if a.Role == admin || strings.HasPrefix(a.Role, "pg_") {
		return problem.New(problem.Invalid, "the role's name %q is taken", a.Role).WithHint("choose another POSTGRES_USER")
	}
	db, err := s.Database(a)
	if err != nil {
		return err
	}
	config := db.admin.Copy()
	config.Database = db.maintenance()
	// A statement that fails is logged by the server, and the one that sets the password must not be.
	config.RuntimeParams["log_statement"] = "none"
	config.RuntimeParams["log_min_error_statement"] = "panic"
	config.RuntimeParams["log_min_duration_statement"] = "-1"
	return connect(ctx, config, func(conn *pgx.Conn) error {
		// Two at once would fail with "tuple concurrently updated". The lock goes with the connection.
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", ensuring); err != nil {
			return err
		}
		if err := ensureRole(ctx, conn, a); err != nil {
			return fmt.Errorf("make the role %s: %w", a.Role, err)
		}
		if err := ensureDatabase(ctx, conn, a); err != nil {
			return fmt.Errorf("make the database %s: %w", a.Database, err)
		}
		return nil
	})
}

// ensuring is the advisory lock of whoever makes roles and databases, any number that means nothing else: "greenroo".
const ensuring int64 = 0x677265656e726f6f

func ensureRole(ctx context.Context, conn *pgx.Conn, a Account) error {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", a.Role).Scan(&exists); err != nil {
		return err
	}
	verb, super := "CREATE", "NOSUPERUSER"
	if exists {
		verb = "ALTER"
	}
	if a.Superuser {
		super = "SUPERUSER"
	}
	password := "NULL"
	if a.Password != "" {
		password = literal(a.Password)
	}
	_, err := conn.Exec(ctx, fmt.Sprintf("%s ROLE %s LOGIN %s PASSWORD %s", verb, quote(a.Role), super, password))
	return err
}

func ensureDatabase(ctx context.Context, conn *pgx.Conn, a Account) error {
	var owner string
	err := conn.QueryRow(ctx, `SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1`, a.Database).Scan(&owner)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		_, err = conn.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE template0", quote(a.Database), quote(a.Role)))
	case err == nil && owner != a.Role:
		_, err = conn.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s OWNER TO %s", quote(a.Database), quote(a.Role)))
	}
	if err != nil || a.Superuser {
		return err
	}
	// Everybody may connect to a new database. In a shared server that would be the other environments' roles.
	_, err = conn.Exec(ctx, fmt.Sprintf("REVOKE CONNECT, TEMPORARY ON DATABASE %s FROM PUBLIC", quote(a.Database)))
	return err
}
