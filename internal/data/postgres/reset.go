package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

var _ data.Resetter = (*Database)(nil)

// Keep makes a copy of the database beside it, that nobody can connect to. Sessions in the database are ended. The earlier
// copy stays until the new one is whole.
func (d *Database) Keep(ctx context.Context) error {
	err := d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error {
		if err := d.mayLoad(ctx, conn); err != nil {
			return err
		}
		pristine, fresh, old := d.beside("pristine"), d.beside("keeping"), d.beside("kept")
		for _, name := range []string{fresh, old} {
			if err := drop(ctx, conn, name); err != nil {
				return err
			}
		}
		err := d.whileEnding(ctx, func() error {
			_, err := d.copyDatabase(ctx, conn, d.name, fresh)
			return err
		})
		if err == nil {
			_, err = conn.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS false", quote(fresh)))
		}
		if err == nil {
			err = d.replace(ctx, conn, fresh, pristine, old)
		}
		if err != nil {
			return errors.Join(err, d.tidy(ctx, fresh))
		}
		return drop(ctx, conn, old)
	})
	return d.failed(ctx, "keep a copy of", err)
}

// replace gives the database fresh the name of another that may be there already, which becomes old.
func (d *Database) replace(ctx context.Context, conn *pgx.Conn, fresh, name, old string) error {
	there, err := exists(ctx, conn, name)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if there {
			if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", quote(name), quote(old))); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", quote(fresh), quote(name)))
		return err
	})
}

// Reset makes a copy of what Keep kept and gives it the database's name, in one transaction. What belongs to the database
// and not to its content (owner, grants on it, its settings) is kept. how is "clone" where the server shares the blocks
// between both copies (PostgreSQL 18 on a file system that can), and "file copy" otherwise.
func (d *Database) Reset(ctx context.Context) (how string, err error) {
	err = d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error {
		if err := d.mayLoad(ctx, conn); err != nil {
			return err
		}
		pristine, fresh, old := d.beside("pristine"), d.beside("reset"), d.beside("replaced")
		there, err := exists(ctx, conn, pristine)
		if err != nil {
			return err
		}
		if !there {
			return problem.New(problem.NotFound, "nothing was kept of the database %s that it could be reset to", d.name)
		}
		for _, name := range []string{fresh, old} {
			if err := drop(ctx, conn, name); err != nil {
				return err
			}
		}
		how, err = d.copyDatabase(ctx, conn, pristine, fresh)
		if err == nil {
			err = d.dress(ctx, conn, fresh)
		}
		if err == nil {
			err = d.swap(ctx, conn, fresh, old)
		}
		if err != nil {
			return errors.Join(err, d.tidy(ctx, fresh))
		}
		return drop(ctx, conn, old)
	})
	return how, d.failed(ctx, "reset", err)
}

func exists(ctx context.Context, conn *pgx.Conn, name string) (there bool, err error) {
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
	return there, err
}

// copyDatabase makes a database of this one's owner out of another that nobody is in, as fast as the server can: by sharing blocks, by copying
// files, which takes a checkpoint before and after and then no time for each page.
func (d *Database) copyDatabase(ctx context.Context, conn *pgx.Conn, from, to string) (how string, err error) {
	var owner string
	var can bool
	err = conn.QueryRow(ctx, `SELECT pg_get_userbyid(datdba), EXISTS (SELECT FROM pg_settings WHERE name = 'file_copy_method')
		FROM pg_database WHERE datname = $1`, d.name).Scan(&owner, &can)
	if err != nil {
		return "", err
	}
	create := fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s OWNER %s", quote(to), quote(from), quote(owner))
	if serverMajor(conn) < 15 {
		_, err := conn.Exec(ctx, create) // there is no other way than by files
		return "file copy", err
	}
	create += " STRATEGY FILE_COPY"
	if can {
		if _, err := conn.Exec(ctx, "SET file_copy_method = clone"); err == nil {
			if _, err = conn.Exec(ctx, create); err == nil {
				return "clone", nil
			}
		}
		if _, err := conn.Exec(ctx, "SET file_copy_method = copy"); err != nil {
			return "", err
		}
	}
	_, err = conn.Exec(ctx, create)
	return "file copy", err
}
