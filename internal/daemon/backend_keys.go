package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/promotion"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// Keys is api.Backend's.
func (d *Daemon) Keys(ctx context.Context, name string) ([]api.KeyView, error) {
	known, err := d.world.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var views []api.KeyView
	add := func(k evidence.Key) {
		v := api.KeyView{ID: k.ID, Public: evidence.FormatPublic(k.Public), Name: k.Name, Own: k.Own,
			Checks: k.Checks, Environments: k.Environments}
		if i := slices.IndexFunc(known, func(have store.KnownKey) bool { return have.ID == k.ID }); i >= 0 {
			v.Added, v.Retired, v.Active = known[i].Added, known[i].Left, known[i].Active
		}
		if k.Revoked != nil {
			v.Revoked, v.Because = k.Revoked.At, k.Revoked.Because
		}
		views = append(views, v)
	}
	if name == "" {
		for _, k := range known {
			if k.Own {
				add(k.Key)
			}
		}
		return views, nil
	}
	a, err := d.world.Store.App(ctx, name)
	if err != nil {
		return nil, err
	}
	keys, err := d.world.Keys(ctx, a.Policy)
	for _, k := range keys {
		add(k)
	}
	return views, err
}

// RotateKey is api.Backend's.
func (d *Daemon) RotateKey(ctx context.Context, because string) (api.KeyView, error) {
	id, err := d.world.Store.RotateKey(ctx, api.Actor(ctx), because)
	if err != nil {
		return api.KeyView{}, err
	}
	return d.keyView(ctx, id)
}

func (d *Daemon) keyView(ctx context.Context, id evidence.KeyID) (api.KeyView, error) {
	own, err := d.Keys(ctx, "")
	if err != nil {
		return api.KeyView{}, err
	}
	for _, k := range own {
		if k.ID == id {
			return k, nil
		}
	}
	return api.KeyView{}, problem.New(problem.NotFound, "no key %s is known here", id).WithHint("greenroom key list")
}

// RevokeKey is api.Backend's. It needs no definition, and no policy undoes it.
func (d *Daemon) RevokeKey(ctx context.Context, id evidence.KeyID, because string) (api.Revoked, error) {
	key, err := d.anyKey(ctx, id)
	if err != nil {
		return api.Revoked{}, err
	}
	if !key.Revoked.IsZero() {
		return api.Revoked{}, problem.New(problem.Invalid, "%s is revoked since %s: %s", id, key.Revoked.Format(time.DateOnly), key.Because)
	}
	if err := d.world.Store.RevokeKey(ctx, api.Actor(ctx), id, because); err != nil {
		return api.Revoked{}, err
	}
	out := api.Revoked{Key: key}
	out.Key.Revoked, out.Key.Because = d.world.Now(), because
	return out, d.leaned(ctx, id, &out)
}

// anyKey finds a key that any app's policy, or this Greenroom, knows.
func (d *Daemon) anyKey(ctx context.Context, id evidence.KeyID) (api.KeyView, error) {
	apps, err := d.world.Store.Apps(ctx)
	if err != nil {
		return api.KeyView{}, err
	}
	for _, a := range apps {
		keys, err := d.Keys(ctx, a.Name)
		if err != nil {
			return api.KeyView{}, err
		}
		for _, k := range keys {
			if k.ID == id {
				return k, nil
			}
		}
	}
	return d.keyView(ctx, id)
}

// leaned finds the promotions that were let in because of a key, and where their releases are live now.
func (d *Daemon) leaned(ctx context.Context, id evidence.KeyID, out *api.Revoked) error {
	var entries []evidence.Entry
	for _, action := range []string{promotion.ActionLetIn, promotion.ActionBroken} {
		more, err := d.world.Store.LogOf(ctx, action)
		if err != nil {
			return err
		}
		entries = append(entries, more...)
	}
	slices.SortFunc(entries, func(a, b evidence.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	let := map[api.EnvironmentRef]bool{}
	for _, e := range slices.Backward(entries) {
		var g promotion.Ground
		if json.Unmarshal([]byte(e.Detail), &g) != nil || !slices.Contains(g.Keys, id) {
			continue
		}
		let[api.EnvironmentRef{App: e.App, Environment: e.Environment, Release: release.Digest(e.Subject)}] = true
		out.Leaned = append(out.Leaned, api.HistoryEntry{Seq: e.Seq, At: e.At, By: e.Actor, Action: e.Action, App: e.App,
			Environment: e.Environment, Release: release.Digest(e.Subject), Run: e.Run})
	}
	environments, err := d.world.Store.Environments(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range environments {
		if ref := (api.EnvironmentRef{App: e.App, Environment: e.Name, Release: e.Live}); let[ref] {
			out.Live = append(out.Live, ref)
		}
	}
	out.Evidence, err = d.world.Store.SignedBy(ctx, id)
	return err
}
