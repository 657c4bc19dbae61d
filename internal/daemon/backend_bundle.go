package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// Bundle is api.Backend's. Beside what was recorded goes what this Greenroom signs for the way: where the release is live
// here, and last the list of it all, so that nothing can be left behind unseen.
func (d *Daemon) Bundle(ctx context.Context, name, wanted string) (io.ReadCloser, error) {
	a, err := d.world.Store.App(ctx, name)
	if err != nil {
		return nil, err
	}
	b, err := d.world.Store.Resolve(ctx, name, wanted)
	if err != nil {
		return nil, err
	}
	free := d.holdReleases()
	err = d.world.NeedFiles(ctx, b)
	var envelopes [][]byte
	if err == nil {
		envelopes, err = d.envelopes(ctx, a.Policy, b.Release)
	}
	if err != nil {
		free()
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		defer free()
		w.CloseWithError(d.world.Artifacts.ExportBundle(ctx, b.Release, envelopes, w))
	}()
	return r, nil
}

func (d *Daemon) envelopes(ctx context.Context, p app.Policy, id release.Digest) ([][]byte, error) {
	if fault := d.world.LogCheck.Fault(ctx); fault != "" {
		return nil, problem.New(problem.Blocked, "the log is not whole: %s", fault).WithHint("greenroom audit verify")
	}
	recorded, err := d.world.Store.Evidence(ctx, p.App, id)
	if err != nil {
		return nil, err
	}
	c := evidence.Collection{App: p.App, Release: id, At: d.world.Now().UTC()}
	if c.Log, err = d.world.Store.Head(ctx); err != nil {
		return nil, err
	}
	var envelopes [][]byte
	for _, r := range recorded {
		if r.Envelope == nil || release.Of(r.Envelope) != r.Digest {
			return nil, problem.New(problem.Blocked, "evidence that was recorded (entry %d of the log) is gone or damaged", r.Entry.Seq).
				WithHint("greenroom evidence show %s", id.Short())
		}
		envelopes = append(envelopes, r.Envelope)
		c.Evidence = append(c.Evidence, r.Digest)
	}
	signer := d.world.Ring.Signer()
	for _, e := range p.Environments {
		if d.world.Elsewhere(p, e.Name) {
			continue
		}
		s, err := d.standing(ctx, p, e.Name)
		if err != nil {
			return nil, err
		}
		if s.Release != id {
			continue
		}
		envelope, err := evidence.SealStanding(s, signer)
		if err != nil {
			return nil, err
		}
		envelopes = append(envelopes, envelope)
		c.Evidence = append(c.Evidence, release.Of(envelope))
	}
	all, err := evidence.SealCollection(c, signer)
	return append(envelopes, all), err
}

// Take is api.Backend's.
func (d *Daemon) Take(ctx context.Context, name string, bundle io.Reader) (api.Taken, error) {
	a, err := d.world.Store.App(ctx, name)
	if err != nil {
		return api.Taken{}, err
	}
	defer d.holdReleases()()
	id, envelopes, err := d.world.Artifacts.ImportBundle(ctx, bundle)
	if err != nil {
		return api.Taken{}, err
	}
	r, err := d.world.Artifacts.Release(ctx, id)
	if err != nil {
		return api.Taken{}, err
	}
	if r.App != name {
		return api.Taken{}, problem.New(problem.Invalid, "release %s is one of %s, not of %s", id.Short(), r.App, name)
	}
	keys, err := d.world.Keys(ctx, a.Policy)
	if err != nil {
		return api.Taken{}, err
	}
	load := unpack(a.Policy, id, envelopes, keys)
	if load.collection == nil { // without the list of it all, what says no may have been left out
		load.items, load.standings = nil, nil
		load.faults = append(load.faults, "no key that is trusted here vouches for this being all the evidence: none of it was taken")
	}
	return d.keep(ctx, r, load)
}

// load is a bundle's evidence, sorted out.
type load struct {
	items      []item
	standings  []item
	collection *item
	list       evidence.Collection
	origin     evidence.Provenance
	faults     []string
}

type item struct {
	envelope []byte
	kind     evidence.Kind
	check    string // of a statement about one
	key      evidence.Key
}

// unpack believes what keys have signed that are trusted for it, and says of the rest why not.
func unpack(p app.Policy, id release.Digest, envelopes [][]byte, keys evidence.Keys) (l load) {
	for _, e := range envelopes {
		s, key, err := evidence.Read(e, keys)
		if err == nil && (s.App != p.App || s.Release != id) {
			err = fmt.Errorf("it is about %s %s", s.App, s.Release.Short())
		}
		if err == nil {
			err = l.take(p, e, s, key, keys)
		}
		if err != nil {
			l.faults = append(l.faults, fmt.Sprintf("%s: %v", called(e), err))
		}
	}
	if l.collection == nil {
		return l
	}
	for _, d := range l.list.Evidence {
		if !slices.ContainsFunc(envelopes, func(e []byte) bool { return release.Of(e) == d }) {
			l.faults = append(l.faults, fmt.Sprintf("%s: %s lists it, and it is not here", d.Short(), l.collection.key.Name))
			l.collection = nil
			return l
		}
	}
	l.items, l.standings = listed(l.items, l.list), listed(l.standings, l.list)
	return l
}

