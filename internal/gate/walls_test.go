package gate

import (
	"strings"
	"testing"

	"greenroom/internal/app"
)

// TestWalls: a release asks, and only the policy in force grants; every environment asks it.
func TestWalls(t *testing.T) {
	agent := app.Service{Name: "agent", Kind: app.KindContainer, Container: &app.Container{PID: "host", Mounts: []app.Mount{{Path: "/", Target: "/host"}}}}
	web := app.Service{Name: "web", Kind: app.KindContainer, Container: &app.Container{CapAdd: []string{"CHOWN"}}}
	accepted := map[string]map[string]string{"agent": {"pid host": "it counts", "volumes /": "it measures"}}
	half := map[string]map[string]string{"agent": {"pid host": "it counts"}, "web": {"volumes /": "not this one"}}
	for _, tc := range []struct {
		name     string
		services []app.Service
		accept   map[string]map[string]string
		want     Answer // "" where nothing is asked
		reason   string
	}{
		{"nothing to ask", []app.Service{web}, nil, "", ""},
		{"nothing accepted", []app.Service{agent, web}, nil, No, "the policy in force does not accept pid host of agent, volumes / of agent"},
		{"half accepted", []app.Service{agent}, half, No, "the policy in force does not accept volumes / of agent"},
		{"accepted", []app.Service{agent}, accepted, Yes, "the policy accepts pid host of agent, volumes / of agent"},
	} {
		for _, environment := range []string{"dev", "production"} {
			t.Run(tc.name+" in "+environment, func(t *testing.T) {
				p := policy()
				for i := range p.Environments {
					if p.Environments[i].Name == "production" {
						p.Environments[i].Accept = tc.accept
					}
				}
				q := Question{App: "shop", Release: wanted, Environment: environment, Policy: p, Services: tc.services, Schema: SchemaNone, Now: noon}
				decision := Decide(q)
				var got *Demand
				for _, d := range decision.Demands {
					if strings.HasPrefix(d.Name, "containers") {
						got = &d
					}
				}
				switch {
				case tc.want == "" && got == nil:
				case tc.want == "" || got == nil || got.Answer != tc.want || got.Reason != tc.reason:
					t.Errorf("%+v", got)
				case tc.want == No && (decision.Allowed || got.Next == ""):
					t.Errorf("allowed %v, next %q", decision.Allowed, got.Next)
				}
			})
		}
	}
}
