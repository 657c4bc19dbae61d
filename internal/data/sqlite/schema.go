package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
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
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:]), nil
}

// Describe is the schema as text: the statements that made it, one a line, sorted, without comments and in one way of
// spacing and quoting. What SQLite keeps for itself (sqlite_…) is left out. Unlike elsewhere the order of columns
// counts, since SQLite keeps a table's text and nothing else about it.
func (d *Database) Describe(ctx context.Context) (string, error) {
	var entries []string
	err := d.with(ctx, func(conn *sql.Conn) (err error) {
		rows, err := conn.QueryContext(ctx, `SELECT type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' AND sql IS NOT NULL`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var kind, statement string
			if err := rows.Scan(&kind, &statement); err != nil {
				return err
			}
			entries = append(entries, kind+" "+strings.Join(tokens(statement), " "))
		}
		return rows.Err()
	})
	if err != nil {
		return "", fmt.Errorf("read the schema of %s: %w", d.file, err)
	}
	slices.Sort(entries)
	return strings.Join(entries, "\n") + "\n", nil
}
