package promotion

import (
	"context"

	"greenroom/internal/edge"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/run"
	"greenroom/internal/store"
)

// Measured is what a promotion did to the people who used the environment meanwhile.
type Measured struct {
	Seen     bool             `json:"seen"`             // the edge measured all of it
	Probed   *evidence.Probed `json:"probed,omitempty"` // in its place, where the traffic is not the edge's
	Edge     edge.Measurement `json:"edge"`
	Journeys bool             `json:"journeys"` // the release that answers now was proven by a journey
}

// measure reads the measurement that began with the way back, and signs what became of the promotion.
func (p *Promotions) measure(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	m, err := p.measured(ctx, t, sc)
	if err != nil {
		return nil, err
	}
	rollout, err := p.rollout(ctx, t, sc, m)
	if err != nil {
		return nil, err
	}
	envelope, err := evidence.SealRollout(rollout, p.World.Ring.Signer())
	if err != nil {
		return nil, err
	}
	t.OnRecord(store.Audit{Action: "measured", Subject: string(sc.New.Digest())}, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.PutEvidence(ctx, sc.env.App, sc.New.Digest(), evidence.KindRollout, envelope)
		return err
	})
	return m, p.vindicate(ctx, t, sc)
}

// vindicate forgets what was bad about a release that somebody made live in production all the same, with a reason, and that
// stood the test there.
func (p *Promotions) vindicate(ctx context.Context, t *run.Task, sc *scene) error {
	production, ok := sc.Policy.Production()
	if !ok || production.Name != sc.env.Name || t.Plan.Kind != plan.Promotion || t.Plan.Because == "" || t.Outcome() != plan.Succeeded {
		return nil
	}
	bad, err := p.World.Store.KnownBad(ctx, sc.env.App, sc.New.Digest())
	if err != nil || bad == nil {
		return err
	}
	t.OnRecord(store.Audit{Action: ActionGood, Subject: string(sc.New.Digest()), Because: t.Plan.Because},
		func(ctx context.Context, tx *store.Tx) error { return tx.ClearBad(ctx, sc.env.App, sc.New.Digest()) })
	return nil
}

// measured is what the edge saw. One that was restarted meanwhile has lost it, and then nothing is claimed.
func (p *Promotions) measured(ctx context.Context, t *run.Task, sc *scene) (Measured, error) {
	if sc.env.Deployed() {
		return Measured{Probed: p.probed(t, sc), Journeys: p.provenBy(t, sc)}, nil
	}
	m, err := p.World.Edge.Measure(ctx, sc.env.RouteName(), markName)
	if ctx.Err() != nil {
		return Measured{}, ctx.Err()
	}
	if err != nil { // it harms nobody but the reader of the page
		if problem.From(err).Code != problem.NotFound {
			t.Progress("not measured: %s", problem.From(err).Message)
		}
		return Measured{}, nil
	}
	return Measured{Seen: t.WasDone("way-back"), Edge: m, Journeys: p.provenBy(t, sc)}, nil
}

// provenBy says whether the release that answers now has journeys that it was proven by.
func (p *Promotions) provenBy(t *run.Task, sc *scene) bool {
	answers := sc.New
	if reason, _ := t.Turned(); reason != "" && sc.HasOld {
		answers = sc.Old
	}
	return len(ProductionChecks(answers.Contents)) > 0
}

func (p *Promotions) rollout(ctx context.Context, t *run.Task, sc *scene, m Measured) (evidence.Rollout, error) {
	record, err := p.World.Store.Run(ctx, t.Run)
	if err != nil {
		return evidence.Rollout{}, err
	}
	reason, _ := t.Turned()
	r := evidence.Rollout{
		App: sc.env.App, Environment: sc.env.Name, Release: sc.New.Digest(), From: t.Plan.From, Run: t.Run,
		Kind: string(t.Plan.Kind), Outcome: string(t.Outcome()), Reason: reason, Policy: t.Plan.Policy, Because: t.Plan.Because,
		Started: record.Started, Ended: p.World.Now().UTC(),
	}
	if m.Seen {
		r.Requests, r.Failed, r.LongestGap, r.Journeys = int64(m.Edge.Requests), int64(m.Edge.Failed), m.Edge.LongestGap, m.Journeys
	}
	if m.Probed != nil {
		r.Probed, r.Journeys = m.Probed, m.Journeys
	}
	var d gate.Decision
	if _, err := t.Result("gate", &d); err != nil {
		return r, err
	}
	broken, _ := Pass(d, t.Plan) // of a gate that was not asked, nothing
	g := ground(d, broken)
	r.Evidence, r.Broken = g.Evidence, g.Broken
	return r, nil
}
