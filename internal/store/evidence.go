package store

import (
	"context"
	"encoding/json"
	"fmt"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// PutEvidence keeps an envelope about a release, and records it in the log; what the envelope says is the caller's to look
// at. One that is recorded already is not recorded again; if it is gone from here, it is put back.
func (t *Tx) PutEvidence(ctx context.Context, app string, d release.Digest, kind evidence.Kind, envelope []byte) (release.Digest, error) {
	return t.keep(ctx, piece{app: app, release: d, kind: kind, envelope: envelope})
}

// PutStatement seals a statement with this Greenroom's key and keeps it as evidence. One that is kept already stays as it
// is, and where it is in the order; another one under its id is a problem.
func (t *Tx) PutStatement(ctx context.Context, s evidence.Statement) error {
	if s.ID == "" {
		return fmt.Errorf("a statement about %s without an id", s.Result.Check)
	}
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	content := string(release.Of(body)) // and not the envelope, which another key seals into other bytes
	kept, known, err := first(ctx, t.Reader, scanText, `SELECT content FROM evidence WHERE statement = ? AND statement <> ''`, s.ID)
	if err != nil || known && kept == content {
		return err
	}
	if known {
		return problem.New(problem.Invalid, "another statement has the id %s", s.ID)
	}
	envelope, err := evidence.Seal(s, t.signer)
	if err != nil {
		return err
	}
	_, err = t.keep(ctx, piece{app: s.App, release: s.Release, kind: evidence.KindCheck, envelope: envelope, statement: s.ID, content: content})
	return err
}

// piece is a piece of evidence as it is kept.
type piece struct {
	app       string
	release   release.Digest
	kind      evidence.Kind
	envelope  []byte
	statement string // id of one that was sealed here
	content   string // its digest
}

func (t *Tx) keep(ctx context.Context, p piece) (release.Digest, error) {
	digest := release.Of(p.envelope)
	detail, err := json.Marshal(digest)
	if err != nil {
		return "", err
	}
	seq, recorded, err := first(ctx, t.Reader, scanNumber,
		`SELECT seq FROM audit WHERE action = 'evidence' AND app = ? AND subject = ? AND detail = ?`, p.app, p.release, string(detail))
	if err != nil {
		return "", err
	}
	if !recorded {
		seq, err = t.record(ctx, Audit{Actor: self, Action: evidence.ActionEvidence, App: p.app, Subject: string(p.release), Detail: detail})
		if err != nil {
			return "", err
		}
	}
	_, err = t.exec(ctx, `INSERT INTO evidence (seq, kind, envelope, statement, content) VALUES (?, ?, ?, ?, ?) ON CONFLICT (seq) DO NOTHING`,
		seq, p.kind, p.envelope, p.statement, p.content)
	return digest, err
}

// self is the actor of what Greenroom does by itself.
const self = "greenroom"

// Evidence lists what was recorded about a release, the oldest first. The log says what that is: an envelope that is gone
// is nil here, and one that the log does not know is not here.
func (r Reader) Evidence(ctx context.Context, app string, d release.Digest) ([]evidence.Recorded, error) {
	return collect(ctx, r, scanRecorded, `SELECT `+entryColumns+`, e.envelope FROM audit a LEFT JOIN evidence e ON e.seq = a.seq
		WHERE a.action = 'evidence' AND a.app = ? AND a.subject = ? ORDER BY a.seq`, app, d)
}

// scanRecorded leaves the digest empty where the entry gives none: then no envelope has it.
func scanRecorded(row row) (r evidence.Recorded, err error) {
	var at int64
	if err := row.Scan(append(entryFields(&r.Entry, &at), &r.Envelope)...); err != nil {
		return evidence.Recorded{}, err
	}
	r.Entry.At = moment(at)
	r.Digest, _ = r.Entry.Evidence() //nolint:errcheck // see above
	return r, nil
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
