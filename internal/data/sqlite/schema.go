package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Fingerprint is the SHA-256 of Describe's text, in hex.
func (d *Database) Fingerprint(ctx context.Context) (string, error) {
	text, err := d.Describe(ctx)
	if err != nil {
		return "", err
	}
	return fingerprint(text), nil
}

// Describe is the schema as text: the statements that made it, one a line, sorted, without comments and in one way of
// spacing and quoting. What SQLite keeps for itself (sqlite_…) is left out. Unlike elsewhere the order of columns
// counts, since SQLite keeps a table's text and nothing else about it.
func (d *Database) Describe(ctx context.Context) (text string, err error) {
	err = d.with(ctx, func(conn *sql.Conn) (err error) {
		text, err = describe(ctx, conn)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the schema of %s: %w", d.file, err)
	}
	return text, nil
}

func describe(ctx context.Context, conn *sql.Conn) (string, error) {
	var entries []string
	err := each(ctx, conn, `SELECT type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' AND sql IS NOT NULL`, func(scan func(...any) error) error {
		var kind, statement string
		err := scan(&kind, &statement)
		entries = append(entries, kind+" "+strings.Join(tokens(statement), " "))
		return err
	})
	slices.Sort(entries)
	return strings.Join(entries, "\n") + "\n", err
}

// fingerprint is the SHA-256 of a description, in hex.
func fingerprint(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
