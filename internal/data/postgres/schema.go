package postgres

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schemaQuery string

// Fingerprint is the SHA-256 of Describe's text, in hex.
func (d *Database) Fingerprint(ctx context.Context) (string, error) {
	text, err := d.Describe(ctx)
	if err != nil {
		return "", err
	}
	return fingerprintOf(text), nil
}

func fingerprintOf(description string) string {
	sum := sha256.Sum256([]byte(description))
	return hex.EncodeToString(sum[:])
}

// Describe is the schema as text, sorted, one entry a line with the rest of it indented, so that two of them can be
// compared line by line.
//
// It leaves out owners, grants and the roles of policies (each environment has its own roles), comments, storage
// settings, and the order of columns: a table that got its columns in another order is the same to every statement that
// names them, as an application's do. Two major versions of PostgreSQL may spell the same view in two ways.
func (d *Database) Describe(ctx context.Context) (string, error) {
	var text string
	err := d.with(ctx, d.name, func(conn *pgx.Conn) error {
		options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		return pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) (err error) {
			text, err = describe(ctx, tx)
			return err
		})
	})
	if err != nil {
		return "", fmt.Errorf("read the schema of %s: %w", d.name, err)
	}
	return text, nil
}

// describe is Describe in a transaction that sees one state of everything.
func describe(ctx context.Context, tx querier) (string, error) {
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''"); err != nil {
		return "", err
	}
	rows, err := tx.Query(ctx, schemaQuery)
	if err != nil {
		return "", err
	}
	entries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", err
	}
	for i, e := range entries {
		// A function's body may hold any line; indented it can't pass for an entry.
		entries[i] = strings.ReplaceAll(strings.TrimRight(e, "\n"), "\n", "\n    ")
	}
	slices.Sort(entries)
	return strings.Join(entries, "\n") + "\n", nil
}
