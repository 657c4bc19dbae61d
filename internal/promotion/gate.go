package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/run"
	"greenroom/internal/store"
)

// ActionLetIn is the audit's word for a gate's yes. Its detail is a Ground.
const ActionLetIn = "let in"

// ActionBroken is the audit's word for a no that a person overrode. Its detail is a Ground.
const ActionBroken = "glass broken"

// ActionBad is the audit's word for a release that is remembered as bad, which is its subject; because of what is the reason.
const ActionBad = "release remembered as bad"

// ActionGood is the audit's word for a release that is remembered as bad no more.
const ActionGood = "release no longer remembered as bad"

// Ground is what a release was let in on: it tells, when a key is revoked, which promotions leaned on it.
type Ground struct {
	Keys     []evidence.KeyID `json:"keys,omitempty"`
	Evidence []release.Digest `json:"evidence,omitempty"`
	Broken   []string         `json:"broken,omitempty"` // the demands that were overridden, with their reasons
}

func ground(d gate.Decision, broken []gate.Demand) Ground {
	var g Ground
	seen := map[evidence.KeyID]bool{}
	for _, m := range d.Demands {
		if m.Answer != gate.Yes || m.Proof == nil {
			continue
		}
		g.Evidence = append(g.Evidence, m.Proof.Envelope)
		if !seen[m.Proof.Key] {
			g.Keys = append(g.Keys, m.Proof.Key)
		}
		seen[m.Proof.Key] = true
	}
	for _, m := range broken {
		g.Broken = append(g.Broken, fmt.Sprintf("%s: %s", m.Name, m.Reason))
	}
	return g
}

// gate asks again: between the plan and now production may have changed. What the yes leans on is recorded before anything
// is done, and so is a no that a person overrides.
func (p *Promotions) gate(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	q, err := p.World.Question(ctx, sc.Policy, sc.New.Digest(), sc.env.Name, t.Plan.Because)
	if err != nil {
		return nil, err
	}
	d := gate.Decide(q)
	broken, err := Pass(d, t.Plan)
	if err != nil {
		return nil, err
	}
	g := ground(d, broken)
	detail, err := json.Marshal(g)
	if err != nil {
		return nil, err
	}
	by := store.Audit{Action: ActionLetIn, Subject: string(sc.New.Digest()), Detail: detail}
	if len(broken) > 0 {
		by.Action, by.Because = ActionBroken, t.Plan.Because
	}
	t.OnRecord(by, func(ctx context.Context, tx *store.Tx) error {
		if len(broken) == 0 {
			return nil
		}
		return tx.BreakGlass(ctx, store.Glass{Run: t.Run, App: sc.env.App, Environment: sc.env.Name, By: t.Actor,
			Because: t.Plan.Because, Overridden: broken})
	})
	for _, b := range g.Broken {
		t.Progress("overridden: %s", b)
	}
	return letIn{Decision: d, Schema: q.Baseline[release.PartSchema], SchemaState: q.Schema, After: q.After}, nil
}

// letIn is a gate's answer, and what it was told of that the promotion itself changes, or that goes on its way meanwhile.
type letIn struct {
	gate.Decision
	Schema      string           `json:"schema,omitempty"` // the baseline's
	SchemaState gate.SchemaState `json:"schema_state"`
	After       *gate.Presence   `json:"after,omitempty"`
}

// again is the question as it is now, but for what was so when the release was let in.
func (was letIn) again(now gate.Question) gate.Question {
	now.Schema, now.After = was.SchemaState, was.After
	if was.Schema != "" && now.Baseline != nil {
		now.Baseline = maps.Clone(now.Baseline)
		now.Baseline[release.PartSchema] = was.Schema
	}
	return now
}

// missing are the demands of a later answer that are not met, but for those that a person overrode: they knew of no others.
func (was letIn) missing(now gate.Decision) []gate.Demand {
	overridden := map[string]bool{}
	for _, m := range was.Missing() {
		overridden[m.Name] = true
	}
	return slices.DeleteFunc(now.Missing(), func(m gate.Demand) bool { return overridden[m.Name] })
}

// gateAgain asks once more right before people are concerned: a key may have been revoked, or the release marked as bad, since
// it was let in.
func (p *Promotions) gateAgain(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	var was letIn
	asked, err := t.Result("gate", &was)
	if err != nil {
		return nil, err
	}
	if !asked {
		return nil, errors.New("the plan asks a gate again that it never asked")
	}
	now, err := p.World.Question(ctx, sc.Policy, sc.New.Digest(), sc.env.Name, t.Plan.Because)
	if err != nil {
		return nil, err
	}
	d := gate.Decide(was.again(now))
	if missing := was.missing(d); len(missing) > 0 {
		return nil, Refused(gate.Decision{Demands: missing}, sc.New.Digest(), sc.env.Name)
	}
	return d, nil
}

// Pass is whether a plan may go on after a gate's decision, and which demands it overrides.
func Pass(d gate.Decision, p plan.Plan) (broken []gate.Demand, err error) {
	if d.Allowed {
		return nil, nil
	}
	if p.Glass == nil {
		return nil, Refused(d, p.Release, p.Environment)
	}
	return d.Break(gate.Glass{Because: p.Because, HalfMigrated: p.Glass.HalfMigrated})
}

// Refused is a gate's no as a problem that tells the first reason and how to see all.
func Refused(d gate.Decision, r release.Digest, environment string) error {
	missing := d.Missing()
	reason := "it says no without a reason"
	if len(missing) > 0 {
		reason = fmt.Sprintf("%s: %s", missing[0].Name, missing[0].Reason)
	}
	if len(missing) > 1 {
		reason += fmt.Sprintf(" (and %d more)", len(missing)-1)
	}
	return problem.New(problem.Blocked, "%s does not take %s: %s", environment, r.Short(), reason).
		WithHint("greenroom explain %s %s", r.Short(), environment)
}
