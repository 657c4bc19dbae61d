package store

import (
	"context"

	"greenroom/internal/evidence"
)

// LogOf lists the entries of an action, the oldest first. It reads the whole log.
func (r Reader) LogOf(ctx context.Context, action string) ([]evidence.Entry, error) {
	return collect(ctx, r, scanLog, `SELECT `+entryColumns+` FROM audit a WHERE a.action = ? ORDER BY a.seq`, action)
}

// SignedBy counts the pieces of evidence that a key signed. It reads all of them.
func (r Reader) SignedBy(ctx context.Context, id evidence.KeyID) (int, error) {
	n, _, err := first(ctx, r, func(row row) (n int, err error) {
		err = row.Scan(&n)
		return n, err
	}, `SELECT count(*) FROM evidence WHERE instr(CAST(envelope AS TEXT), '"keyid":"' || ? || '"') > 0`, string(id))
	return n, err
}

// Entries counts the log's entries up to that number: as many, unless some are missing.
func (r Reader) Entries(ctx context.Context, upTo int64) (int64, error) {
	n, _, err := first(ctx, r, scanNumber, `SELECT count(*) FROM audit WHERE seq <= ?`, upTo)
	return n, err
}
