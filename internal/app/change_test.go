package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/app"
)

// some draws n or fewer of the words, in any order, each once.
func some(words ...string) *rapid.Generator[[]string] {
	return rapid.Custom(func(t *rapid.T) []string {
		return rapid.Permutation(words).Draw(t, "words")[:rapid.IntRange(0, len(words)).Draw(t, "how many")]
	})
}

func anyDay(t *rapid.T) time.Time {
	return rapid.SampledFrom([]time.Time{{}, day(2026, 1, 1), day(2026, 1, 2)}).Draw(t, "day")
}

func anyText(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "cost", "a, b", "x"}).Draw(t, "text")
}

// anyPolicy draws policies as a definition makes them: a name stands once, keys are sorted. Few values, so that two
// policies are often nearly the same.
func anyPolicy() *rapid.Generator[app.Policy] {
	return rapid.Custom(func(t *rapid.T) app.Policy {
		p := app.Policy{App: "shop", Environments: []app.Environment{}}
		names := some("dev", "staging", "production", "live").Draw(t, "environments")
		for _, name := range names {
			p.Environments = append(p.Environments, anyEnvironment(t, name, append(names, "")))
		}
		for _, name := range some(names...).Draw(t, "gates") {
			if p.Gates == nil {
				p.Gates = map[string]app.Gate{}
			}
			g := app.Gate{Soak: time.Duration(rapid.IntRange(0, 2).Draw(t, "soak")) * time.Minute, Except: map[string]app.Except{}}
			for _, check := range some("load", "api").Draw(t, "except") {
				g.Except[check] = app.Except{Because: anyText(t), Until: anyDay(t)}
			}
			p.Gates[name] = g
		}
		p.Roles = map[app.Right][]string{}
		for _, r := range some("promote", "apply").Draw(t, "roles") {
			p.Roles[app.Right(r)] = append([]string{}, some("anna", "@oncall").Draw(t, "people")...)
		}
		keys := some("ci", "staging").Draw(t, "keys")
		slices.Sort(keys)
		for _, name := range keys {
			p.Keys = append(p.Keys, app.TrustedKey{
				Name: name, Public: anyText(t), Checks: some("unit", "api").Draw(t, "checks"), Environments: some("rehearsal", "build").Draw(t, "speaks"),
			})
		}
		return p
	})
}

func anyEnvironment(t *rapid.T, name string, after []string) app.Environment {
	e := app.Environment{
		Name: name, After: rapid.SampledFrom(after).Draw(t, "after"), Config: map[string]app.Config{}, Hosts: some("a", "b").Draw(t, "hosts"),
		Scale: app.Scale{Replicas: rapid.IntRange(0, 1).Draw(t, "replicas"), Because: anyText(t), Until: anyDay(t)},
		Rollout: app.Rollout{Steps: []int{100}, Watch: time.Duration(rapid.IntRange(0, 1).Draw(t, "watch")),
			MaxErrors: rapid.SampledFrom([]float64{0.01, 0.005}).Draw(t, "errors"), Downtime: rapid.Bool().Draw(t, "downtime")},
	}
	for _, v := range some("A", "B").Draw(t, "config") {
		e.Config[v] = app.Config{Value: anyText(t), Because: anyText(t)}
	}
	for _, f := range some("x", "y").Draw(t, "facts") {
		e.Differences = append(e.Differences, app.Difference{Fact: f, Because: anyText(t), Until: anyDay(t)})
	}
	return e
}

// TestChangesAreExact: two policies have the same digest exactly when no change is told, rehearsals are void exactly when
// that is told, and the way back tells the same the other way round.
func TestChangesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := anyPolicy().Draw(t, "before")
		now := before
		if rapid.Bool().Draw(t, "another") {
			now = anyPolicy().Draw(t, "now")
		}
		changes, back := app.Changes(before, now), app.Changes(now, before)
		if same := before.Digest() == now.Digest(); same != (len(changes) == 0) {
			t.Fatalf("same digest %v, changes %+v", same, changes)
		}
		if void := before.Conditions() != now.Conditions(); void != notes(changes, app.VoidsRehearsals) {
			t.Fatalf("conditions changed %v, changes %+v", void, changes)
		}
		for _, c := range changes {
			if c.Path == "policy" || c.Was == c.Is {
				t.Fatalf("not told what it is: %+v", c)
			}
		}
		reversed := func(c app.Change) string { return fmt.Sprintf("%s: %q %q", c.Path, c.Is, c.Was) }
		forward := func(c app.Change) string { return fmt.Sprintf("%s: %q %q", c.Path, c.Was, c.Is) }
		if diff := cmp.Diff(lines(changes, forward), lines(back, reversed)); diff != "" {
			t.Fatalf("there and back (-there +back):\n%s", diff)
		}
	})
}

