package app_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/mask"
	"greenroom/internal/migration"
)

// roles of an environment in a rehearsal.
const (
	qa         = "qa"         // takes no part
	staging    = "staging"    // what the stage is built like
	production = "production" // what the rehearsal is for
	alone      = "alone"      // production that comes after nothing: both
)

// counts says for every field of a policy, in which environments' settings it is part of the conditions of a rehearsal.
// A new field has to be written down here, with a reason in the doc comment of Policy.Conditions.
var counts = map[string][]string{
	"App":                                  {qa, staging, production, alone},
	"Environments[].Name":                  {staging, production, alone},
	"Environments[].After":                 {production},
	"Environments[].Scale.Replicas":        {staging, alone},
	"Environments[].Scale.Num":             {staging, alone},
	"Environments[].Scale.Den":             {staging, alone},
	"Environments[].Scale.Because":         nil,
	"Environments[].Scale.Until":           nil,
	"Environments[].Config{}":              {staging, alone},
	"Environments[].Config{}.Value":        {staging, alone},
	"Environments[].Config{}.Because":      nil,
	"Environments[].Differences[].Fact":    {staging, alone},
	"Environments[].Differences[].Because": nil,
	"Environments[].Differences[].Until":   nil,
	"Environments[].Hosts[]":               nil,
	"Environments[].Rollout.Steps[]":       nil,
	"Environments[].Rollout.Watch":         nil,
	"Environments[].Rollout.MaxErrors":     nil,
	"Environments[].Rollout.Drain":         nil,
	"Environments[].Rollout.Downtime":      nil,
	"Environments[].Data.From":             {staging, alone},
	"Environments[].Data.Mask":             nil,
	"Environments[].Data.Replica":          nil, // that there is one counts
	"Environments[].Data.Rate":             nil,
	"Environments[].Data.Keep":             nil,
	"Environments[].Data.NotIsolated":      nil, // that there is a reason counts
	"Migrating.Budget.BlockedReads":        {qa, staging, production, alone},
	"Migrating.Budget.BlockedWrites":       {qa, staging, production, alone},
	"Migrating.Budget.Duration":            {qa, staging, production, alone},
	"Migrating.Budget.Growth":              {qa, staging, production, alone},
	"Migrating.Budget.RowsLost":            {qa, staging, production, alone},
	"Migrating.LockTimeout":                nil,
	"Migrating.EndBlockers":                nil,
	"Environments[].Accept{}":              nil,
	"Environments[].URL":                   {staging, alone},
	"Environments[].Probe.Path":            nil,
	"Environments[].Probe.Rate":            nil,
	"Environments[].Probe.Timeout":         nil,
	"Gates{}":                              nil,
	"Gates{}.Soak":                         nil,
	"Gates{}.Except{}":                     nil,
	"Gates{}.Except{}.Because":             nil,
	"Gates{}.Except{}.Until":               nil,
	"Roles{}":                              nil,
	"Roles{}[]":                            nil,
	"Keys[].Name":                          nil,
	"Keys[].Public":                        nil,
	"Keys[].Checks[]":                      nil,
	"Keys[].Environments[]":                nil,
}

// countsToo says it for what lies below a path. A stage's data is made by every rule of its mask.
var countsToo = map[string][]string{
	"Environments[].Data.Rules.": {staging, alone},
}

// counted says what counts and countsToo say about a path.
func counted(path string) (in []string, known bool) {
	if in, known = counts[path]; known {
		return in, true
	}
	for prefix, in := range countsToo {
		if strings.HasPrefix(path, prefix) {
			return in, true
		}
	}
	return nil, false
}

