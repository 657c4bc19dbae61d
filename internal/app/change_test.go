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
	"greenroom/internal/mask"
	"greenroom/internal/migration"
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
		p.Migrating = anyMigrating(t)
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
	if rapid.Bool().Draw(t, "data") {
		e.Data = anyData(t)
	}
	return e
}

func anyMigrating(t *rapid.T) app.Migrating {
	few := rapid.IntRange(0, 2)
	return app.Migrating{
		Budget: migration.Budget{
			BlockedReads: time.Duration(few.Draw(t, "reads")) * 125 * time.Millisecond, BlockedWrites: time.Duration(few.Draw(t, "writes")) * time.Second,
			Duration: time.Duration(few.Draw(t, "duration")) * time.Hour, Growth: int64(few.Draw(t, "growth")), RowsLost: int64(few.Draw(t, "rows lost") - 1),
		},
		LockTimeout: time.Duration(few.Draw(t, "lock time-out")), EndBlockers: rapid.Bool().Draw(t, "end blockers"),
	}
}

func anyData(t *rapid.T) *app.Data {
	d := &app.Data{
		From: rapid.SampledFrom([]string{"production", "live"}).Draw(t, "from"), Mask: anyText(t), Replica: anyText(t), NotIsolated: anyText(t),
		Rate: int64(rapid.IntRange(0, 1).Draw(t, "rate")), Keep: rapid.IntRange(0, 1).Draw(t, "keep"), Rules: mask.Rules{Tables: map[string]mask.TableRules{}},
	}
	for _, name := range some("customers", "billing.invoices").Draw(t, "tables") {
		table := mask.TableRules{Rows: rapid.SampledFrom([]string{"", "none"}).Draw(t, "rows")}
		for _, column := range some("note", "a, b").Draw(t, "columns") {
			if table.Columns == nil {
				table.Columns = map[string]mask.Rule{}
			}
			table.Columns[column] = anyRule().Draw(t, "rule")
		}
		d.Rules.Tables[name] = table
	}
	return d
}

func anyRule() *rapid.Generator[mask.Rule] {
	return rapid.Custom(func(t *rapid.T) mask.Rule {
		r := mask.Rule{Use: rapid.SampledFrom([]string{"keep", "text", "date", "json", "array"}).Draw(t, "use")}
		switch r.Use {
		case "date":
			r.Shift = rapid.SampledFrom([]string{"1d", "30d"}).Draw(t, "shift")
		case "array":
			of := anyRule().Draw(t, "of")
			r.Of = &of
		case "json":
			for _, path := range some("$.a", "$.a.b").Draw(t, "paths") {
				if r.Paths == nil {
					r.Paths = map[string]mask.Rule{}
				}
				r.Paths[path] = anyRule().Draw(t, "at path")
			}
		}
		return r
	})
}

// out lists the values of production that leave it as they are.
func out(p app.Policy) []string {
	var all []string
	var walk func(where string, r mask.Rule)
	walk = func(where string, r mask.Rule) {
		if r.Use == "keep" {
			all = append(all, where)
		}
		if r.Use == "array" && r.Of != nil {
			walk(where+"[]", *r.Of)
		}
		if r.Use == "json" {
			for path, of := range r.Paths {
				walk(where+path, of)
			}
		}
	}
	for _, e := range p.Environments {
		if e.Data == nil {
			continue
		}
		for name, table := range e.Data.Rules.Tables {
			for column, r := range table.Columns {
				if table.Rows != "none" {
					walk(e.Name+" "+e.Data.From+" "+name+" "+column+" ", r)
				}
			}
		}
	}
	return all
}

// TestNothingIsLetOutUntold: where a value leaves production that did not, the change says so. A whole column that is
// kept lets out what a path in it let out before.
func TestNothingIsLetOutUntold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, now := anyPolicy().Draw(t, "before"), anyPolicy().Draw(t, "now")
		was := out(before)
		covered := func(s string) bool {
			return slices.ContainsFunc(was, func(w string) bool { return strings.HasPrefix(s, w) })
		}
		for _, is := range out(now) {
			if changes := app.Changes(before, now); !covered(is) && !notes(changes, app.LetsOut) {
				t.Fatalf("%q is let out: %+v", is, changes)
			}
		}
	})
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

// copied is data of one table with one column, which the rule is for.
func copied(use string) *app.Data {
	return &app.Data{From: "production", Mask: "mask.yaml", Rules: mask.Rules{Tables: map[string]mask.TableRules{"customers": {Columns: map[string]mask.Rule{"note": {Use: use}}}}}}
}

func pathed(paths map[string]mask.Rule) *app.Data {
	d := copied("json")
	d.Rules.Tables["customers"].Columns["note"] = mask.Rule{Use: "json", Paths: paths}
	return d
}

func shifted(shift string) *app.Data {
	d := copied("date")
	d.Rules.Tables["customers"].Columns["note"] = mask.Rule{Use: "date", Shift: shift}
	return d
}

