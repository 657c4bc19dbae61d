package store

import (
	"context"

	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// sweptAtOnce is how many rows a transaction removes at most, so that nobody waits for its turn to write.
const sweptAtOnce = 2000

// toldQuery are the runs that have ended before the newest so many of their app. The number of a run's last event says when
// it ended, in the order in which runs did, which neither a clock nor a long run can turn round.
const toldQuery = `SELECT id FROM (
		SELECT id, last, row_number() OVER (PARTITION BY app ORDER BY last DESC, id DESC) AS place FROM (
			SELECT id, app, coalesce((SELECT max(seq) FROM events WHERE run = runs.id), 0) AS last
			FROM runs WHERE phase = 'ended' AND swept = 0))
	WHERE place > ? ORDER BY last, id`

// SweepRuns removes what was told while runs went on, events and the lines of journals, of all runs but the newest that have
// ended of each app, and says of how many. The runs stay, with their outcome, report and entries in the log, and so does
// what the steps of promotions, rollbacks and restores returned. It is done in small transactions: when ctx ends or the
// process dies the next one goes on from there.
func (s *Store) SweepRuns(ctx context.Context, newest int) (swept int, err error) {
	ids, err := collect(ctx, s.Reader, scanNumber, toldQuery, newest)
	for err == nil && len(ids) > 0 {
		var left []int64
		err = s.transact(ctx, func(t *Tx) (err error) {
			left, err = t.sweep(ctx, ids)
			return err
		})
		if err == nil {
			swept, ids = swept+len(ids)-len(left), left
		}
	}
	return swept, err
}

// sweep removes what was told of these runs, as much as goes into one transaction, and returns those of which something is
// left.
func (t *Tx) sweep(ctx context.Context, ids []int64) (left []int64, err error) {
	room := int64(sweptAtOnce)
	for i, id := range ids {
		if room <= 0 {
			return ids[i:], nil
		}
		gone, err := t.remove(ctx, `DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE run = ? ORDER BY seq LIMIT ?)`, id, room)
		if err != nil || gone == room { // there may be more
			return ids[i:], err
		}
		lines, err := t.remove(ctx, `DELETE FROM journal WHERE run = ? AND NOT (state = ? AND result <> ''
			AND (SELECT json_valid(plan) AND json_extract(plan, '$.kind') <> ? FROM runs WHERE id = journal.run))`, id, plan.Done, plan.Rehearsal)
		if err != nil {
			return nil, err
		}
		if err := changedOne(t.exec(ctx, `UPDATE runs SET swept = 1 WHERE id = ? AND phase = 'ended'`, id)); err != nil {
			return nil, err
		}
		room -= gone + lines + 1
	}
	return nil, nil
}

func (t *Tx) remove(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := t.exec(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// namedQuery asks in one statement, so that what goes from a run to an environment meanwhile is not missed in both.
const namedQuery = `SELECT digest FROM (
		SELECT digest FROM (SELECT digest, row_number() OVER (PARTITION BY app ORDER BY build DESC) AS place FROM releases) WHERE place <= ?
		UNION SELECT live FROM environments
		UNION SELECT value FROM environments, json_each(previous)
		UNION SELECT release FROM runs WHERE phase <> 'ended'
		UNION SELECT ` + planFrom + ` FROM runs WHERE phase <> 'ended'
		UNION SELECT release FROM known_bad)
	WHERE digest <> ''`

// Named are the releases that may be asked for at any time, whose files have to be there: live or live before anywhere, in a
// run that has not ended, known to be bad, or among the newest so many of an app. What evidence and standings name is for the
// caller to read.
func (r Reader) Named(ctx context.Context, newest int) (map[release.Digest]bool, error) {
	digests, err := collect(ctx, r, scanText, namedQuery, newest)
	named := make(map[release.Digest]bool, len(digests))
	for _, d := range digests {
		named[release.Digest(d)] = true
	}
	return named, err
}

// AppOf is the app whose release that is; "" for one that is not known here.
func (r Reader) AppOf(ctx context.Context, d release.Digest) (string, error) {
	name, _, err := first(ctx, r, scanText, `SELECT app FROM releases WHERE digest = ?`, d)
	return name, err
}