// full is an environment that has everything.
func full(name, after string) app.Environment {
	return app.Environment{
		Name: name, After: after,
		Scale:       app.Scale{Replicas: 0, Num: 4, Den: 10, Because: "cost", Until: day(2027, 6, 30)},
		Config:      map[string]app.Config{"PAYMENT_URL": {Value: "http://127.0.0.1:9000", Because: "the provider's sandbox"}},
		Differences: []app.Difference{{Fact: "database.settings.shared_buffers", Because: "a smaller machine", Until: day(2027, 6, 30)}},
		Hosts:       []string{name + ".example.com"},
		Accept:      map[string]map[string]string{"agent": {"pid host": "it counts"}},
		URL:         "https://" + name + ".example.com",
		Probe:       &app.Probe{Path: "/healthz", Rate: 20, Timeout: time.Second},
		Rollout:     app.Rollout{Steps: []int{10, 100}, Watch: time.Minute, MaxErrors: 0.01, Drain: 30 * time.Second},
		Data: &app.Data{
			From: "production", Mask: "mask.yaml", Replica: "REPLICA_URL", Rate: 50e6, Keep: 2, NotIsolated: "no root here",
			Rules: mask.Rules{Tables: map[string]mask.TableRules{"customers": {Columns: map[string]mask.Rule{"note": {
				Use: "text", Value: "x", Low: "1", High: "9", Shift: "30d",
				Of: &mask.Rule{Use: "text", Of: &mask.Rule{Use: "keep"}, Paths: map[string]mask.Rule{"$.a": {Use: "name"}}}, Paths: map[string]mask.Rule{"$.a.b": {
					Use: "text", Of: &mask.Rule{Use: "keep"}, Paths: map[string]mask.Rule{"$.c": {Use: "keep"}}}},
			}}}}},
		},
	}
}

func day(year int, month time.Month, date int) time.Time {
	return time.Date(year, month, date, 23, 59, 59, 0, time.UTC)
}

// policy is one that has everything, and in which the environment of that role is the first.
func policy(role string) app.Policy {
	p := app.Policy{
		App:   "shop",
		Gates: map[string]app.Gate{"production": {Soak: time.Hour, Except: map[string]app.Except{"load": {Because: "not ready", Until: day(2026, 12, 31)}}}},
		Roles: map[app.Right][]string{app.RightPromote: {"anna", "@oncall"}},
		Keys:  []app.TrustedKey{{Name: "staging", Public: "ed25519:AA==", Checks: []string{"unit"}, Environments: []string{"rehearsal"}}},
		Migrating: app.Migrating{
			Budget:      migration.Budget{BlockedReads: time.Second, BlockedWrites: time.Second, Duration: time.Hour, Growth: 1e9, RowsLost: 10},
			LockTimeout: time.Second,
		},
	}
	switch role {
	case qa:
		p.Environments = []app.Environment{full("qa", ""), full("staging", "qa"), full("production", "staging")}
	case staging:
		p.Environments = []app.Environment{full("staging", "qa"), full("qa", ""), full("production", "staging")}
	case production:
		p.Environments = []app.Environment{full("production", "staging"), full("qa", ""), full("staging", "qa")}
	case alone:
		p.Environments = []app.Environment{full("production", "")}
	}
	return p
}

// field is one thing that can be different in a policy.
type field struct {
	path   string
	change func(*app.Policy) // of the first environment, where there are several
}

// fields walks over a policy's type and lists everything that can be changed in it. Where a mapping or a list holds
// more than one, the first is meant; adding a key to a mapping is a change too.
func fields(t *testing.T) []field {
	var out []field
	var walk func(typ reflect.Type, path string, reach func(reflect.Value, func(reflect.Value)))
	walk = func(typ reflect.Type, path string, reach func(reflect.Value, func(reflect.Value))) {
		set := func(change func(reflect.Value)) func(*app.Policy) {
			return func(p *app.Policy) { reach(reflect.ValueOf(p).Elem(), change) }
		}
		switch {
		case typ == reflect.TypeFor[time.Time]():
			out = append(out, field{path, set(func(v reflect.Value) { v.Set(reflect.ValueOf(v.Interface().(time.Time).AddDate(0, 0, 1))) })})
		case typ.Kind() == reflect.Struct:
			for i := range typ.NumField() {
				name := typ.Field(i).Name
				walk(typ.Field(i).Type, strings.TrimPrefix(path+"."+name, "."), func(v reflect.Value, f func(reflect.Value)) {
					reach(v, func(v reflect.Value) { f(v.Field(i)) })
				})
			}
		case typ.Kind() == reflect.Pointer:
			if strings.Count(path, ".Of")+strings.Count(path, ".Paths") > 1 {
				return // a rule in a rule holds rules
			}
			walk(typ.Elem(), path, func(v reflect.Value, f func(reflect.Value)) {
				reach(v, func(v reflect.Value) { f(v.Elem()) })
			})
		case typ.Kind() == reflect.Slice:
			walk(typ.Elem(), path+"[]", func(v reflect.Value, f func(reflect.Value)) {
				reach(v, func(v reflect.Value) { f(v.Index(0)) })
			})
		case typ.Kind() == reflect.Map:
			out = append(out, field{path + "{}", set(func(v reflect.Value) {
				v.SetMapIndex(reflect.ValueOf("added").Convert(typ.Key()), reflect.New(typ.Elem()).Elem())
			})})
			if strings.Count(path, ".Of")+strings.Count(path, ".Paths") > 1 {
				return
			}
			if typ.Elem().Kind() == reflect.Struct || typ.Elem().Kind() == reflect.Slice {
				walk(typ.Elem(), path+"{}", func(v reflect.Value, f func(reflect.Value)) {
					reach(v, func(v reflect.Value) {
						key := v.MapKeys()[0]
						item := reflect.New(typ.Elem()).Elem()
						item.Set(v.MapIndex(key))
						f(item)
						v.SetMapIndex(key, item)
					})
				})
			}
		default:
			out = append(out, field{path, set(func(v reflect.Value) { other(t, path, v) })})
		}
	}
	walk(reflect.TypeFor[app.Policy](), "", func(v reflect.Value, f func(reflect.Value)) { f(v) })
	return out
}

