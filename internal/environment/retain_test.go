package environment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/home"
	"greenroom/internal/key"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// warehouse is a world with releases and what is known of them, and a model of which are named.
type warehouse struct {
	t          *rapid.T
	w          *World
	dir        string
	releases   []release.Digest // in the order of their newest builds
	files      map[release.Digest]artifact.Built
	live       map[string][]release.Digest // by environment, the live one first
	running    map[string][]release.Digest // by run
	named      map[release.Digest]bool     // for good
	found      map[release.Digest][]release.Digest
	broken     map[release.Digest]bool // with evidence that can't be read
	gone       map[release.Digest]bool // a sweep may have removed it, because nothing named it then
	newest     int
	lenient    bool // the policy does without a built-in check
	statements int  // that were made so far
}

var retainTime = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)

// shelf is what the warehouses of a test begin with, because it is slow to make.
type shelf struct {
	ring  *key.Ring
	state []byte // an empty store
}

func newShelf(t *testing.T) shelf {
	h := home.Home(t.TempDir())
	ring, err := key.Open(h.Keys())
	must(t, err)
	s, err := store.Open(t.Context(), h.Store(), store.Options{Signer: ring.Signer, Ring: ring})
	must(t, err)
	must(t, s.Close())
	state, err := os.ReadFile(h.Store())
	must(t, err)
	return shelf{ring, state}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWarehouse(t *rapid.T, s shelf, dir string) *warehouse {
	h := home.Home(dir)
	w := &World{Home: h, Ring: s.ring, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return retainTime }}
	need(t, os.WriteFile(h.Store(), s.state, 0o600))
	var err error
	w.Store, err = store.Open(context.Background(), h.Store(), store.Options{Signer: s.ring.Signer, Ring: s.ring})
	need(t, err)
	w.Artifacts, err = artifact.Open(context.Background(), h.Artifacts())
	need(t, err)
	m := &warehouse{t: t, w: w, dir: dir, files: map[release.Digest]artifact.Built{}, live: map[string][]release.Digest{},
		running: map[string][]release.Digest{}, named: map[release.Digest]bool{}, found: map[release.Digest][]release.Digest{},
		broken: map[release.Digest]bool{}, gone: map[release.Digest]bool{}, newest: rapid.IntRange(1, 3).Draw(t, "newest"),
		lenient: rapid.IntRange(0, 3).Draw(t, "lenient") == 0}
	p := app.Policy{App: "shop", Environments: []app.Environment{{Name: "staging"}, {Name: "production", After: "staging"}, {Name: "away"}}}
	if m.lenient {
		p.Gates = map[string]app.Gate{"production": {Except: map[string]app.Except{gate.Rollback: {Because: "a test"}}}}
	}
	m.change(func(tx *store.Tx) error {
		return tx.PutApp(context.Background(), store.App{Name: "shop", Policy: p})
	})
	return m
}

func need(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *warehouse) close() {
	for _, b := range m.files {
		need(m.t, b.Close())
	}
	need(m.t, m.w.Store.Close())
}

func (m *warehouse) change(do func(tx *store.Tx) error) {
	m.t.Helper()
	need(m.t, m.w.Store.Change(context.Background(), store.Audit{Actor: "ann", Action: "x", App: "shop"}, do))
}

// build builds a release, or an earlier one again, whose files may be gone.
func (m *warehouse) build(t *rapid.T) {
	ctx := context.Background()
	var d release.Digest
	if len(m.releases) > 0 && rapid.IntRange(0, 3).Draw(t, "again") == 0 {
		d = m.one("release")
	} else {
		b, err := artifact.Build(ctx, artifact.BuildOptions{Repository: m.dir, App: app.App{Name: "shop", Contents: app.Contents{
			Checks: []app.Check{{Name: "smoke", Run: fmt.Sprint("true ", len(m.releases)), Files: []string{"smoke"}}}}}})
		need(t, err)
		d = b.Release.Digest()
		m.files[d] = b
	}
	defer m.w.HoldReleases()()
	_, err := m.w.Artifacts.Put(ctx, m.files[d])
	need(t, err)
	if s, free, err := m.w.SweepReleases(ctx); free || err != nil || s != (Swept{}) {
		t.Fatalf("a sweep while a release comes in: %+v %v %v", s, free, err)
	}
	m.change(func(tx *store.Tx) error {
		return tx.PutRelease(ctx, m.files[d].Release.Bytes(), store.Build{Release: d, App: "shop", Revision: "abcd1234"})
	})
	delete(m.gone, d)
	m.releases = append(slices.DeleteFunc(m.releases, func(e release.Digest) bool { return e == d }), d)
}

