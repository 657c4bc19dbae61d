package app_test

import (
	"strings"
	"testing"

	"greenroom/internal/app"
)

// TestValidate: no name stands for two things, whoever sends the policy.
func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*app.Policy){
		"no app":                      func(p *app.Policy) { p.App = "" },
		"no name":                     func(p *app.Policy) { p.Environments[0].Name = "" },
		"an app that leads elsewhere": func(p *app.Policy) { p.App = "../../etc" },
		"an environment that does":    func(p *app.Policy) { p.Environments[0].Name = "../../../../root" },
		"an environment of two parts": func(p *app.Policy) { p.Environments[0].Name = "qa.web" },
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

// TestContainersAreContainers: a release can't have one that is given what is not its own, whoever made it.
func TestContainersAreContainers(t *testing.T) {
	id := "sha256:" + strings.Repeat("0a", 32)
	good := func() app.Service {
		return app.Service{
			Name: "web", Kind: app.KindContainer, Image: id, Volumes: []string{"data"}, Secrets: []string{"KEY"},
			Container: &app.Container{
				Mounts:  []app.Mount{{Volume: "data", Target: "/data"}, {Files: "conf", Target: "/conf"}, {Files: ".", Target: "/all"}, {Path: "/srv", Target: "/srv"}},
				Secrets: []app.SecretFile{{Name: "KEY", Target: "/run/secrets/KEY"}},
				Configs: []app.ConfigFile{{Name: "c", Target: "/c"}},
			},
		}
	}
	others := []app.Service{{Name: "worker", Kind: app.KindProcess}, {Name: "db", Kind: app.KindPostgres, Image: "postgres:16"},
		{Name: "pg", Kind: app.KindPostgres, Image: id, Container: &app.Container{}}}
	if err := (app.Contents{Services: append(others, good())}).Validate(); err != nil {
		t.Fatal(err)
	}
	mounts := func(m app.Mount) func(*app.Service) {
		return func(s *app.Service) { s.Container.Mounts = []app.Mount{m} }
	}
	for name, change := range map[string]func(*app.Service){
		"of nothing":          func(s *app.Service) { s.Container = nil },
		"a process":           func(s *app.Service) { s.Kind = app.KindProcess },
		"a tag":               func(s *app.Service) { s.Image = "shop/web:1" },
		"no image":            func(s *app.Service) { s.Image = "" },
		"half an id":          func(s *app.Service) { s.Image = id[:20] },
		"another's volume":    mounts(app.Mount{Volume: "other", Target: "/x"}),
		"nothing mounted":     mounts(app.Mount{Target: "/x"}),
		"two things":          mounts(app.Mount{Files: "a", Path: "/a", Target: "/x"}),
		"a volume and a path": mounts(app.Mount{Volume: "data", Path: "/a", Target: "/x"}),
		"files above":         mounts(app.Mount{Files: "../../etc", Target: "/x"}),
		"absolute files":      mounts(app.Mount{Files: "/etc", Target: "/x"}),
		"nowhere":             mounts(app.Mount{Volume: "data", Target: "x"}),
		"another's secret":    func(s *app.Service) { s.Container.Secrets[0].Name = "OTHER" },
		"a secret nowhere":    func(s *app.Service) { s.Container.Secrets[0].Target = "x" },
		"a config nowhere":    func(s *app.Service) { s.Container.Configs[0].Target = "" },
	} {
		s := good()
		change(&s)
		if err := (app.Contents{Services: []app.Service{s}}).Validate(); err == nil || !strings.Contains(err.Error(), "web") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNamesOfServices: no name in a release leads out of a folder, or is taken for two.
func TestNamesOfServices(t *testing.T) {
	for _, name := range []string{"web", "a_b-c", "9"} {
		c := app.Contents{Services: []app.Service{{Name: name, Kind: app.KindProcess, Volumes: []string{name}}}}
		if err := c.Validate(); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../../root", "/etc", "a/b", "a.b", "-a", "a b", "a\x00", "a\n", "ä", strings.Repeat("a", 64)} {
		for what, s := range map[string]app.Service{"service": {Name: name}, "volume": {Name: "web", Volumes: []string{"data", name}}} {
			if err := (app.Contents{Services: []app.Service{s}}).Validate(); err == nil {
				t.Errorf("there is a %s called %q", what, name)
			}
		}
	}
}
