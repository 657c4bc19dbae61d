package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date.
func migrate(ctx context.Context, db *sql.DB, file string, signer evidence.Signer) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(goose.NewGoMigration(3, &goose.GoFunc{RunTx: signOld(signer)}, nil)))
	if err != nil {
		return err
	}
	have, know, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > know {
		return problem.New(problem.Unavailable,
			"%s was written by a newer Greenroom (its schema is version %d, this Greenroom knows %d)", file, have, know).
			WithHint("start the newer Greenroom again; nothing was changed")
	}
	if have == know {
		return nil
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring %s up to date: %w", file, err)
	}
	return nil
}

// signOld is migration 3: it links and signs the entries that an older Greenroom has written, in their order. The
// signature says that they were there at the upgrade, and nothing about the time before.
func signOld(signer evidence.Signer) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		old := Reader{q: tx}
		insert, err := tx.PrepareContext(ctx, insertEntry)
		if err != nil {
			return err
		}
		defer insert.Close() //nolint:errcheck // it ends with the transaction
		var head evidence.Head
		for after := int64(0); ; {
			batch, err := collect(ctx, old, scanUnsigned, `SELECT seq, at, actor, action, app, environment, subject, run, because, detail
				FROM audit_unsigned WHERE seq > ? ORDER BY seq LIMIT 1000`, after)
			if err != nil {
				return err
			}
			for _, e := range batch {
				after = e.Seq
				e = evidence.Link(e, head, signer) // which numbers them anew, without gaps
				if _, err := insert.ExecContext(ctx, entryValues(e)...); err != nil {
					return err
				}
				head = evidence.Head{Seq: e.Seq, Hash: e.Hash}
			}
			if len(batch) == 0 {
				_, err := tx.ExecContext(ctx, `DROP TABLE audit_unsigned`)
				return err
			}
		}
	}
}

func scanUnsigned(row row) (e evidence.Entry, err error) {
	var at int64
	err = row.Scan(entryFields(&e, &at)[:10]...)
	e.At = moment(at)
	return e, err
}