// lines are sorted, because what goes stands behind what stays, and comes back in its own place.
func lines(changes []app.Change, line func(app.Change) string) []string {
	var out []string
	for _, c := range changes {
		out = append(out, line(c))
	}
	slices.Sort(out)
	return out
}

// TestChanges pins how a change is told, and what follows from it.
func TestChanges(t *testing.T) {
	env := func(p *app.Policy, name string) *app.Environment {
		return &p.Environments[slices.IndexFunc(p.Environments, func(e app.Environment) bool { return e.Name == name })]
	}
	gate := func(p *app.Policy, change func(*app.Gate)) {
		g := p.Gates["production"]
		change(&g)
		p.Gates["production"] = g
	}
	for _, c := range []struct {
		name   string
		before func(*app.Policy) // nil: the whole one
		change func(*app.Policy)
		want   string
	}{
		{"nothing", nil, func(*app.Policy) {}, ""},
		{"hosts", nil, func(p *app.Policy) { env(p, "production").Hosts = []string{"shop.example.com", "www.example.com"} },
			"environments.production.hosts: production.example.com -> shop.example.com, www.example.com"},
		{"scale of staging", nil, func(p *app.Policy) { env(p, "staging").Scale = app.Scale{Replicas: 2} },
			"environments.staging.scale: 4/10, because cost, until 2027-06-30 -> 2 (voids rehearsals)"},
		{"its reason", nil, func(p *app.Policy) { env(p, "staging").Scale.Because = "no money" },
			"environments.staging.scale: 4/10, because cost, until 2027-06-30 -> 4/10, because no money, until 2027-06-30"},
		{"scale of qa", nil, func(p *app.Policy) { env(p, "qa").Scale = app.Scale{} },
			"environments.qa.scale: 4/10, because cost, until 2027-06-30 -> "},
		{"configuration", nil, func(p *app.Policy) {
			env(p, "staging").Config = map[string]app.Config{"PAYMENT_URL": {Value: "a, b", Because: "the sandbox"}, "X": {}}
		}, `environments.staging.config.PAYMENT_URL: http://127.0.0.1:9000, because the provider's sandbox -> "a, b", because the sandbox (voids rehearsals)
environments.staging.config.X:  -> "" (voids rehearsals)`},
		{"a difference", nil, func(p *app.Policy) { env(p, "staging").Differences = nil },
			"environments.staging.differences.database.settings.shared_buffers: because a smaller machine, until 2027-06-30 ->  (voids rehearsals)"},
		{"rollout", nil, func(p *app.Policy) {
			env(p, "production").Rollout = app.Rollout{Steps: []int{5, 50, 100}, Watch: 90 * time.Minute, MaxErrors: 0.005, Drain: time.Hour, Downtime: true}
		}, `environments.production.rollout.steps: 10%, 100% -> 5%, 50%, 100%
environments.production.rollout.watch: 1m -> 1h30m
environments.production.rollout.max_errors: 1% -> 0.5%
environments.production.rollout.drain: 30s -> 1h
environments.production.rollout.downtime:  -> accept (weakens the gate)`},
		{"no downtime any more", func(p *app.Policy) { env(p, "production").Rollout.Downtime = true }, func(p *app.Policy) { env(p, "production").Rollout.Downtime = false },
			"environments.production.rollout.downtime: accept ->  (tightens the gate)"},
		{"another environment on the way", nil, func(p *app.Policy) {
			p.Environments = append(p.Environments, app.Environment{Name: "dev", Scale: app.Scale{Replicas: 1}})
			env(p, "qa").After = "dev"
		}, `environments.qa.after:  -> dev (tightens the gate)
environments.dev:  -> scale 1`},
		{"one left out on the way", nil, func(p *app.Policy) { env(p, "staging").After = "" },
			"environments.staging.after: qa ->  (weakens the gate)"},
		{"production after qa", nil, func(p *app.Policy) { env(p, "production").After = "qa" },
			"environments.production.after: staging -> qa (voids rehearsals, weakens the gate)"},
		{"another order", nil, func(p *app.Policy) { slices.Reverse(p.Environments) },
			"environments: qa, staging, production -> production, staging, qa"},
		{"one that is gone", func(p *app.Policy) { p.Environments = append(p.Environments, app.Environment{Name: "dev"}) }, func(p *app.Policy) { p.Environments = p.Environments[:3] },
			"environments.dev: as production -> "},
		{"another one becomes production", func(p *app.Policy) { env(p, "production").Name = "live" }, func(p *app.Policy) {
			p.Environments = append(p.Environments, app.Environment{Name: "mirror", After: "live"})
		}, "environments.mirror:  -> after live (voids rehearsals, weakens the gate)"},
		{"a shorter soak", nil, func(p *app.Policy) { gate(p, func(g *app.Gate) { g.Soak = 30 * time.Minute }) },
			"gates.production.soak: 1h -> 30m (weakens the gate)"},
		{"a longer soak", nil, func(p *app.Policy) { gate(p, func(g *app.Gate) { g.Soak = 25 * time.Hour }) },
			"gates.production.soak: 1h -> 25h (tightens the gate)"},
		{"an exception more, one less", nil, func(p *app.Policy) {
			gate(p, func(g *app.Gate) { g.Except = map[string]app.Except{"api": {Because: "new"}} })
		}, `gates.production.except.api:  -> because new (weakens the gate)
gates.production.except.load: because not ready, until 2026-12-31 ->  (tightens the gate)`},
		{"an exception for longer", nil, func(p *app.Policy) {
			gate(p, func(g *app.Gate) { g.Except = map[string]app.Except{"load": {Because: "not ready"}} })
		}, "gates.production.except.load: because not ready, until 2026-12-31 -> because not ready (weakens the gate)"},
		{"an exception for less long", nil, func(p *app.Policy) {
			gate(p, func(g *app.Gate) {
				g.Except = map[string]app.Except{"load": {Because: "later", Until: day(2026, 6, 1)}}
			})
		}, "gates.production.except.load: because not ready, until 2026-12-31 -> because later, until 2026-06-01 (tightens the gate)"},
		{"a gate without demands", nil, func(p *app.Policy) { p.Gates["qa"] = app.Gate{} },
			"gates.qa:  -> the default"},
		{"a role for more", nil, func(p *app.Policy) { p.Roles[app.RightPromote] = []string{"anna", "@oncall", "ben"} },
			"roles.promote: anna, @oncall -> anna, @oncall, ben (weakens the gate)"},
		{"a role for others", nil, func(p *app.Policy) { p.Roles[app.RightPromote] = []string{"ben"} },
			"roles.promote: anna, @oncall -> ben (weakens the gate)"},
		{"a role for nobody", nil, func(p *app.Policy) { p.Roles[app.RightPromote] = []string{} },
			"roles.promote: anna, @oncall -> nobody (tightens the gate)"},
		{"a role that the owner loses", nil, func(p *app.Policy) { p.Roles[app.RightBuild] = []string{} },
			"roles.build:  -> nobody (tightens the gate)"},
		{"a role that the owner has again", nil, func(p *app.Policy) { p.Roles = nil },
			"roles.promote: anna, @oncall ->  (weakens the gate)"},
		{"apply, which the owner never loses", nil, func(p *app.Policy) { p.Roles[app.RightApply] = []string{} },
			"roles.apply:  -> nobody"},
		{"a key for more checks", nil, func(p *app.Policy) { p.Keys[0].Checks = nil },
			"keys.staging.checks: unit -> all (weakens the gate)"},
		{"a key for fewer environments", func(p *app.Policy) { p.Keys[0].Environments = nil }, func(p *app.Policy) { p.Keys[0].Environments = []string{"build"} },
			"keys.staging.environments: rehearsal, build by default -> build (tightens the gate)"},
		{"another key of that name", nil, func(p *app.Policy) { p.Keys[0].Public = "ed25519:BB==" },
			"keys.staging.key: ed25519:AA== -> ed25519:BB== (weakens the gate)"},
		{"one key more", nil, func(p *app.Policy) {
			p.Keys = append([]app.TrustedKey{{Name: "ci", Public: "ed25519:CC=="}}, p.Keys...)
		},
			"keys.ci:  -> key ed25519:CC== (weakens the gate)"},
		{"the last key", nil, func(p *app.Policy) { p.Keys = nil },
			"keys.staging: key ed25519:AA==; checks unit; environments rehearsal ->  (tightens the gate, the keys of builders here count again)"},
		{"the first key", func(p *app.Policy) { p.Keys = nil }, func(p *app.Policy) { p.Keys = []app.TrustedKey{{Name: "ci", Public: "ed25519:CC=="}} },
			"keys.ci:  -> key ed25519:CC== (weakens the gate, the keys of builders here count no more)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, now := policy(qa), policy(qa)
			if c.before != nil {
				c.before(&before)
				c.before(&now)
			}
			c.change(&now)
			var got []string
			for _, x := range app.Changes(before, now) {
				got = append(got, strings.TrimSuffix(x.Path+": "+x.Was+" -> "+x.Is+" ("+x.Note+")", " ()"))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnforeseen: what is applied is never shown as no change, also where no definition could say it.
func TestUnforeseen(t *testing.T) {
	before, now := policy(qa), policy(qa)
	before.Environments = append(before.Environments, app.Environment{Name: "qa"})
	now.Environments = append(now.Environments, app.Environment{Name: "qa", After: "staging"})
	if changes := app.Changes(before, now); len(changes) != 1 || changes[0].Path != "policy" {
		t.Errorf("a second qa that differs is told as %+v", changes)
	}
}
