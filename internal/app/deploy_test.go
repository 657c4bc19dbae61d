package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
)

func TestDeployIsHeldAgainstTheRest(t *testing.T) {
	const pinned = "ghcr.io/acme/shop@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for says, spoil := range map[string]func(*app.Contents){
		"":                                 func(*app.Contents) {},
		"it has services":                  func(c *app.Contents) { c.Services = []app.Service{{Name: "web", Kind: app.KindProcess}} },
		"it has a database":                func(c *app.Contents) { c.Database = &app.Database{} },
		"it has a database that Greenroom": func(c *app.Contents) { c.Migrations = &app.Migrations{} },
		"its deploy command is none":       func(c *app.Contents) { c.Deploy.Run.Run = " " },
		"its status command is none":       func(c *app.Contents) { c.Deploy.Status = app.Command{} },
		"its rollback command is none":     func(c *app.Contents) { c.Deploy.Rollback = &app.Command{Run: "x"} },
		"its stop command is none":         func(c *app.Contents) { c.Deploy.Stop = &app.Command{Timeout: 1} },
		"is not pinned by a digest":        func(c *app.Contents) { c.Deploy.Images["web"] = "shop:latest" },
		"would have the same variable":     func(c *app.Contents) { c.Deploy.Images["a-b"], c.Deploy.Images["a_b"] = pinned, pinned },
	} {
		c := app.Contents{Deploy: &app.Deploy{Run: app.Command{Run: "./deploy.sh", Timeout: time.Minute}, Status: app.Command{Run: "./status.sh", Timeout: time.Second},
			Images: map[string]string{"web": pinned}}}
		spoil(&c)
		if err := c.Validate(); says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%v, want that it says %q", err, says)
		}
	}
}

func TestSecretNames(t *testing.T) {
	c := app.Contents{Services: []app.Service{{Secrets: []string{"A", "B"}}, {Secrets: []string{"B", "C"}}}, Deploy: &app.Deploy{Secrets: []string{"C", "D"}}}
	if got := c.SecretNames(); !slices.Equal(got, []string{"A", "B", "C", "D"}) {
		t.Errorf("got %v", got)
	}
}

func TestImageVariable(t *testing.T) {
	for name, want := range map[string]string{"web": "GREENROOM_IMAGE_WEB", "img-proxy": "GREENROOM_IMAGE_IMG_PROXY", "a_b": "GREENROOM_IMAGE_A_B"} {
		if got := app.ImageVariable(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// A probe that can't be is refused with its policy, wherever that comes from: who asks divides by its rate.
func TestProbesThatCantBe(t *testing.T) {
	for says, spoil := range map[string]func(*app.Probe){
		"":                     func(*app.Probe) {},
		"0 is no rate":         func(p *app.Probe) { p.Rate = 0 },
		"-1 is no rate":        func(p *app.Probe) { p.Rate = -1 },
		"101 is no rate":       func(p *app.Probe) { p.Rate = 101 },
		"can't take 0s":        func(p *app.Probe) { p.Timeout = 0 },
		"can't take 2m0s":      func(p *app.Probe) { p.Timeout = 2 * time.Minute },
		`"healthz" is no path`: func(p *app.Probe) { p.Path = "healthz" },
	} {
		probe := app.DefaultProbe()
		spoil(&probe)
		p := app.Policy{App: "shop", Environments: []app.Environment{{Name: "production", URL: "https://shop.example", Probe: &probe}}}
		if err := p.Validate(); says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%v, want that it says %q", err, says)
		}
	}
}
