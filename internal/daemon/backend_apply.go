package daemon

import (
	"context"
	"encoding/json"
	"maps"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// The actions of the log's entries that put a policy in force. Their subject is its digest.
const (
	actionRegistered = "policy registered"
	actionApplied    = "policy applied"
)

// Apply is api.Backend's. It is how a policy gets right again that somebody changed in the state file.
func (d *Daemon) Apply(ctx context.Context, r api.Registration, dry bool) (api.Applied, error) {
	if err := d.sensible(r); err != nil {
		return api.Applied{}, err
	}
	before, err := d.world.Store.App(ctx, r.App)
	if err != nil {
		return api.Applied{}, err
	}
	out := api.Applied{Dry: dry, Changes: app.Changes(before.Policy, r.Policy)}
	out.Policy, out.Before = r.Policy.Digest(), before.Digest
	out.Changed = out.Policy != out.Before
	recorded := d.world.LogCheck.Fault(ctx) == "" && d.world.LogCheck.Policy(r.App) == out.Policy
	if !out.Changed && before.Repository == r.Repository && recorded {
		return out, nil
	}
	if err := d.mayForget(ctx, before.Policy, r.Policy); err != nil {
		return out, err
	}
	if err := d.sameHands(ctx, r.Policy); err != nil {
		return out, err
	}
	if out.Later, err = d.reconfigured(ctx, before.Policy, r.Policy); err != nil {
		return out, err
	}
	if out.Void, err = d.voided(ctx, before.Policy, r.Policy); err != nil || dry {
		return out, err
	}
	detail, err := json.Marshal(out.Changes)
	if err != nil {
		return out, err
	}
	by := store.Audit{Actor: api.Actor(ctx), Action: actionApplied, App: r.App, Subject: out.Policy, Detail: detail}
	err = d.world.Store.Change(ctx, by, func(t *store.Tx) error {
		now, err := t.App(ctx, r.App)
		if err != nil {
			return err
		}
		if now.Digest != before.Digest {
			return problem.New(problem.Blocked, "somebody else applied another policy in this moment").WithHint("greenroom apply --dry-run")
		}
		if err := mayChange(ctx, t, before.Policy, r.Policy); out.Changed && err != nil {
			return err
		}
		return t.PutApp(ctx, store.App{Name: r.App, Repository: r.Repository, Policy: r.Policy})
	})
	if err != nil {
		return out, err
	}
	return out, d.openDoor(ctx)
}

// voided are the last releases whose rehearsals another policy makes worthless, but for the one that is live in production:
// it can't be rehearsed any more.
func (d *Daemon) voided(ctx context.Context, before, now app.Policy) ([]release.Digest, error) {
	if before.Conditions() == now.Conditions() {
		return nil, nil
	}
	builds, err := d.world.Store.Releases(ctx, now.App, 0)
	if err != nil {
		return nil, err
	}
	live := release.Digest("")
	if production, ok := before.Production(); ok {
		record, err := d.world.Store.Environment(ctx, before.App, production.Name)
		if err != nil {
			return nil, err
		}
		live = record.Live
	}
	var void []release.Digest
	for _, b := range builds {
		if b.Release == live {
			continue
		}
		report, err := d.world.Store.LatestReport(ctx, now.App, b.Release)
		switch {
		case err == nil && report.Policy == before.Conditions():
			void = append(void, b.Release)
		case err != nil && problem.From(err).Code != problem.NotFound:
			return nil, err
		}
	}
	return void, nil
}

// mayForget refuses a policy that does not know an environment which is up: it would be stopped as a stray, and a slip of
// the pen in a name must not take production down.
func (d *Daemon) mayForget(ctx context.Context, before, now app.Policy) error {
	for _, e := range before.Environments {
		if _, known := now.Environment(e.Name); known {
			continue
		}
		record, err := d.world.Store.Environment(ctx, before.App, e.Name)
		if err != nil {
			return err
		}
		if record.Want == store.Up && record.Live != "" {
			return problem.New(problem.Blocked, "the definition has no environment %s any more, and %s is live there", e.Name, record.Live.Short()).
				WithHint("greenroom down %s, or put it back into the definition", e.Name)
		}
	}
	return nil
}

// sameHands refuses a policy that lets Greenroom run what is live by its team's own deploy, or the other way round: what one
// of them runs is a stray to the other.
func (d *Daemon) sameHands(ctx context.Context, now app.Policy) error {
	for _, e := range now.Environments {
		record, err := d.world.Store.Environment(ctx, now.App, e.Name)
		if err != nil {
			return err
		}
		if record.Live == "" {
			continue
		}
		live, err := d.contents(ctx, record.Live)
		if err != nil {
			return err
		}
		if (live.Deploy != nil) != (e.URL != "") {
			return problem.New(problem.Blocked, "%s is live in %s, and the definition has another driver: there is no way between the two", record.Live.Short(), e.Name).
				WithHint("give the environment another name in greenroom.yaml, or forget what is there and its data: greenroom down %s --volumes", e.Name)
		}
	}
	return nil
}

// reconfigured are the environments that are up and whose configuration another policy changes.
func (d *Daemon) reconfigured(ctx context.Context, before, now app.Policy) (names []string, err error) {
	for _, e := range now.Environments {
		was, known := before.Environment(e.Name)
		if !known || maps.EqualFunc(was.Config, e.Config, func(a, b app.Config) bool { return a.Value == b.Value }) {
			continue
		}
		record, err := d.world.Store.Environment(ctx, now.App, e.Name)
		if err != nil {
			return nil, err
		}
		if record.Want == store.Up && record.Live != "" {
			names = append(names, e.Name)
		}
	}
	return names, nil
}

// mayChange refuses another policy while a promotion goes on: its steps, and the way back, are those of the policy with
// which it began. And it refuses one that changes what a stage is built like while a rehearsal goes on: what that finds
// would be signed for conditions that it did not have.
func mayChange(ctx context.Context, t *store.Tx, p, now app.Policy) error {
	open, err := t.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, r := range open {
		if r.Plan.App == p.App && (r.Plan.Kind != plan.Rehearsal || p.Conditions() != now.Conditions()) {
			return problem.New(problem.Blocked, "a %s of %s is under way (%s), and the definition changes what it goes by", r.Plan.Kind, r.Plan.Environment, r.ID).
				WithHint("wait until it has ended (greenroom status), then greenroom apply")
		}
	}
	return nil
}
