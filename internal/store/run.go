package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"greenroom/internal/plan"
	"greenroom/internal/problem"
)

// Phase is where a run is in its life.
type Phase string

// The phases.
const (
	Queued  Phase = "queued"
	Running Phase = "running"
	Ended   Phase = "ended"
)

// Run is one promotion, rollback or rehearsal.
type Run struct {
	ID      string // "r42": short enough to be typed
	Phase   Phase
	Plan    plan.Plan
	Actor   string
	Outcome plan.Outcome // "" until it has ended
	Reason  string       // why it did not succeed
	Hint    string       // the next command
	Created time.Time
	Started time.Time
	Ended   time.Time
	Journal []plan.Entry // only from Run
}

// WatchCommand shows the runs that go on.
const WatchCommand = "greenroom status"

const selectRun = `SELECT id, phase, plan, actor, outcome, reason, hint, created, started, ended FROM runs `

// CreateRun records a plan as a run. It owns the environment from now on; where another run does, that is a problem
// that names it. A rehearsal waits instead, behind those that came before it.
func (s *Store) CreateRun(ctx context.Context, p plan.Plan, actor string) (r Run, err error) {
	err = s.transact(ctx, func(t *Tx) error {
		r, err = t.createRun(ctx, p, actor)
		return err
	})
	return r, err
}

func (t *Tx) createRun(ctx context.Context, p plan.Plan, actor string) (Run, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return Run{}, err
	}
	r := Run{Phase: Running, Plan: p, Actor: actor, Created: t.now, Started: t.now}
	owner, owned, err := t.owner(ctx, p.App, p.Environment)
	if err != nil {
		return Run{}, err
	}
	if owned && p.Kind != plan.Rehearsal {
		return Run{}, blocked(owner)
	}
	if owned {
		r.Phase, r.Started = Queued, time.Time{}
	}
	// Should two of these ever meet, the unique index lets one of them in.
	result, err := t.exec(ctx, `INSERT INTO runs (app, environment, release, phase, plan, actor, created, started)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		p.App, p.Environment, p.Release, r.Phase, string(body), actor, nanos(r.Created), nanos(r.Started))
	if isUnique(err) {
		return Run{}, problem.New(problem.Blocked, "another run of %s has begun in this instant", p.Environment).
			WithHint("greenroom status")
	}
	if err != nil {
		return Run{}, err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return Run{}, err
	}
	r.ID = runName(id)
	return r, t.milestone(ctx, r, string(r.Phase), actor, p.Because)
}

// owner is the first run that has not ended in an environment.
func (r Reader) owner(ctx context.Context, app, environment string) (Run, bool, error) {
	return first(ctx, r, scanRun, selectRun+`WHERE phase <> 'ended' AND app = ? AND environment = ? ORDER BY id LIMIT 1`, app, environment)
}

// Busy is the problem that a run owns an environment; nil when none does.
func (r Reader) Busy(ctx context.Context, app, environment string) error {
	owner, owned, err := r.owner(ctx, app, environment)
	if err == nil && owned {
		err = blocked(owner)
	}
	return err
}

func blocked(by Run) error {
	return problem.New(problem.Blocked, "a %s of %s to %s is under way (%s, begun by %s)",
		by.Plan.Kind, by.Plan.Release.Short(), by.Plan.Environment, by.ID, by.Actor).
		WithHint(WatchCommand)
}

// milestone writes the audit entry and the event of a run's beginning or end.
func (t *Tx) milestone(ctx context.Context, r Run, what, actor, because string) error {
	if err := t.audit(ctx, Audit{Actor: actor, Action: string(r.Plan.Kind) + " " + what, App: r.Plan.App,
		Environment: r.Plan.Environment, Subject: string(r.Plan.Release), Run: r.ID, Because: because}); err != nil {
		return err
	}
	return t.event(ctx, Event{Run: r.ID, Text: fmt.Sprintf("%s %s", r.Plan.Kind, what), Outcome: r.Outcome})
}

// Begin lets the next queued run of each environment that nobody owns begin, and returns those.
func (s *Store) Begin(ctx context.Context) (begun []Run, err error) {
	err = s.transact(ctx, func(t *Tx) error {
		begun, err = collect(ctx, t.Reader, scanRun, selectRun+`WHERE phase = 'queued' AND id IN
			(SELECT min(id) FROM runs WHERE phase <> 'ended' GROUP BY app, environment) ORDER BY id`)
		if err != nil {
			return err
		}
		for i := range begun {
			r := &begun[i]
			r.Phase, r.Started = Running, t.now
			if err := changedOne(t.exec(ctx, `UPDATE runs SET phase = 'running', started = ? WHERE id = ?`,
				nanos(t.now), runNumber(r.ID))); err != nil {
				return err
			}
			if err := t.milestone(ctx, *r, string(Running), r.Actor, ""); err != nil {
				return err
			}
		}
		return nil
	})
	return begun, err
}

// Append writes one line of a run's journal, with its number and time, and returns it. What commit changes is committed
// together with it, or neither is; each Commit has an audit entry of its own.
func (s *Store) Append(ctx context.Context, run string, e plan.Entry, commit ...Commit) (plan.Entry, error) {
	err := s.transact(ctx, func(t *Tx) error {
		for _, c := range commit {
			if err := c.Do(t); err != nil {
				return err
			}
			if err := t.audit(ctx, c.By); err != nil {
				return err
			}
		}
		e.At = t.now
		var err error
		e.Seq, err = t.append(ctx, run, e)
		return err
	})
	return e, err
}

// Commit is a change that is made together with a line of a journal. Do may be called again, as that of Change.
type Commit struct {
	By Audit
	Do func(t *Tx) error
}

func (t *Tx) append(ctx context.Context, run string, e plan.Entry) (int64, error) {
	seq, found, err := first(ctx, t.Reader, scanNumber, `SELECT (SELECT coalesce(max(seq), 0) + 1 FROM journal WHERE run = runs.id) FROM runs WHERE id = ? AND phase <> 'ended'`,
		runNumber(run))
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("the run %s has ended or never was; its journal takes no %s of %q", run, e.State, e.Step)
	}
	if _, err := t.exec(ctx, `INSERT INTO journal (run, seq, step, state, error, hint, result, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		runNumber(run), seq, e.Step, e.State, e.Error, e.Hint, string(e.Result), nanos(e.At)); err != nil {
		return 0, err
	}
	return seq, t.event(ctx, Event{Run: run, Step: e.Step, State: e.State, Text: e.Error})
}

