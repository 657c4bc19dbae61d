package store

import (
	"context"
	"fmt"
)

// Number is the number that belongs to a key, such as the port of an environment's address; false when it has none.
func (r Reader) Number(ctx context.Context, key string) (int, bool, error) {
	return first(ctx, r, scanInt, `SELECT number FROM numbers WHERE key = ?`, key)
}

// NumberKeys are those that have a number and begin with the prefix.
func (r Reader) NumberKeys(ctx context.Context, prefix string) ([]string, error) {
	return collect(ctx, r, scanKey, `SELECT key FROM numbers WHERE substr(key, 1, length(?)) = ?`, prefix, prefix)
}

// ReserveNumber gives a key a number of its own and keeps it: the next time it is the same one. choose is asked only
// for a key without one; it must answer with a number that is not taken.
func (t *Tx) ReserveNumber(ctx context.Context, key string, choose func(taken map[int]bool) (int, error)) (int, error) {
	if n, known, err := t.Number(ctx, key); err != nil || known {
		return n, err
	}
	all, err := collect(ctx, t.Reader, scanInt, `SELECT number FROM numbers`)
	if err != nil {
		return 0, err
	}
	taken := make(map[int]bool, len(all))
	for _, n := range all {
		taken[n] = true
	}
	n, err := choose(taken)
	if err != nil {
		return 0, err
	}
	if taken[n] {
		return 0, fmt.Errorf("%d was chosen for %s, but it is taken", n, key)
	}
	_, err = t.exec(ctx, `INSERT INTO numbers (key, number) VALUES (?, ?)`, key, n)
	return n, err
}

// ReleaseNumber lets a key's number go, if it has one.
func (t *Tx) ReleaseNumber(ctx context.Context, key string) error {
	_, err := t.exec(ctx, `DELETE FROM numbers WHERE key = ?`, key)
	return err
}

func scanInt(row row) (n int, err error) {
	err = row.Scan(&n)
	return n, err
}

func scanNumber(row row) (n int64, err error) {
	err = row.Scan(&n)
	return n, err
}

func scanKey(row row) (key string, err error) {
	err = row.Scan(&key)
	return key, err
}
