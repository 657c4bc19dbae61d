package app_test

import (
	"testing"

	"greenroom/internal/app"
)

// TestValidate: no name stands for two things, whoever sends the policy.
func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*app.Policy){
		"no app":                      func(p *app.Policy) { p.App = "" },
		"no name":                     func(p *app.Policy) { p.Environments[0].Name = "" },
		"an environment like a stage": func(p *app.Policy) { p.Environments[0].Name = "rehearsal" },
		"an environment like a build": func(p *app.Policy) { p.Environments[0].Name = "build" },
		"an environment twice":        func(p *app.Policy) { p.Environments[0].Name = "staging" },
		"a right that is none":        func(p *app.Policy) { p.Roles["fly"] = []string{"anna"} },
		"a key without a name":        func(p *app.Policy) { p.Keys[0].Name = "" },
		"a key without a key":         func(p *app.Policy) { p.Keys[0].Public = "" },
		"a name of two keys":          func(p *app.Policy) { p.Keys = append(p.Keys, app.TrustedKey{Name: "staging", Public: "ed25519:BB=="}) },
		"a key of two names":          func(p *app.Policy) { p.Keys = append(p.Keys, app.TrustedKey{Name: "ci", Public: p.Keys[0].Public}) },
	} {
		p := policy(qa)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&p)
		if err := p.Validate(); err == nil {
			t.Errorf("%s is a policy", name)
		}
	}
}