func rowless(rows string) *app.Data {
	d := copied("keep")
	d.Rules.Tables["customers"] = mask.TableRules{Rows: rows, Columns: d.Rules.Tables["customers"].Columns}
	return d
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
		{"data where there was none", func(p *app.Policy) { env(p, "staging").Data = nil }, func(p *app.Policy) { env(p, "staging").Data = copied("text") },
			"environments.staging.data:  -> from production, mask mask.yaml (0 of 1 rules let values out) (voids rehearsals, tightens the gate)"},
		{"data of which some is kept", func(p *app.Policy) { env(p, "staging").Data = nil }, func(p *app.Policy) { env(p, "staging").Data = copied("keep") },
			"environments.staging.data:  -> from production, mask mask.yaml (1 of 1 rules let values out) (voids rehearsals, tightens the gate, lets values out)"},
		{"data no more", func(p *app.Policy) { env(p, "staging").Data = copied("text") }, func(p *app.Policy) { env(p, "staging").Data = nil },
			"environments.staging.data: from production, mask mask.yaml (0 of 1 rules let values out) ->  (voids rehearsals, weakens the gate)"},
		{"a weaker rule", func(p *app.Policy) { env(p, "staging").Data = copied("text") }, func(p *app.Policy) { env(p, "staging").Data = copied("keep") },
			"environments.staging.data.mask.customers.note: text -> keep (voids rehearsals, lets values out)"},
		{"a stronger rule", func(p *app.Policy) { env(p, "staging").Data = copied("keep") }, func(p *app.Policy) { env(p, "staging").Data = copied("null") },
			"environments.staging.data.mask.customers.note: keep -> null (voids rehearsals)"},
		{"a date nearer to the truth", func(p *app.Policy) { env(p, "staging").Data = shifted("") }, func(p *app.Policy) { env(p, "staging").Data = shifted("7d") },
			"environments.staging.data.mask.customers.note: date -> date (shift 7d) (voids rehearsals, lets values out)"},
		{"a date farther from it", func(p *app.Policy) { env(p, "staging").Data = shifted("") }, func(p *app.Policy) { env(p, "staging").Data = shifted("365d") },
			"environments.staging.data.mask.customers.note: date -> date (shift 365d) (voids rehearsals)"},
		{"a rule in qa, where no stage is like it", func(p *app.Policy) { env(p, "qa").Data = copied("text") }, func(p *app.Policy) { env(p, "qa").Data = copied("keep") },
			"environments.qa.data.mask.customers.note: text -> keep (lets values out)"},
		{"a path that is kept", func(p *app.Policy) { env(p, "staging").Data = pathed(nil) }, func(p *app.Policy) { env(p, "staging").Data = pathed(map[string]mask.Rule{"$.size": {Use: "keep"}}) },
			"environments.staging.data.mask.customers.note: json -> json ($.size keep) (voids rehearsals, lets values out)"},
		{"rows that were left behind", func(p *app.Policy) { env(p, "staging").Data = rowless("none") }, func(p *app.Policy) { env(p, "staging").Data = rowless("") },
			"environments.staging.data.mask.customers (rows): none -> all (voids rehearsals, lets values out)"},
		{"a table less", func(p *app.Policy) { env(p, "staging").Data = copied("keep") }, func(p *app.Policy) { env(p, "staging").Data.Rules.Tables = map[string]mask.TableRules{} },
			"environments.staging.data.mask.customers: note keep ->  (voids rehearsals)"},
		{"how data is read", nil, func(p *app.Policy) { d := env(p, "staging").Data; d.Rate, d.Keep, d.Replica = 1<<20, 0, "" },
			`environments.staging.data.replica: REPLICA_URL ->  (voids rehearsals)
environments.staging.data.rate: 50MB/s -> 1MiB/s
environments.staging.data.keep: 2 -> `},
		{"isolated", nil, func(p *app.Policy) { env(p, "staging").Data.NotIsolated = "" },
			"environments.staging.data.not_isolated: no root here ->  (voids rehearsals)"},
		{"not isolated", func(p *app.Policy) { env(p, "staging").Data.NotIsolated = "" }, func(p *app.Policy) { env(p, "staging").Data.NotIsolated = "a laptop" },
			"environments.staging.data.not_isolated:  -> a laptop (voids rehearsals, lets values out)"},
		{"a wider budget", nil, func(p *app.Policy) {
			p.Migrating.Budget = migration.Budget{BlockedReads: 2 * time.Second, BlockedWrites: time.Minute, RowsLost: -1}
		}, `migrations.budget.blocked_reads: 1s -> 2s (voids rehearsals, weakens the gate)
migrations.budget.blocked_writes: 1s -> 1m (voids rehearsals, weakens the gate)
migrations.budget.duration: 1h ->  (voids rehearsals, weakens the gate)
migrations.budget.growth: 1GB ->  (voids rehearsals, weakens the gate)
migrations.budget.rows_lost: 10 -> any (voids rehearsals, weakens the gate)`},
		{"a tighter budget", nil, func(p *app.Policy) {
			p.Migrating.Budget = migration.Budget{Duration: time.Minute, Growth: 1000}
		}, `migrations.budget.blocked_reads: 1s ->  (voids rehearsals, tightens the gate)
migrations.budget.blocked_writes: 1s ->  (voids rehearsals)
migrations.budget.duration: 1h -> 1m (voids rehearsals, tightens the gate)
migrations.budget.growth: 1GB -> 1kB (voids rehearsals, tightens the gate)
migrations.budget.rows_lost: 10 ->  (voids rehearsals, tightens the gate)`},
		{"who is in the way", nil, func(p *app.Policy) { p.Migrating.LockTimeout, p.Migrating.EndBlockers = 0, true },
			`migrations.lock_timeout: 1s -> 
migrations.blockers:  -> end (sessions in a migration's way are ended)`},
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
