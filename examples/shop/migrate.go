package main

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the database's schema to what this release needs. Two at once are one after the other.
func Migrate(ctx context.Context, url string, out io.Writer) error {
	if url == "" {
		return errNoDatabase
	}
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	// Whoever starts the migration may give it a name to find its sessions by, in PGAPPNAME, and a time-out, in PGOPTIONS.
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "shop migrate"
	}
	// A schema change that waits for a lock makes every query behind it wait too: better to fail and be tried again.
	if !strings.Contains(c.RuntimeParams["options"], "lock_timeout") {
		c.RuntimeParams["lock_timeout"] = "2s"
	}
	db := stdlib.OpenDB(*c)
	defer func() { _ = db.Close() }()

	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60)) // every second, for a minute
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	done, err := p.Up(ctx)
	for _, m := range done {
		_, _ = fmt.Fprintf(out, "applied %s in %s\n", filepath.Base(m.Source.Path), m.Duration)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	_, _ = fmt.Fprintf(out, "the schema is at version %d\n", version)
	return nil
}
