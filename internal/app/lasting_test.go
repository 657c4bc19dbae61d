package app

import "testing"

// TestLasting: a container that must not run twice outlives releases, unless it needs what comes and goes with its release.
func TestLasting(t *testing.T) {
	cache := Service{Name: "cache", Kind: KindContainer, Order: StopFirst, DependsOn: []Dependency{{Service: "db"}, {Service: "external"}}}
	but := func(change func(*Service)) Service {
		s := cache
		change(&s)
		return s
	}
	needs := func(name, other string) Service {
		return but(func(s *Service) { s.Name, s.DependsOn = name, []Dependency{{Service: other}} })
	}
	contents := Contents{
		Services: []Service{
			cache, {Name: "db", Kind: KindPostgres}, {Name: "web", Kind: KindContainer, Order: StartFirst},
			needs("egg", "hen"), needs("hen", "egg"),
		},
		Migrations: &Migrations{AtStart: "migrates"},
	}
	for _, c := range []struct {
		what string
		s    Service
		want bool
	}{
		{"a cache", cache, true},
		{"what waits for one", needs("feed", "cache"), true},
		{"what waits for a service of the release", needs("feed", "web"), false},
		{"what waits for itself", needs("egg", "hen"), false},
		{"a process", but(func(s *Service) { s.Kind = KindProcess }), false},
		{"what may run twice", but(func(s *Service) { s.Order = StartFirst }), false},
		{"what customers reach", but(func(s *Service) { s.Public = true }), false},
		{"a job", but(func(s *Service) { s.Job = true }), false},
		{"what migrates as it starts", but(func(s *Service) { s.Name = "migrates" }), false},
	} {
		if got := contents.Lasting(c.s); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
}
