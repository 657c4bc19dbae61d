package store

import "context"

// Reserve gives a key a number of its own, the same one for ever, such as the port of an environment's address. Which
// number it is concerns nobody, so it is the one change without an audit entry. choose gets a function that tells
// whether a number is taken already.
func (s *Store) Reserve(ctx context.Context, key string, choose func(taken func(int) bool) (int, error)) (int, error) {
	if n, known, err := s.Number(ctx, key); err != nil || known {
		return n, err
	}
	var n int
	err := s.transact(ctx, func(t *Tx) (err error) {
		n, err = t.ReserveNumber(ctx, key, func(taken map[int]bool) (int, error) {
			return choose(func(n int) bool { return taken[n] })
		})
		return err
	})
	return n, err
}

// Renew gives a key another number than the one that it has, which turned out to be of no use.
func (s *Store) Renew(ctx context.Context, key string, choose func(taken func(int) bool) (int, error)) (int, error) {
	var n int
	err := s.transact(ctx, func(t *Tx) error {
		useless, _, err := t.Number(ctx, key)
		if err != nil {
			return err
		}
		if err := t.ReleaseNumber(ctx, key); err != nil {
			return err
		}
		n, err = t.ReserveNumber(ctx, key, func(taken map[int]bool) (int, error) {
			return choose(func(n int) bool { return taken[n] || n == useless })
		})
		return err
	})
	return n, err
}

// ReleasePrefixes lets the numbers of all keys go that begin with one of these.
func (s *Store) ReleasePrefixes(ctx context.Context, prefixes ...string) error {
	return s.transact(ctx, func(t *Tx) error {
		for _, p := range prefixes {
			// A comparison instead of LIKE, where an underscore in a name would match anything.
			if _, err := t.exec(ctx, `DELETE FROM numbers WHERE substr(key, 1, length(?)) = ?`, p, p); err != nil {
				return err
			}
		}
		return nil
	})
}
