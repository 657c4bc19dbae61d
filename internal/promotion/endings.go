package promotion

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/migration"
	"greenroom/internal/run"
	"greenroom/internal/store"
)

// What the log says of sessions in a migration's way. An earlier Greenroom wrote the second before it ended one, and nothing
// afterwards; such an entry has no Detail.
const (
	actionEnding  = "session to be ended" // before anything is done
	actionEnded   = "session ended"
	actionSpared  = "session not ended"
	actionUnknown = "session perhaps ended"
)

// ending is the Detail of an entry about a session that is to be ended, by which it is known what came of which.
type ending struct {
	PID  int       `json:"pid"`
	Born time.Time `json:"born"`
}

// recordEnding records that a session is about to be ended which is in a migration's way: who it is, and nothing of what it ran.
func (p *Promotions) recordEnding(ctx context.Context, t *run.Task, sc *scene, b migration.Blocker) error {
	return p.recordSession(ctx, t, sc, actionEnding, b, fmt.Sprintf("session %d of %s is in the way of the migration, at %s: %s, its transaction open for %s",
		b.PID, b.Who, cmp.Or(b.Table, "the schema"), b.State, migration.Human(b.Since)))
}

// recordFate records what came of a session that was to be ended.
func (p *Promotions) recordFate(ctx context.Context, t *run.Task, sc *scene, b migration.Blocker, fate data.Fate, why string) error {
	action := actionUnknown
	switch fate {
	case data.FateEnded:
		action, why = actionEnded, "it was in the way of the migration, at "+cmp.Or(b.Table, "the schema")
	case data.FateSpared:
		action = actionSpared
	case data.FateUnknown:
	}
	return p.recordSession(ctx, t, sc, action, b, fmt.Sprintf("session %d of %s: %s", b.PID, b.Who, why))
}

func (p *Promotions) recordSession(ctx context.Context, t *run.Task, sc *scene, action string, b migration.Blocker, because string) error {
	detail, err := json.Marshal(ending{b.PID, b.Born})
	if err != nil {
		return err
	}
	return p.record(ctx, t, sc, store.Audit{Action: action, Because: because, Detail: detail})
}

func (p *Promotions) record(ctx context.Context, t *run.Task, sc *scene, by store.Audit) error {
	by.Actor, by.App, by.Environment, by.Run, by.Subject = t.Actor, sc.env.App, sc.env.Name, t.Run, string(sc.New.Digest())
	return p.World.Store.Change(ctx, by, func(*store.Tx) error { return nil })
}

// recordLostEndings says of sessions that this run was about to end, when Greenroom died or could not record more, that nobody
// knows what came of them. They may have been asked to end or not, and whether one is there by now says nothing about why. Whether sessions are to be ended today
// does not matter: the policy may be another one than the run began with.
func (p *Promotions) recordLostEndings(ctx context.Context, t *run.Task, sc *scene) error {
	q := store.HistoryQuery{App: sc.env.App, Environment: sc.env.Name, Run: t.Run, Limit: 1000}
	var all []store.Audit
	for {
		some, err := p.World.Store.History(ctx, q)
		if err != nil {
			return err
		}
		if all = append(all, some...); len(some) < q.Limit {
			break
		}
		q.Before = some[len(some)-1].Seq
	}
	for _, lost := range unsettled(all) {
		if err := p.record(ctx, t, sc, store.Audit{Action: actionUnknown, Detail: lost.Detail,
			Because: "what came of it was not recorded, since Greenroom died or could not write: " + lost.Because}); err != nil {
			return err
		}
	}
	return nil
}

// unsettled are the entries, the oldest first, about sessions that were to be ended, and of which no later one says what came
// of it; the newest of those that are given is the first.
func unsettled(entries []store.Audit) (open []store.Audit) {
	for _, e := range slices.Backward(entries) {
		switch e.Action {
		case actionEnding:
			open = append(open, e)
		case actionEnded, actionSpared, actionUnknown:
			open = slices.DeleteFunc(open, func(o store.Audit) bool { return string(o.Detail) == string(e.Detail) })
		}
	}
	return open
}