// listed are the items that a list names, in its order: a gate believes the newest, and the archive's order is nobody's word.
func listed(items []item, list evidence.Collection) []item {
	var all []item
	for _, d := range list.Evidence {
		if i := slices.IndexFunc(items, func(i item) bool { return release.Of(i.envelope) == d }); i >= 0 {
			all = append(all, items[i])
		}
	}
	return all
}

// late takes out what would get a place behind something newer that was taken before: a pass whose key was not trusted then
// would hide the failure that followed it.
func (l *load) late(recorded []evidence.Recorded) {
	known := map[release.Digest]bool{}
	for _, r := range recorded {
		known[r.Digest] = true
	}
	followed := map[string]bool{}
	var kept []item
	for _, i := range slices.Backward(l.items) {
		here := known[release.Of(i.envelope)]
		if i.check != "" && !here && followed[i.check] {
			l.faults = append(l.faults, fmt.Sprintf("check %s: what followed it was taken before, and would come after it now", i.check))
			continue
		}
		followed[i.check] = followed[i.check] || here
		kept = append(kept, i)
	}
	slices.Reverse(kept)
	l.items = kept
}

// called is what a person knows an envelope by, whoever signed it.
func called(envelope []byte) string {
	digest := release.Of(envelope)
	w, err := evidence.Recorded{Envelope: envelope, Digest: digest}.Read(nil)
	switch {
	case err != nil:
		return digest.Short()
	case w.Kind == evidence.KindCheck:
		return "check " + w.Check
	default:
		return string(w.Kind)
	}
}

func (l *load) take(p app.Policy, envelope []byte, s evidence.Summary, key evidence.Key, keys evidence.Keys) error {
	one := item{envelope, s.Kind, s.Check, key}
	if key.Revoked != nil {
		return fmt.Errorf("the key %s is revoked", key.Name)
	}
	switch s.Kind {
	case evidence.KindCollection:
		c, _, err := evidence.OpenCollection(envelope, keys)
		if err != nil {
			return err
		}
		if !slices.Contains(key.Environments, app.StageName) && !slices.Contains(key.Environments, evidence.Any) {
			return fmt.Errorf("the key %s may not speak about rehearsals", key.Name)
		}
		if l.collection == nil || c.Log.Seq > l.list.Log.Seq {
			l.collection, l.list = &one, c
		}
	case evidence.KindStanding:
		if key.Own {
			return nil // it is ours, and came back
		}
		if _, _, err := environment.OpenStanding(envelope, keys, p.App, ""); err != nil {
			return err
		}
		l.standings = append(l.standings, one)
	case evidence.KindCheck:
		st, _, err := evidence.Open(envelope, keys)
		if err == nil {
			err = key.May(st)
		}
		if err != nil {
			return err
		}
		l.items = append(l.items, one)
	case evidence.KindProvenance:
		o, _, err := evidence.OpenProvenance(envelope, keys)
		if err != nil {
			return err
		}
		l.origin = o
		l.items = append(l.items, one)
	default:
		l.items = append(l.items, one)
	}
	return nil
}

// keep keeps a release and what was believed about it.
func (d *Daemon) keep(ctx context.Context, r release.Release, l load) (api.Taken, error) {
	actor, id := api.Actor(ctx), r.Digest()
	before, err := d.world.Store.Evidence(ctx, r.App, id)
	if err != nil {
		return api.Taken{}, err
	}
	l.late(before)
	out := api.Taken{Faults: l.faults}
	build := store.Build{Release: id, App: r.App, Revision: l.origin.Commit, Ref: l.origin.Ref, Dirty: l.origin.Dirty,
		At: l.origin.Ended, By: actor}
	if l.origin.Builder != "" {
		build.By = l.origin.Builder
	}
	if build.At.IsZero() {
		build.At = d.world.Now()
	}
	_, err = d.world.Store.Document(ctx, id)
	out.Known = err == nil
	named := false // one that came back after its files were removed counts as new, or they would go again
	if out.Known {
		if named, err = d.world.Named(ctx, id); err != nil {
			return out, err
		}
	}
	by := store.Audit{Actor: actor, Action: "release imported", App: r.App, Subject: string(id)}
	if l.collection != nil {
		out.By = l.collection.key.Name
		by.Because = "with the evidence that " + out.By + " vouches for"
	}
	err = d.world.Store.Change(ctx, by, func(t *store.Tx) error {
		if l.collection != nil {
			if err := t.PutCollection(ctx, l.list, l.collection.key.ID, l.collection.envelope); err != nil {
				return err
			}
		}
		if !named {
			if err := t.PutRelease(ctx, r.Bytes(), build); err != nil {
				return err
			}
		}
		for _, i := range l.items {
			if _, err := t.PutEvidence(ctx, r.App, id, i.kind, i.envelope); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	after, err := d.world.Store.Evidence(ctx, r.App, id)
	out.Taken = len(after) - len(before)
	for _, s := range l.standings {
		if _, e := d.TakeStanding(ctx, r.App, s.envelope); e != nil {
			out.Faults = append(out.Faults, problem.From(e).Message)
		}
	}
	view, e := d.Resolve(ctx, r.App, string(id))
	out.Release = view
	return out, errors.Join(err, e)
}
