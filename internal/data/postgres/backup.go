package postgres

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/atomicfile"
	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// Backup writes pg_dump's custom format, which is one moment however much is written meanwhile. The whole archive is
// read back before it gets its name; <file>.sha256 beside it is what Restore compares with.
func (d *Database) Backup(ctx context.Context, file string) (data.Backup, error) {
	started := time.Now()
	for _, name := range []string{"pg_dump", "pg_restore"} {
		if err := d.programs.need(name); err != nil {
			return data.Backup{}, err
		}
	}
	if err := d.with(ctx, d.name, func(conn *pgx.Conn) error { return d.programs.reads(serverMajor(conn)) }); err != nil {
		return data.Backup{}, d.failed(ctx, "back up", err)
	}
	part := file + ".partial"
	if err := sweep(part); err != nil {
		return data.Backup{}, err
	}
	defer os.Remove(part) //nolint:errcheck // it has its name by now, or is worth nothing
	err := atomicfile.WriteFrom(part, 0o600, func(w io.Writer) error {
		// The writer hides the file: since 16 pg_dump appends to a file that is its standard output, and what it notes at the
		// end of where the tables are would stand behind all that anybody reads.
		_, err := d.tool(ctx, tool{argv: []string{d.programs.path("pg_dump"), "--format=custom", "--no-subscriptions"}, stdout: struct{ io.Writer }{w}}, d.name)
		return err
	})
	if err != nil {
		return data.Backup{}, d.failed(ctx, "back up", err)
	}
	if err := d.readable(ctx, part); err != nil {
		return data.Backup{}, err
	}
	return data.Complete(part, file, started)
}

// readable reads an archive to its end. Its table of contents alone, which pg_restore --list reads, would not show that
// the rest is cut off.
func (d *Database) readable(ctx context.Context, file string) error {
	_, err := run(ctx, tool{argv: []string{d.programs.path("pg_restore"), "--file=/dev/null", file}})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return data.Damaged(file, err.Error())
}

// failed makes a problem of what PostgreSQL said, which is written for people. It is nil for nil.
func (d *Database) failed(ctx context.Context, what string, err error) error {
	if p := (*problem.Error)(nil); err == nil || ctx.Err() != nil || errors.As(err, &p) {
		return err
	}
	return problem.New(problem.Fail, "could not %s the database %s: %w", what, d.name, err)
}

// sweep removes what earlier attempts at this file left when they were killed.
func sweep(part string) error {
	stale, _ := filepath.Glob(filepath.Join(filepath.Dir(part), "."+filepath.Base(part)+".tmp-*")) // only a malformed pattern
	for _, name := range stale {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
