package postgres

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
)

// Written reads the server's counters.
func (d *Database) Written(ctx context.Context) (map[string]data.Written, error) {
	all := map[string]data.Written{}
	err := d.with(ctx, d.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT CASE schemaname WHEN 'public' THEN relname ELSE schemaname || '.' || relname END,
			n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables`)
		if err != nil {
			return err
		}
		var table string
		var w data.Written
		_, err = pgx.ForEachRow(rows, []any{&table, &w.Inserted, &w.Updated, &w.Deleted}, func() error {
			all[table] = w
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what was written to %s: %w", d.name, err)
	}
	return all, nil
}

// Verify restores the backup into a database of its own in the same server, and writes all of that out again: an index or
// a page that can't be read would show.
func (d *Database) Verify(ctx context.Context, file string) (schema string, err error) {
	for _, name := range []string{"pg_dump", "pg_restore"} {
		if err := d.programs.need(name); err != nil {
			return "", err
		}
	}
	if err := data.Intact(file); err != nil {
		return "", err
	}
	if err := d.readable(ctx, file); err != nil {
		return "", err
	}
	trial := *d
	trial.name = d.beside("verify")
	err = d.with(ctx, d.maintenance(), func(conn *pgx.Conn) (err error) {
		if err := d.mayVerify(ctx, conn); err != nil {
			return err
		}
		if err := drop(ctx, conn, trial.name); err != nil { // what an interrupted one left
			return err
		}
		if err := d.createLike(ctx, conn, trial.name); err != nil {
			return fmt.Errorf("make the database %s: %w", trial.name, err)
		}
		defer func() {
			if dropErr := d.tidy(ctx, trial.name); err == nil { // through another connection: this one goes with ctx
				err = dropErr
			}
		}()
		err = d.fill(ctx, trial.name, file, serverMajor(conn))
		if err == nil {
			dump := tool{argv: []string{d.programs.path("pg_dump"), "--format=plain", "--file=" + os.DevNull}}
			_, err = d.tool(ctx, dump, trial.name)
		}
		if err != nil && ctx.Err() == nil {
			return data.Damaged(file, err.Error())
		}
		if err == nil {
			schema, err = trial.Fingerprint(ctx)
		}
		return err
	})
	return schema, d.failed(ctx, "verify a backup of", err)
}