// one is any release whose files are there: nobody can name another one.
func (m *warehouse) one(what string) release.Digest {
	var there []release.Digest
	for _, d := range m.releases {
		if m.there(d) || what == "release" {
			there = append(there, d)
		}
	}
	return rapid.SampledFrom(there).Draw(m.t, what)
}

func (m *warehouse) there(d release.Digest) bool {
	_, err := m.w.Artifacts.Release(context.Background(), d)
	if err != nil && problem.From(err).Code != problem.NotFound {
		m.t.Fatal(err)
	}
	return err == nil
}

// promote makes a release live, as a promotion does: the one before can be gone back to.
func (m *warehouse) promote(t *rapid.T) {
	name, d := rapid.SampledFrom([]string{"staging", "production"}).Draw(t, "environment"), m.one("promoted")
	was := slices.DeleteFunc(slices.Clone(m.live[name]), func(e release.Digest) bool { return e == d })
	m.live[name] = append([]release.Digest{d}, was[:min(2, len(was))]...)
	m.change(func(tx *store.Tx) error {
		e, err := tx.Environment(context.Background(), "shop", name)
		if err != nil {
			return err
		}
		e.Live, e.Previous = d, m.live[name][1:]
		return tx.PutEnvironment(context.Background(), e)
	})
}

// run begins a run, or ends one.
func (m *warehouse) run(t *rapid.T) {
	ctx := context.Background()
	for id := range m.running {
		need(t, m.w.Store.FinishRun(ctx, id, plan.Move{Outcome: plan.Succeeded}))
		delete(m.running, id)
		return
	}
	p := plan.Plan{Format: plan.Format, Kind: plan.Promotion, App: "shop", Environment: "staging", Release: m.one("to"), From: m.one("from")}
	r, err := m.w.Store.CreateRun(ctx, p, "ann")
	need(t, err)
	m.running[r.ID] = []release.Digest{p.Release, p.From}
}

// say records what somebody says about a release. against is what was live in production then.
func (m *warehouse) say(t *rapid.T) {
	ctx, d, against := context.Background(), m.one("about"), m.one("against")
	m.statements++
	s := evidence.Statement{ID: fmt.Sprint("s", m.statements), App: "shop", Release: d, Environment: evidence.Stage, Run: "r1",
		Policy: string(release.Of(nil)), At: retainTime, Baseline: release.Baseline{release.PartRelease: string(against)},
		Result: evidence.Result{Check: "smoke", Verdict: evidence.Pass, Summary: "1 passed", Passed: 1, Started: retainTime}}
	switch rapid.SampledFrom([]string{"rehearsal", "other", "build", "provenance", "broken"}).Draw(t, "kind") {
	case "rehearsal":
		m.change(func(tx *store.Tx) error { return tx.PutStatement(ctx, s) })
		m.found[d] = append(m.found[d], against)
	case "other":
		m.put(d, evidence.KindCheck, func(by evidence.Signer) ([]byte, error) { return evidence.Seal(s, by) })
		m.found[d] = append(m.found[d], against)
	case "build":
		s.Environment, s.Run, s.Baseline = evidence.Build, evidence.Build, nil
		m.put(d, evidence.KindCheck, func(by evidence.Signer) ([]byte, error) { return evidence.Seal(s, by) })
	case "provenance":
		p := evidence.Provenance{App: "shop", Release: d, Builder: "ann", Version: "1", Started: retainTime, Ended: retainTime}
		m.put(d, evidence.KindProvenance, func(by evidence.Signer) ([]byte, error) { return evidence.SealProvenance(p, by) })
	case "broken":
		m.put(d, evidence.KindCheck, func(evidence.Signer) ([]byte, error) { return []byte("{" + s.ID), nil })
		m.broken[d] = true
	}
}

func (m *warehouse) put(d release.Digest, kind evidence.Kind, seal func(evidence.Signer) ([]byte, error)) {
	envelope, err := seal(m.w.Ring.Signer())
	need(m.t, err)
	m.change(func(tx *store.Tx) error {
		_, err := tx.PutEvidence(context.Background(), "shop", d, kind, envelope)
		return err
	})
}

// name gives a release a reason that lasts.
func (m *warehouse) name(t *rapid.T) {
	ctx, d := context.Background(), m.one("named")
	switch rapid.SampledFrom([]string{"bad", "backup", "standing"}).Draw(t, "by") {
	case "bad":
		m.change(func(tx *store.Tx) error { return tx.MarkBad(ctx, "shop", d, "slow") })
	case "backup":
		file := filepath.Join(m.w.Home.Environment("shop", "production"), "backups", fmt.Sprint("b", len(m.named), backupSuffix))
		need(t, os.MkdirAll(filepath.Dir(file), 0o700))
		need(t, Backup{ID: "b", Environment: "production", Release: d}.note(file))
	case "standing":
		if len(m.live["away"]) > 0 {
			return
		}
		signer := m.w.Ring.Signer()
		s := evidence.Standing{App: "shop", Environment: "away", Release: d, Since: retainTime, At: retainTime, Healthy: true,
			Log:      evidence.Head{Seq: 1, Hash: make([]byte, 32)},
			Baseline: release.Baseline{release.PartRelease: string(d)}}
		envelope, err := evidence.SealStanding(s, signer)
		need(t, err)
		m.change(func(tx *store.Tx) error { return tx.PutStanding(ctx, s, signer.ID(), envelope) })
		m.live["away"] = []release.Digest{d}
	}
	m.named[d] = true
}

