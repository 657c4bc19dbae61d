package store

import (
	"context"
	"encoding/json"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// actionStanding is the action of an entry that records what was taken of an environment: Subject is the signer's ID,
// Detail the envelope's digest as a JSON string.
const actionStanding = "standing"

// Standing is what another Greenroom last said of an environment.
type Standing struct {
	App         string
	Environment string
	Signer      evidence.KeyID
	Log         int64             // the length of the signer's log when it was made
	Recorded    evidence.Recorded // as of evidence: what is recorded and gone has no envelope
}

// PutStanding keeps what another Greenroom says of an environment in place of what it said before. It records it in the
// log itself. What was said earlier is refused: somebody may want production to look as it was.
func (t *Tx) PutStanding(ctx context.Context, s evidence.Standing, signer evidence.KeyID, envelope []byte) error {
	digest := release.Of(envelope)
	old, known, err := t.Standing(ctx, s.App, s.Environment)
	if err != nil || known && old.Recorded.Digest == digest && old.Recorded.Envelope != nil {
		return err
	}
	// A log goes on when its key is replaced, and begins anew with another Greenroom: then only the time can tell.
	older := s.Log.Seq < old.Log
	if old.Signer != signer {
		older = !s.At.After(old.Recorded.Entry.At)
	}
	if known && older {
		return problem.New(problem.Invalid, "this says what %s was before what is known of it already", s.Environment).
			WithHint("greenroom evidence export %s --baseline, where %s runs", s.Environment, s.Environment)
	}
	detail, err := json.Marshal(digest)
	if err != nil {
		return err
	}
	seq, err := t.record(ctx, Audit{Actor: self, Action: actionStanding, App: s.App, Environment: s.Environment,
		Subject: string(signer), Detail: detail})
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO standings (app, environment, seq, signer, log, envelope) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET seq = excluded.seq, signer = excluded.signer, log = excluded.log, envelope = excluded.envelope`,
		s.App, s.Environment, seq, signer, s.Log.Seq, envelope)
	return err
}

// Standing is what was last taken of an environment, and whether anything was.
func (r Reader) Standing(ctx context.Context, app, environment string) (Standing, bool, error) {
	return first(ctx, r, scanStanding, `SELECT `+entryColumns+`, coalesce(s.log, 0), s.envelope
		FROM audit a LEFT JOIN standings s ON s.app = a.app AND s.environment = a.environment AND s.seq = a.seq
		WHERE a.action = 'standing' AND a.app = ? AND a.environment = ? ORDER BY a.seq DESC LIMIT 1`, app, environment)
}

func scanStanding(row row) (s Standing, err error) {
	var at int64
	e := &s.Recorded.Entry
	if err := row.Scan(append(entryFields(e, &at), &s.Log, &s.Recorded.Envelope)...); err != nil {
		return Standing{}, err
	}
	e.At = moment(at)
	s.App, s.Environment, s.Signer = e.App, e.Environment, evidence.KeyID(e.Subject)
	return s, json.Unmarshal([]byte(e.Detail), &s.Recorded.Digest)
}

// Collection is the newest list of all evidence about a release that a signer gave along.
type Collection struct {
	Signer   evidence.KeyID
	Log      int64 // the length of the signer's log when it was made
	Envelope []byte
	At       time.Time // when it was kept
}

// PutCollection keeps a list in place of an older one of the same signer. One that is older than the one that is kept is
// refused, with all that comes with it: what it leaves out may be what says no.
func (t *Tx) PutCollection(ctx context.Context, c evidence.Collection, signer evidence.KeyID, envelope []byte) error {
	kept, err := t.Collections(ctx, c.App, c.Release)
	if err != nil {
		return err
	}
	for _, k := range kept {
		if k.Signer == signer && c.Log.Seq < k.Log {
			return problem.New(problem.Invalid, "a newer list of what is signed about %s was taken before: this one is from entry %d of that log, and that one from entry %d",
				c.Release.Short(), c.Log.Seq, k.Log).WithHint("greenroom release export %s once more, where it comes from", c.Release.Short())
		}
	}
	_, err = t.exec(ctx, `INSERT INTO collections (app, release, signer, log, envelope, at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET log = excluded.log, envelope = excluded.envelope, at = excluded.at WHERE excluded.log > log`,
		c.App, c.Release, signer, c.Log.Seq, envelope, nanos(t.now))
	return err
}

// Collections lists those of a release, by signer.
func (r Reader) Collections(ctx context.Context, app string, d release.Digest) ([]Collection, error) {
	return collect(ctx, r, func(row row) (c Collection, err error) {
		var at int64
		err = row.Scan(&c.Signer, &c.Log, &c.Envelope, &at)
		c.At = moment(at)
		return c, err
	}, `SELECT signer, log, envelope, at FROM collections WHERE app = ? AND release = ? ORDER BY signer`, app, d)
}
