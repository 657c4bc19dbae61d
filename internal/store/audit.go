package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Audit says who changed what, and why.
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

// audit appends an entry to the log. This is the only place that does.
func (t *Tx) audit(ctx context.Context, a Audit) error {
	if a.Actor == "" || a.Action == "" {
		return fmt.Errorf("a change without an actor or an action: %+v", a)
	}
	_, err := t.exec(ctx, `INSERT INTO audit (at, actor, action, app, environment, subject, run, because, detail)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		nanos(t.now), a.Actor, a.Action, a.App, a.Environment, a.Subject, a.Run, a.Because, string(a.Detail))
	return err
}

// HistoryQuery selects entries of the audit log.
type HistoryQuery struct {
	App         string // "" means all
	Environment string // "" means all
	Before      int64  // only entries with a lower Seq; 0: from the newest
	Limit       int    // 0 means 50
}

// History lists what was done, the newest first.
func (r Reader) History(ctx context.Context, q HistoryQuery) ([]Audit, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	return collect(ctx, r, scanAudit, `SELECT seq, at, actor, action, app, environment, subject, run, because, detail
		FROM audit WHERE (? = '' OR app = ?) AND (? = '' OR environment = ?) AND (? = 0 OR seq < ?)
		ORDER BY seq DESC LIMIT ?`,
		q.App, q.App, q.Environment, q.Environment, q.Before, q.Before, q.Limit)
}

func scanAudit(row row) (a Audit, err error) {
	var at int64
	var detail string
	err = row.Scan(&a.Seq, &at, &a.Actor, &a.Action, &a.App, &a.Environment, &a.Subject, &a.Run, &a.Because, &detail)
	a.At = moment(at)
	if detail != "" {
		a.Detail = json.RawMessage(detail)
	}
	return a, err
}
