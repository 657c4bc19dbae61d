package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"greenroom/internal/evidence"
)

// Audit says who changed what, and why. It becomes an entry of the log.
type Audit struct {
	Seq         int64           `json:"seq"` // given by the store, as At is
	At          time.Time       `json:"at"`
	Actor       string          `json:"actor"`
	Action      string          `json:"action"` // "promotion started", "secret set", "policy registered"
	App         string          `json:"app,omitempty"`
	Environment string          `json:"environment,omitempty"`
	Subject     string          `json:"subject,omitempty"` // what it is about: a release's digest, the name of a secret
	Run         string          `json:"run,omitempty"`
	Because     string          `json:"because,omitempty"`
	Detail      json.RawMessage `json:"detail,omitempty"` // for programs; never a secret
}

// audit appends what a caller says of its change to the log. The actions that readers of the log take for facts are not a
// caller's to use: PutEvidence, PutStanding, EnrollKey, RevokeKey and RotateKey write them.
func (t *Tx) audit(ctx context.Context, a Audit) error {
	if slices.Contains([]string{evidence.ActionEvidence, evidence.ActionRotated, actionStanding, actionEnrolled, actionRevoked}, a.Action) {
		return fmt.Errorf("a change can't call itself %q", a.Action)
	}
	_, err := t.record(ctx, a)
	return err
}

// record appends an entry to the log, linked to the one before it and signed, and returns its number. This is the only
// place that does.
func (t *Tx) record(ctx context.Context, a Audit) (seq int64, err error) {
	if a.Actor == "" || a.Action == "" {
		return 0, fmt.Errorf("a change without an actor or an action: %+v", a)
	}
	e := evidence.Link(evidence.Entry{At: t.now, Actor: a.Actor, Action: a.Action, App: a.App, Environment: a.Environment,
		Subject: a.Subject, Run: a.Run, Because: a.Because, Detail: string(a.Detail)}, t.group.head, t.signer)
	if _, err := t.exec(ctx, insertEntry, entryValues(e)...); err != nil {
		return 0, err
	}
	t.group.head = evidence.Head{Seq: e.Seq, Hash: e.Hash}
	return e.Seq, nil
}

const (
	entryColumns = `a.seq, a.at, a.actor, a.action, a.app, a.environment, a.subject, a.run, a.because, a.detail,
		a.previous, a.hash, a.key, a.signature`
	insertEntry = `INSERT INTO audit (seq, at, actor, action, app, environment, subject, run, because, detail,
		previous, hash, key, signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

func entryValues(e evidence.Entry) []any {
	return []any{e.Seq, nanos(e.At), e.Actor, e.Action, e.App, e.Environment, e.Subject, e.Run, e.Because, e.Detail,
		e.Previous, e.Hash, e.Key, e.Signature}
}

// entryFields is where a row's entryColumns go. The time comes as a number: see moment.
func entryFields(e *evidence.Entry, at *int64) []any {
	return []any{&e.Seq, at, &e.Actor, &e.Action, &e.App, &e.Environment, &e.Subject, &e.Run, &e.Because, &e.Detail,
		&e.Previous, &e.Hash, &e.Key, &e.Signature}
}

func scanLog(row row) (e evidence.Entry, err error) {
	var at int64
	err = row.Scan(entryFields(&e, &at)...)
	e.At = moment(at)
	return e, err
}

// Log lists the entries of the log after that number, as they were signed, the oldest first; limit 0 means 1,000.
func (r Reader) Log(ctx context.Context, after int64, limit int) ([]evidence.Entry, error) {
	if limit <= 0 {
		limit = 1000
	}
	return collect(ctx, r, scanLog, `SELECT `+entryColumns+` FROM audit a WHERE a.seq > ? ORDER BY a.seq LIMIT ?`, after, limit)
}

// Head is the end of the log; the zero Head is that of an empty one.
func (r Reader) Head(ctx context.Context) (evidence.Head, error) {
	e, _, err := r.last(ctx)
	return evidence.Head{Seq: e.Seq, Hash: e.Hash}, err
}

func (r Reader) last(ctx context.Context) (evidence.Entry, bool, error) {
	return first(ctx, r, scanLog, `SELECT `+entryColumns+` FROM audit a ORDER BY a.seq DESC LIMIT 1`)
}

// HistoryQuery selects entries of the audit log.
type HistoryQuery struct {
	App         string // "" means all
	Environment string // "" means all
	Run         string // "" means all, and those of none
	Before      int64  // only entries with a lower Seq; 0: from the newest
	Limit       int    // 0 means 50
}

// History lists what was done, the newest first.
func (r Reader) History(ctx context.Context, q HistoryQuery) ([]Audit, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	// Only what is asked for stands in the query, so that an index serves it.
	var where []string
	var args []any
	for _, c := range []struct {
		term  string
		value any
		asked bool
	}{{"a.app = ?", q.App, q.App != ""}, {"a.environment = ?", q.Environment, q.Environment != ""}, {"a.run = ?", q.Run, q.Run != ""}, {"a.seq < ?", q.Before, q.Before != 0}} {
		if c.asked {
			where, args = append(where, c.term), append(args, c.value)
		}
	}
	query := `SELECT ` + entryColumns + ` FROM audit a`
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, " AND ")
	}
	return collect(ctx, r, scanAudit, query+` ORDER BY a.seq DESC LIMIT ?`, append(args, q.Limit)...)
}

func scanAudit(row row) (Audit, error) {
	e, err := scanLog(row)
	a := Audit{Seq: e.Seq, At: e.At, Actor: e.Actor, Action: e.Action, App: e.App, Environment: e.Environment,
		Subject: e.Subject, Run: e.Run, Because: e.Because}
	if e.Detail != "" {
		a.Detail = json.RawMessage(e.Detail)
	}
	return a, err
}