// FinishRun ends a run and lets its environment go.
func (s *Store) FinishRun(ctx context.Context, run string, m plan.Move) error {
	return s.transact(ctx, func(t *Tx) error {
		if err := changedOne(t.exec(ctx, `UPDATE runs SET phase = 'ended', outcome = ?, reason = ?, hint = ?, ended = ?
			WHERE id = ? AND phase <> 'ended'`, m.Outcome, m.Reason, m.Hint, nanos(t.now), runNumber(run))); err != nil {
			return err
		}
		r, err := t.bare(ctx, run)
		if err != nil {
			return err
		}
		return t.milestone(ctx, r, string(m.Outcome), r.Actor, m.Reason)
	})
}

// Run finds a run, with its journal.
func (r Reader) Run(ctx context.Context, id string) (Run, error) {
	run, err := r.bare(ctx, id)
	if err != nil {
		return Run{}, err
	}
	run.Journal, err = collect(ctx, r, scanEntry,
		`SELECT seq, step, state, error, hint, result, at FROM journal WHERE run = ? ORDER BY seq`, runNumber(id))
	return run, err
}

func (r Reader) bare(ctx context.Context, id string) (Run, error) {
	run, found, err := first(ctx, r, scanRun, selectRun+`WHERE id = ?`, runNumber(id))
	if err == nil && !found {
		err = problem.New(problem.NotFound, "there is no run %q", id).WithHint("greenroom history")
	}
	return run, err
}

// Unfinished lists the runs that have not ended, the oldest first, without their journals: those under way, and those that
// wait in this order.
func (r Reader) Unfinished(ctx context.Context) ([]Run, error) {
	return collect(ctx, r, scanRun, selectRun+`WHERE phase <> 'ended' ORDER BY id`)
}

// Runs lists an environment's runs without their journals, the newest first; environment "" means all, limit 0 means 50.
func (r Reader) Runs(ctx context.Context, app, environment string, limit int) ([]Run, error) {
	if limit <= 0 {
		limit = 50
	}
	return collect(ctx, r, scanRun, selectRun+`WHERE app = ? AND (? = '' OR environment = ?) ORDER BY id DESC LIMIT ?`,
		app, environment, environment, limit)
}

// scanRun reads a plan of another format as well as it can: plan.Validate tells.
func scanRun(row row) (r Run, err error) {
	var id, created, started, ended int64
	var body string
	if err := row.Scan(&id, &r.Phase, &body, &r.Actor, &r.Outcome, &r.Reason, &r.Hint, &created, &started, &ended); err != nil {
		return Run{}, err
	}
	r.ID, r.Created, r.Started, r.Ended = runName(id), moment(created), moment(started), moment(ended)
	if json.Unmarshal([]byte(body), &r.Plan) != nil {
		r.Plan.Steps = nil
	}
	return r, nil
}

func scanEntry(row row) (e plan.Entry, err error) {
	var result string
	var at int64
	err = row.Scan(&e.Seq, &e.Step, &e.State, &e.Error, &e.Hint, &result, &at)
	e.At = moment(at)
	if result != "" {
		e.Result = json.RawMessage(result)
	}
	return e, err
}

func runName(id int64) string { return "r" + strconv.FormatInt(id, 10) }

// runNumber is 0, which no run has, for what is not the name of a run.
func runNumber(name string) int64 {
	digits, ok := strings.CutPrefix(name, "r")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || runName(n) != name {
		return 0
	}
	return n
}
