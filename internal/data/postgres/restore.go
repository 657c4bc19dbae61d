package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/data"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// Restore puts the backup into a new database beside this one and then gives that its name, in one transaction. So the
// database is exactly what the backup holds, also where it had more before; it is the old one until it is the new one; and
// one that was interrupted is done again from the start. Sessions in the database are ended. What belongs to the database
// and not to its content (owner, encoding, locale, grants on it, its settings) is kept.
//
// The administrator has to be allowed to create databases. Where it is not, as with many a URL of a hosted database, the
// answer is Blocked before anything happened.
func (d *Database) Restore(ctx context.Context, file string) error {
	if err := d.programs.need("pg_restore"); err != nil {
		return err
	}
	if err := data.Intact(file); err != nil {
		return err
	}
	if err := d.readable(ctx, file); err != nil {
		return err
	}
	err := d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error {
		if err := d.mayRestore(ctx, conn); err != nil {
			return err
		}
		fresh, old := d.beside("restore"), d.beside("replaced")
		for _, name := range []string{fresh, old} {
			if err := drop(ctx, conn, name); err != nil {
				return err
			}
		}
		if err := d.createLike(ctx, conn, fresh); err != nil {
			return fmt.Errorf("make the database %s: %w", fresh, err)
		}
		err := d.fill(ctx, fresh, file, serverMajor(conn))
		if err == nil {
			err = d.swap(ctx, conn, fresh, old)
		}
		if err != nil {
			return errors.Join(err, d.tidy(ctx, fresh))
		}
		return drop(ctx, conn, old)
	})
	return d.failed(ctx, "restore", err)
}

// mayRestore asks for the right to create databases, and takes the lock that keeps a second restore of this database
// out. The server lets go of it when this session ends, however that comes about.
func (d *Database) mayRestore(ctx context.Context, conn *pgx.Conn) error {
	return d.mayCreate(ctx, conn, "greenroom restore", "the database %s is being restored already")
}

// mayVerify is mayRestore for a trial, whose database is another one: who has to restore waits for no trial.
func (d *Database) mayVerify(ctx context.Context, conn *pgx.Conn) error {
	return d.mayCreate(ctx, conn, "greenroom verify", "a backup of the database %s is being verified already")
}

// mayCreate asks for the right to create databases, and takes a lock; busy is what is said where somebody has it.
func (d *Database) mayCreate(ctx context.Context, conn *pgx.Conn, lock, busy string) error {
	var role string
	var may, locked bool
	// Whoever may not restore takes no lock: the server lets go of one only some time after the session's end.
	err := conn.QueryRow(ctx, `SELECT rolname, rolsuper OR rolcreatedb,
			CASE WHEN rolsuper OR rolcreatedb THEN pg_try_advisory_lock(hashtext($2), hashtext($1)) ELSE false END
		FROM pg_roles WHERE rolname = current_user`, d.name, lock).Scan(&role, &may, &locked)
	switch {
	case err != nil:
		return err
	case !may:
		return problem.New(problem.Blocked, "the role %s may not create databases, and a backup is restored into a new one", role).
			WithHint("ALTER ROLE %s CREATEDB, or restore by hand: pg_restore --clean --if-exists --single-transaction -d DATABASE_URL FILE", quote(role))
	case !locked:
		return problem.New(problem.Blocked, busy, d.name)
	}
	return nil
}

// beside is a name for a database that belongs to this one. PostgreSQL cuts names off at 63 bytes, and two that were
// cut off could be the same.
func (d *Database) beside(purpose string) string {
	name := d.name + "_" + purpose
	if len(name) <= 63 {
		return name
	}
	sum := sha256.Sum256([]byte(d.name))
	return d.name[:36] + "_" + hex.EncodeToString(sum[:8]) + "_" + purpose
}

// drop removes a database with everybody in it. FORCE wants the right to end each process there, and nobody but a superuser has it
// over an autovacuum worker; without FORCE the server ends those by itself, and nobody else.
func drop(ctx context.Context, conn *pgx.Conn, name string) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", quote(name)))
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "42501" { // insufficient_privilege
		if _, again := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)); again == nil {
			return nil
		}
	}
	return err
}

// fill restores into an empty database and measures it, so that the first queries after the swap are planned well.
func (d *Database) fill(ctx context.Context, name, file string, server int) error {
	how := d.fillByJobs
	if d.programs.Major >= timeoutKnown && server < timeoutKnown {
		how = d.fillByScript
	}
	if err := how(ctx, name, file); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return errors.New(migration.Said(err.Error())) // pg_restore shows the rows that a server does not take
	}
	return d.with(ctx, name, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "ANALYZE")
		return err
	})
}

func (d *Database) fillByJobs(ctx context.Context, name, file string) error {
	jobs := "--jobs=" + strconv.Itoa(min(4, runtime.NumCPU()))
	_, err := d.tool(ctx, tool{argv: []string{d.programs.path("pg_restore"), "--exit-on-error", jobs, file}}, name)
	return err
}

// swap renames this database to old and fresh to this one. Renaming locks the name first, so that no session can be
// added, and then waits 5 s for those that are there to leave; meanwhile a second connection sees to it that they do.
// A session that takes longer to roll back gets six times that.
func (d *Database) swap(ctx context.Context, conn *pgx.Conn, fresh, old string) (err error) {
	for range 6 {
		err = d.whileEnding(ctx, func() error {
			return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", quote(d.name), quote(old)))
				if err == nil {
					_, err = tx.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", quote(fresh), quote(d.name)))
				}
				return err
			})
		})
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || pe.Code != "55006" { // object_in_use
			return err
		}
	}
	return err
}

// whileEnding runs f while every session in this database is ended, again and again.
func (d *Database) whileEnding(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				if _, err := terminate(ctx, conn, "datname = $1", d.name); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
			}
		})
	}()
	err := f()
	cancel()
	if endErr := <-ended; err != nil && endErr != nil && !errors.Is(endErr, context.Canceled) {
		return errors.Join(err, endErr)
	}
	return err
}
