package store

import (
	"cmp"
	"context"
	"errors"

	"greenroom/internal/evidence"
)

// Changes that come at the same time share one transaction, and so one wait for the disk. Each runs in a savepoint of its
// own, on its caller's goroutine, while it has the turn; then it queues for the turn once more. Whoever gets it for the
// second time commits: by then everybody who was waiting when that one had finished has had a share. Turns are given in
// the order in which they were asked for, so a group is never larger than the number of callers, and a caller that is
// alone commits at once.
//
// Nothing is acknowledged, not even a refusal, before the commit: a refusal may rest on what another one of the group has
// written. When a group fails as a whole (a full disk takes all of a transaction with it), each of its changes is tried
// again alone, so that one is never refused for what another did.

// group is changes that share a transaction.
type group struct {
	head evidence.Head // of the log, with what the group has added
	size int
	done chan struct{} // closed when it has ended
	err  error         // why it was not committed; set before done is closed
}

var (
	errClosed   = errors.New("the store is closed")
	errPanicked = errors.New("the change panicked")
)

// transact makes a change, and tells listeners after the commit. do may be called twice.
func (s *Store) transact(ctx context.Context, do func(t *Tx) error) error {
	g, t, err := s.share(ctx, do)
	if g != nil && g.err != nil && g.size > 1 {
		t, err = s.alone(ctx, do)
	} else if g != nil {
		err = cmp.Or(err, g.err)
	}
	if err != nil {
		return s.explain(err)
	}
	for run := range t.changed {
		s.feed.tell(run)
	}
	return nil
}

// share makes a change as a part of a group, and returns when that has ended; without a group it has not begun.
func (s *Store) share(ctx context.Context, do func(t *Tx) error) (*group, *Tx, error) {
	if err := s.take(ctx); err != nil {
		return nil, nil, err
	}
	if s.open == nil {
		if err := s.begin(); err != nil {
			s.give()
			return nil, nil, err
		}
	}
	g := s.open
	defer s.settle(g)
	defer s.give()
	t, err := s.step(ctx, g, do)
	return g, t, err
}

// alone makes a change in a transaction of its own.
func (s *Store) alone(ctx context.Context, do func(t *Tx) error) (t *Tx, err error) {
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	if s.open != nil {
		s.end(s.open, nil)
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	g := s.open
	err = errPanicked
	defer func() {
		if s.open == g {
			s.end(g, err)
		}
		err = cmp.Or(err, g.err)
	}()
	t, err = s.step(ctx, g, do)
	return t, err
}

// take waits for the turn to write.
func (s *Store) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := ctx.Err()
	if s.session == nil {
		err = errClosed
	}
	if err != nil {
		s.give()
	}
	return err
}

func (s *Store) give() { <-s.turn }

// settle waits for the end of a group, or ends it.
func (s *Store) settle(g *group) {
	select {
	case <-g.done:
	case s.turn <- struct{}{}:
		if s.open == g {
			s.end(g, nil)
		}
		s.give()
		<-g.done
	}
}

// begin begins a group. The log goes on from what the file says, signed by the key that the file says.
func (s *Store) begin() error {
	if err := s.session.control("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	head, err := s.handOver(context.Background(), Reader{q: s.session, file: s.file})
	if err != nil {
		_ = s.session.control("ROLLBACK") // err is told
		return err
	}
	s.open = &group{head: head, done: make(chan struct{})}
	return nil
}

// end commits a group, or with err undoes it.
func (s *Store) end(g *group, err error) {
	s.open = nil
	if err == nil {
		err = s.session.control("COMMIT")
	}
	if err != nil {
		_ = s.session.control("ROLLBACK") // err is told; SQLite may have rolled back by itself
	}
	g.err = err
	close(g.done)
}

// step makes one change of a group. When it fails, or panics, nothing of it remains.
func (s *Store) step(ctx context.Context, g *group, do func(t *Tx) error) (*Tx, error) {
	g.size++
	if err := s.session.control("SAVEPOINT change"); err != nil {
		s.end(g, err)
		return nil, err
	}
	before, whole := g.head, false
	defer func() {
		if whole || s.open != g {
			return
		}
		g.head = before
		if err := cmp.Or(s.session.control("ROLLBACK TO change"), s.session.control("RELEASE change")); err != nil {
			s.end(g, err) // SQLite has rolled back all of it by itself
		}
	}()
	t := &Tx{Reader: Reader{q: s.session, file: s.file}, session: s.session, group: g, signer: s.signer(),
		now: s.now().UTC().Round(0), changed: map[int64]bool{}}
	err := do(t)
	if err == nil {
		err = t.broken
	}
	if err == nil {
		err = s.session.control("RELEASE change")
	}
	whole = err == nil
	return t, err
}