// wanted is what has to be there, by the model.
func (m *warehouse) wanted() map[release.Digest]bool {
	wanted := map[release.Digest]bool{}
	for _, d := range m.releases[max(0, len(m.releases)-m.newest):] {
		wanted[d] = true
	}
	for d := range m.named {
		wanted[d] = true
	}
	for _, all := range []map[string][]release.Digest{m.live, m.running} {
		for _, list := range all {
			for _, d := range list {
				wanted[d] = true
			}
		}
	}
	proven := map[release.Digest]bool{}
	for d, against := range m.found {
		if m.lenient || slices.ContainsFunc(against, func(a release.Digest) bool { return wanted[a] }) {
			proven[d] = true
		}
	}
	for d := range m.broken {
		proven[d] = true
	}
	for d := range proven {
		wanted[d] = true
	}
	return wanted
}

// sweep sweeps, perhaps not to the end: then as after a kill, or in the same process.
func (m *warehouse) sweep(t *rapid.T) {
	stop := rapid.IntRange(0, 40).Draw(t, "stop")
	ctx := context.Context(context.Background())
	if stop < 20 {
		ctx = stopping{ctx, func() bool { stop--; return stop < 0 }}
	}
	_, free, err := m.w.sweepReleases(ctx, m.newest)
	if !free || err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(free, err)
	}
	wanted := m.wanted()
	for _, d := range m.releases {
		m.gone[d] = m.gone[d] || !wanted[d]
	}
	whole := err == nil
	if !whole && rapid.Bool().Draw(t, "killed") {
		m.w.tidy = false
		m.w.Artifacts, err = artifact.Open(context.Background(), m.w.Home.Artifacts())
		need(t, err)
	}
	m.compare(wanted, whole)
}

// compare holds what is there against the model: all that is wanted can be unpacked, and after a whole sweep nothing else is.
func (m *warehouse) compare(wanted map[release.Digest]bool, exactly bool) {
	m.t.Helper()
	n := 0
	for _, d := range m.releases {
		here := m.there(d)
		if wanted[d] && !m.gone[d] && !here || exactly && here && !wanted[d] {
			m.t.Fatalf("%s: wanted %v, there %v", d.Short(), wanted[d], here)
		}
		err := m.w.NeedFiles(context.Background(), store.Build{Release: d, App: "shop", Revision: "abcd1234"})
		if here != (err == nil) || err != nil && !strings.Contains(problem.From(err).Hint, "git checkout abcd1234") {
			m.t.Fatalf("there %v, and it says %v", here, err)
		}
		if here {
			n++
			dir := filepath.Join(m.dir, "unpacked")
			need(m.t, m.w.Artifacts.Unpack(context.Background(), d, artifact.Checks, dir))
			need(m.t, artifact.RemoveTree(dir))
		}
	}
	blobs, err := os.ReadDir(filepath.Join(m.w.Home.Artifacts(), "blobs", "sha256"))
	need(m.t, err)
	if exactly && len(blobs) != 2*n+1 { // a document and a manifest for each, and the checks' files, which all share
		m.t.Fatalf("%d blobs of %d releases", len(blobs), n)
	}
}

// TestSweepReleases holds sweeps, whole ones and interrupted ones, against a model of who names a release.
func TestSweepReleases(t *testing.T) {
	s := newShelf(t)
	rapid.Check(t, func(r *rapid.T) {
		m := newWarehouse(r, s, t.TempDir())
		defer m.close()
		need(r, os.WriteFile(filepath.Join(m.dir, "smoke"), nil, 0o600))
		acts := []func(*rapid.T){m.build, m.build, m.promote, m.run, m.say, m.say, m.name, m.sweep, m.sweep}
		for range 3 {
			m.build(r)
		}
		for range rapid.IntRange(1, 12).Draw(r, "acts") {
			rapid.SampledFrom(acts).Draw(r, "act")(r)
		}
		m.sweep(r)
	})
}

// stopping is a context that ends after it was asked so often.
type stopping struct {
	context.Context
	over func() bool
}

func (s stopping) Err() error {
	if s.over() {
		return context.Canceled
	}
	return nil
}
