package store

import (
	"context"
	"encoding/json"
	"fmt"

	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// PutStatement keeps a statement. One that is kept already stays where it is in the order; another one under its id is
// an error.
func (t *Tx) PutStatement(ctx context.Context, s evidence.Statement) error {
	if s.ID == "" {
		return fmt.Errorf("a statement about %s without an id", s.Result.Check)
	}
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	kept, known, err := first(ctx, t.Reader, scanText, `SELECT body FROM statements WHERE id = ?`, s.ID)
	if err != nil {
		return err
	}
	if known && kept != string(body) {
		return problem.New(problem.Invalid, "another statement has the id %s", s.ID)
	}
	if known {
		return nil
	}
	_, err = t.exec(ctx, `INSERT INTO statements (id, app, release, body) VALUES (?, ?, ?, ?)`, s.ID, s.App, s.Release, string(body))
	return err
}

// Statements lists what is known about a release, in the order in which it was kept, the oldest first.
func (r Reader) Statements(ctx context.Context, app string, d release.Digest) ([]evidence.Statement, error) {
	return collect(ctx, r, scanJSON[evidence.Statement],
		`SELECT body FROM statements WHERE app = ? AND release = ? ORDER BY seq`, app, d)
}

// PutReport keeps the report of a rehearsal; a run has one.
func (t *Tx) PutReport(ctx context.Context, p evidence.Report) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO reports (run, app, release, body, at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (run) DO UPDATE SET body = excluded.body`, p.Run, p.App, p.Release, string(body), nanos(t.now))
	return err
}

// Report is that of a run.
func (r Reader) Report(ctx context.Context, run string) (evidence.Report, error) {
	p, found, err := first(ctx, r, scanJSON[evidence.Report], `SELECT body FROM reports WHERE run = ?`, run)
	if err == nil && !found {
		err = problem.New(problem.NotFound, "there is no report of the run %s", run).WithHint("greenroom status")
	}
	return p, err
}

// LatestReport is that of the last rehearsal of a release.
func (r Reader) LatestReport(ctx context.Context, app string, d release.Digest) (evidence.Report, error) {
	p, found, err := first(ctx, r, scanJSON[evidence.Report],
		`SELECT body FROM reports WHERE app = ? AND release = ? ORDER BY rowid DESC LIMIT 1`, app, d)
	if err == nil && !found {
		err = problem.New(problem.NotFound, "%s was not rehearsed", d.Short()).WithHint("greenroom rehearse %s", d.Short())
	}
	return p, err
}

// MarkBad remembers that a release is bad.
func (t *Tx) MarkBad(ctx context.Context, app string, d release.Digest, reason string) error {
	_, err := t.exec(ctx, `INSERT INTO known_bad (app, release, reason, at) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET reason = excluded.reason, at = excluded.at`, app, d, reason, nanos(t.now))
	return err
}

// ClearBad forgets it; the audit entry of the change says why.
func (t *Tx) ClearBad(ctx context.Context, app string, d release.Digest) error {
	_, err := t.exec(ctx, `DELETE FROM known_bad WHERE app = ? AND release = ?`, app, d)
	return err
}

// KnownBad tells what is remembered against a release, nil for nothing.
func (r Reader) KnownBad(ctx context.Context, app string, d release.Digest) (*gate.KnownBad, error) {
	bad, found, err := first(ctx, r, func(row row) (b gate.KnownBad, err error) {
		var at int64
		err = row.Scan(&b.Reason, &at)
		b.At = moment(at)
		return b, err
	}, `SELECT reason, at FROM known_bad WHERE app = ? AND release = ?`, app, d)
	if err != nil || !found {
		return nil, err
	}
	return &bad, nil
}

func scanText(row row) (s string, err error) {
	err = row.Scan(&s)
	return s, err
}

func scanJSON[T any](row row) (v T, err error) {
	var body string
	if err := row.Scan(&body); err != nil {
		return v, err
	}
	return v, json.Unmarshal([]byte(body), &v)
}
