package app_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
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

// full is an environment that has everything.
func full(name, after string) app.Environment {
	return app.Environment{
		Name: name, After: after,
		Scale:       app.Scale{Replicas: 0, Num: 4, Den: 10, Because: "cost", Until: day(2027, 6, 30)},
		Config:      map[string]app.Config{"PAYMENT_URL": {Value: "http://127.0.0.1:9000", Because: "the provider's sandbox"}},
		Differences: []app.Difference{{Fact: "database.settings.shared_buffers", Because: "a smaller machine", Until: day(2027, 6, 30)}},
		Hosts:       []string{name + ".example.com"},
		Rollout:     app.Rollout{Steps: []int{10, 100}, Watch: time.Minute, MaxErrors: 0.01, Drain: 30 * time.Second},
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
		case typ.Kind() == reflect.Slice:
			walk(typ.Elem(), path+"[]", func(v reflect.Value, f func(reflect.Value)) {
				reach(v, func(v reflect.Value) { f(v.Index(0)) })
			})
		case typ.Kind() == reflect.Map:
			out = append(out, field{path + "{}", set(func(v reflect.Value) {
				v.SetMapIndex(reflect.ValueOf("added").Convert(typ.Key()), reflect.New(typ.Elem()).Elem())
			})})
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
			in, known := counts[f.path]
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

func notes(changes []app.Change, note string) bool {
	return slices.ContainsFunc(changes, func(c app.Change) bool { return strings.Contains(c.Note, note) })
}
