package store

import (
	"context"
	"encoding/json"

	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

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
