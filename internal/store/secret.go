package store

import (
	"context"
	"time"

	"greenroom/internal/problem"
)

// Secret is a value that only the holder of the key can read; the store never sees it.
type Secret struct {
	App         string
	Environment string
	Name        string
	Sealed      []byte // ciphertext; nil in lists
	Fingerprint string // keyed; tells only whether two are the same
	At          time.Time
}

// PutSecret keeps a secret in place of the one of that name.
func (t *Tx) PutSecret(ctx context.Context, s Secret) error {
	_, err := t.exec(ctx, `INSERT INTO secrets (app, environment, name, sealed, fingerprint, at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET sealed = excluded.sealed, fingerprint = excluded.fingerprint, at = excluded.at`,
		s.App, s.Environment, s.Name, s.Sealed, s.Fingerprint, nanos(t.now))
	return err
}

// RemoveSecret forgets a secret; one that is not there is a problem.
func (t *Tx) RemoveSecret(ctx context.Context, app, environment, name string) error {
	r, err := t.exec(ctx, `DELETE FROM secrets WHERE app = ? AND environment = ? AND name = ?`, app, environment, name)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return noSecret(environment, name)
}

// Secret finds a secret.
func (r Reader) Secret(ctx context.Context, app, environment, name string) (Secret, error) {
	s, found, err := first(ctx, r, func(row row) (s Secret, err error) {
		var at int64
		err = row.Scan(&s.App, &s.Environment, &s.Name, &s.Fingerprint, &at, &s.Sealed)
		s.At = moment(at)
		return s, err
	}, `SELECT app, environment, name, fingerprint, at, sealed FROM secrets WHERE app = ? AND environment = ? AND name = ?`,
		app, environment, name)
	if err == nil && !found {
		err = noSecret(environment, name)
	}
	return s, err
}

// Secrets lists an app's secrets without their values, of one environment or with environment "" of all.
func (r Reader) Secrets(ctx context.Context, app, environment string) ([]Secret, error) {
	return collect(ctx, r, func(row row) (s Secret, err error) {
		var at int64
		err = row.Scan(&s.App, &s.Environment, &s.Name, &s.Fingerprint, &at)
		s.At = moment(at)
		return s, err
	}, `SELECT app, environment, name, fingerprint, at FROM secrets
		WHERE app = ? AND (? = '' OR environment = ?) ORDER BY environment, name`, app, environment, environment)
}

func noSecret(environment, name string) error {
	return problem.New(problem.NotFound, "%s has no secret %s", environment, name).
		WithHint("greenroom secret set %s --environment %s", name, environment)
}