// other makes a value another one.
func other(t *testing.T, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() * 2)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	default:
		t.Fatalf("%s: a %s is new here", path, v.Kind())
	}
}

// TestEveryFieldCounts: whatever changes in a policy changes its digest, is told, and changes the conditions of a
// rehearsal exactly when the stage is made of it.
func TestEveryFieldCounts(t *testing.T) {
	seen := map[string]bool{}
	for _, role := range []string{qa, staging, production, alone} {
		for _, f := range fields(t) {
			seen[f.path] = true
			in, known := counted(f.path)
			if !known {
				t.Fatalf("%s: say in counts whether a stage depends on it", f.path)
			}
			before, now := policy(role), policy(role)
			f.change(&now)
			what := fmt.Sprintf("%s of %s", f.path, role)
			if before.Digest() == now.Digest() {
				t.Errorf("%s: the digest is the same", what)
			}
			want := slices.Contains(in, role)
			if got := before.Conditions() != now.Conditions(); got != want {
				t.Errorf("%s: conditions changed %v, want %v", what, got, want)
			}
			changes := app.Changes(before, now)
			if len(changes) == 0 || changes[0].Path == "policy" {
				t.Errorf("%s: told as %+v", what, changes)
			}
			if got := notes(changes, app.VoidsRehearsals); got != want {
				t.Errorf("%s: told to void rehearsals %v, want %v: %+v", what, got, want, changes)
			}
			for _, c := range changes {
				if c.Was == c.Is {
					t.Errorf("%s: %s is told as %q and %q", what, c.Path, c.Was, c.Is)
				}
			}
		}
	}
	for path := range counts {
		if !seen[path] {
			t.Errorf("counts has %s, which no policy has", path)
		}
	}
}

// TestBareWordsCount: of a replica and of a reason for data that is not isolated only that they are there counts.
func TestBareWordsCount(t *testing.T) {
	for name, change := range map[string]func(*app.Data){
		"replica":      func(d *app.Data) { d.Replica = "" },
		"not_isolated": func(d *app.Data) { d.NotIsolated = "" },
	} {
		before, now := policy(staging), policy(staging)
		change(now.Environments[0].Data)
		if before.Conditions() == now.Conditions() || !notes(app.Changes(before, now), app.VoidsRehearsals) {
			t.Errorf("%s: conditions %s and %s, changes %+v", name, before.Conditions(), now.Conditions(), app.Changes(before, now))
		}
	}
}

// TestAppliedPoliciesStay: a policy that uses no key that came later has the digest and the conditions that it had, so that
// what was applied and rehearsed before an upgrade still holds.
func TestAppliedPoliciesStay(t *testing.T) {
	p := policy(qa)
	p.Migrating = app.Migrating{}
	for i := range p.Environments {
		p.Environments[i].Data, p.Environments[i].Accept = nil, nil
		p.Environments[i].URL, p.Environments[i].Probe = "", nil
	}
	if got, want := p.Digest(), "sha256:b44d5c51d24d15ef5e02aa8c5b254b4d60a3646f996bacffff6f928a7f6defca"; got != want {
		t.Errorf("digest %s, was %s", got, want)
	}
	if got, want := p.Conditions(), "sha256:2a18297c2d34a082e577c6eca58f5f3d386b8cce537f4fd2d416111b53ec79f7"; got != want {
		t.Errorf("conditions %s, were %s", got, want)
	}
}

func notes(changes []app.Change, note string) bool {
	return slices.ContainsFunc(changes, func(c app.Change) bool { return strings.Contains(c.Note, note) })
}
