package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/problem"
)

// StopSignal asks a server for its fast shutdown: sessions are ended, transactions rolled back, data written. SIGTERM
// would wait for every client to leave.
const StopSignal = "SIGINT"

// admin is the role that initdb makes and with which the daemon does its work. It has no password and comes in by unix
// socket only, as the system user that the daemon runs as.
const admin = "greenroom_admin"

// Server is a private PostgreSQL server: what it takes to prepare its folder and to run it. Somebody else supervises the
// process (Command, Env, User, StopSignal); nothing here starts or stops it.
//
// Inside Dir: data is PostgreSQL's own, hba.conf and ident.conf say who may come in, sockets has the unix socket unless
// its path would be too long (see Sockets).
type Server struct {
	Programs Programs
	Dir      string // absolute; this server's and nothing else's
	Port     int    // on 127.0.0.1
	User     string // system user that runs it; as root it takes one, see SystemUser
	Fast     bool   // no fsync: for what is thrown away anyway, such as a stage's
	Mark     string // NAME=value in the environment of the programs that Prepare runs, by which they are found should they outlive it; may be empty
}

// SystemUser is who a server has to run as that has no user of its own. PostgreSQL refuses to run as root: then it is the user postgres where the
// machine has it, otherwise nobody. For any other user it is "", the user itself.
func SystemUser() (string, error) {
	if os.Getuid() != 0 {
		return "", nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if _, err := user.Lookup(name); err == nil {
			return name, nil
		}
	}
	return "", problem.New(problem.Unavailable,
		"PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody").
		WithHint("useradd --system postgres")
}

// Command is the server's command line. Memory is kept small, since several servers share a machine with the app.
func (s Server) Command() []string {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(s.Port),
		"unix_socket_directories=" + s.Sockets(),
		"unix_socket_permissions=0700",
		"hba_file=" + s.file("hba.conf"),
		"ident_file=" + s.file("ident.conf"),
		"logging_collector=off",
		"log_destination=stderr",
		"log_timezone=UTC",
		"timezone=UTC", // as in the image
		"max_connections=100",
		"shared_buffers=32MB",
		"max_wal_size=256MB",
	}
	if s.Fast { // but with all of the write-ahead log: how much of it a migration writes is measured on a stage
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	argv := []string{s.Programs.path("postgres"), "-D", s.data()}
	for _, setting := range settings {
		argv = append(argv, "-c", setting)
	}
	return argv
}

// Env is the server's whole environment.
func (s Server) Env() map[string]string {
	return map[string]string{"LC_ALL": locale(), "TZ": "UTC", "PATH": s.Programs.Bin + ":/usr/bin:/bin"}
}

// locale is what a server's databases sort by: the same on every machine of its kind, whatever locales are installed.
// Without a valid one macOS' PostgreSQL refuses to start.
func locale() string {
	if runtime.GOOS == "darwin" {
		return "en_US.UTF-8"
	}
	return "C.UTF-8"
}

// maxSocketPath is how long a unix socket's path may be in bytes: 103 on macOS, 107 on Linux. The smaller holds for both.
const maxSocketPath = 103

// Sockets is the folder of the server's unix socket, which only its user and the daemon can reach: inside Dir where the
// path is short enough, otherwise a folder of this user's in the system's temporary folder.
func (s Server) Sockets() string {
	if dir := filepath.Join(s.Dir, "sockets"); socketFits(dir) {
		return dir
	}
	sum := sha256.Sum256([]byte(s.Dir))
	name := filepath.Join("greenroom-"+strconv.Itoa(os.Getuid()), hex.EncodeToString(sum[:6]))
	if dir := filepath.Join(os.TempDir(), name); socketFits(dir) {
		return dir
	}
	return filepath.Join("/tmp", name)
}

// socketFits says whether a socket in dir can be bound. unix_socket_directories is a list, in which a comma or a quote
// would mean something else.
func socketFits(dir string) bool {
	return len(dir)+len("/.s.PGSQL.65535") <= maxSocketPath && !strings.ContainsAny(dir, `,"`)
}

// Ready returns once the server answers queries, or with the last reason why not when ctx ends.
func (s Server) Ready(ctx context.Context) error {
	db, err := Open(Config{URL: s.adminURL("postgres"), Programs: s.Programs})
	if err != nil {
		return err
	}
	return db.ready(ctx, "in "+s.Dir)
}

// Ready returns once the database answers queries, or with the last reason why not when ctx ends.
func (d *Database) Ready(ctx context.Context) error {
	return d.ready(ctx, "of the database "+d.name)
}

// ready asks every 50 ms.
func (d *Database) ready(ctx context.Context, which string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := d.Ping(ctx)
		if err == nil {
			return nil
		}
		if refused(err) {
			return err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return problem.New(problem.Unavailable, "the database server %s is not ready: %w", which, err)
		case <-tick.C:
		}
	}
}

// refused says that the server let us know who may not come in, which no waiting changes. SQLSTATE class 28 is invalid
// authorization.
func refused(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && strings.HasPrefix(pe.Code, "28")
}

func (s Server) file(name string) string { return filepath.Join(s.Dir, name) }

func (s Server) data() string { return s.file("data") }

func (s Server) adminURL(database string) string {
	q := url.Values{"host": {s.Sockets()}, "port": {strconv.Itoa(s.Port)}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(admin), Path: "/" + database, RawQuery: encode(q)}
	return u.String()
}

// accountURL is what services get. sslmode is spelt out because some clients insist on TLS without it.
func (s Server) accountURL(a Account) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(a.Role, a.Password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)),
		Path:     "/" + a.Database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// encode is a query as PostgreSQL's clients read it: to them, as in RFC 3986 and unlike in forms, a plus is a plus.
func encode(q url.Values) string { return strings.ReplaceAll(q.Encode(), "+", "%20") }

func (s Server) String() string { return fmt.Sprintf("PostgreSQL %s in %s", s.Programs.Version, s.Dir) }
