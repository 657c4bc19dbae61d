package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

var errNoChild = errors.New("no such child")

// TestMain makes this program the other process that a test needs.
func TestMain(m *testing.M) {
	if mode := os.Getenv("SQLITE_CHILD"); mode != "" {
		if err := child(mode, os.Getenv("SQLITE_FILE")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// transaction runs statements, then f, then commits.
func (d *Database) transaction(ctx context.Context, statements []string, f func()) error {
	return d.with(ctx, func(conn *sql.Conn) error {
		if err := run(ctx, conn, append([]string{"BEGIN IMMEDIATE"}, statements...)...); err != nil {
			return err
		}
		f()
		return run(ctx, conn, "COMMIT")
	})
}
