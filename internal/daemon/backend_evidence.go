package daemon

import (
	"context"
	"slices"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/store"
)

// Evidence is api.Backend's.
func (d *Daemon) Evidence(ctx context.Context, name, wanted string) (api.EvidenceList, error) {
	a, err := d.world.Store.App(ctx, name)
	if err != nil {
		return api.EvidenceList{}, err
	}
	b, err := d.world.Store.Resolve(ctx, name, wanted)
	if err != nil {
		return api.EvidenceList{}, err
	}
	keys, err := d.world.Keys(ctx, a.Policy)
	if err != nil {
		return api.EvidenceList{}, err
	}
	recorded, err := d.world.Store.Evidence(ctx, name, b.Release)
	if err != nil {
		return api.EvidenceList{}, err
	}
	out := api.EvidenceList{App: name, Release: b.Release}
	var signers []evidence.KeyID
	for _, r := range recorded {
		v := evidenceView(r, keys)
		out.Items = append(out.Items, v)
		if v.Key != "" && !slices.Contains(signers, v.Key) {
			signers = append(signers, v.Key)
		}
	}
	all, err := d.Keys(ctx, name)
	for _, k := range all {
		if slices.Contains(signers, k.ID) {
			out.Keys = append(out.Keys, k)
		}
	}
	return out, err
}

// evidenceView is one piece of evidence, and why it does not count where it doesn't.
func evidenceView(r evidence.Recorded, keys evidence.Keys) api.EvidenceView {
	v := api.EvidenceView{Seq: r.Entry.Seq, Digest: r.Digest, Envelope: r.Envelope}
	w, err := r.Read(keys)
	v.Summary, v.Signer = w.Summary, w.Signer.Name
	if err == nil {
		err = w.Doubt
	}
	if err != nil {
		v.Fault = err.Error()
	}
	return v
}

// Standing is api.Backend's.
func (d *Daemon) Standing(ctx context.Context, name, wanted string) ([]byte, error) {
	policy, _, err := d.policyAnd(ctx, name, wanted)
	if err != nil {
		return nil, err
	}
	s, err := d.standing(ctx, policy, wanted)
	if err != nil {
		return nil, err
	}
	return evidence.SealStanding(s, d.world.Ring.Signer())
}

// standing is what an environment is now.
func (d *Daemon) standing(ctx context.Context, p app.Policy, name string) (evidence.Standing, error) {
	s := evidence.Standing{App: p.App, Environment: name, At: d.world.Now().UTC()}
	if d.world.Elsewhere(p, name) {
		return s, problem.New(problem.Invalid, "%s lives elsewhere: only the Greenroom that runs it can say what it is", name)
	}
	presence, err := d.world.Presence(ctx, p, name)
	if err != nil {
		return s, err
	}
	if presence != nil {
		s.Release, s.Since, s.Healthy = presence.Release, presence.Since, presence.Healthy
	}
	e, _ := d.world.Open(p, name)
	if s.Baseline, err = e.Baseline(ctx); err != nil {
		return s, err
	}
	s.Log, err = d.world.Store.Head(ctx)
	return s, err
}

// TakeStanding is api.Backend's.
func (d *Daemon) TakeStanding(ctx context.Context, name string, envelope []byte) (api.StandingView, error) {
	a, err := d.world.Store.App(ctx, name)
	if err != nil {
		return api.StandingView{}, err
	}
	s, key, err := d.trustedStanding(ctx, a.Policy, envelope)
	if err != nil {
		return api.StandingView{}, err
	}
	by := store.Audit{Actor: api.Actor(ctx), Action: "standing taken", App: name, Environment: s.Environment, Subject: string(s.Release),
		Because: "signed by " + key.Name}
	err = d.world.Store.Change(ctx, by, func(t *store.Tx) error { return t.PutStanding(ctx, s, key.ID, envelope) })
	if err != nil {
		return api.StandingView{}, err
	}
	v := api.StandingView{Standing: s, Signer: key.Name, Known: true}
	if s.Release != "" {
		_, err = d.world.Store.Document(ctx, s.Release)
		v.Known = err == nil
	}
	return v, nil
}

// trustedStanding reads what a key says of an environment that it may speak for, and that does not live here.
func (d *Daemon) trustedStanding(ctx context.Context, p app.Policy, envelope []byte) (evidence.Standing, evidence.Key, error) {
	keys, err := d.world.Keys(ctx, p)
	if err != nil {
		return evidence.Standing{}, evidence.Key{}, err
	}
	s, key, err := evidence.OpenStanding(envelope, keys)
	if err != nil {
		return s, key, problem.New(problem.Invalid, "this is not what a trusted key says of an environment: %w", err).WithHint("greenroom key list")
	}
	if _, known := p.Environment(s.Environment); !known {
		return s, key, problem.New(problem.Invalid, "the policy in force knows no environment %s", s.Environment)
	}
	if !d.world.Elsewhere(p, s.Environment) {
		return s, key, problem.New(problem.Invalid, "%s lives here: there is nothing to bring, and nobody else can say what it is", s.Environment)
	}
	return environment.OpenStanding(envelope, keys, p.App, s.Environment)
}

// Log is api.Backend's.
func (d *Daemon) Log(ctx context.Context, after int64) (api.Stream[evidence.Entry], error) {
	return func(yield func(evidence.Entry, error) bool) {
		for {
			entries, err := d.world.Store.Log(ctx, after, logPage)
			if err != nil {
				yield(evidence.Entry{}, err)
				return
			}
			for _, e := range entries {
				if after = e.Seq; !yield(e, nil) {
					return
				}
			}
			if len(entries) < logPage {
				return
			}
		}
	}, nil
}

// Anchor is api.Backend's.
func (d *Daemon) Anchor(ctx context.Context) (api.Anchor, error) {
	if fault := d.world.LogCheck.Fault(ctx); fault != "" {
		return api.Anchor{}, problem.New(problem.Fail, "the log is not whole: %s", fault).WithHint("greenroom audit verify")
	}
	head, err := d.world.Store.Head(ctx)
	if err != nil {
		return api.Anchor{}, err
	}
	entries, err := d.world.Store.Log(ctx, head.Seq-1, 1)
	if err != nil || len(entries) == 0 {
		return api.Anchor{}, problem.New(problem.NotFound, "the log is empty").WithHint("greenroom up")
	}
	return api.NewAnchor(entries[0]), nil
}

// Review is api.Backend's: somebody else than the one who broke the glass has looked at it.
func (d *Daemon) Review(ctx context.Context, run, because string) error {
	g, err := d.world.Store.Glass(ctx, run)
	if err != nil {
		return err
	}
	actor := api.Actor(ctx)
	by := store.Audit{Actor: actor, Action: "glass reviewed", App: g.App, Environment: g.Environment, Run: run, Because: because}
	return d.world.Store.Change(ctx, by, func(t *store.Tx) error { return t.ReviewGlass(ctx, run, actor, because) })
}
