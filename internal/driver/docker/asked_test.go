package docker

import (
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

func engineOf(t *testing.T, version string) *engine {
	t.Helper()
	c, err := client.New(client.WithHost("unix:///nowhere.sock"), client.WithAPIVersion(version))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &engine{Client: c, hurry: 1}
}

// Whose word counts about a container's health, the Engine's or that of whoever asks himself.
func TestTells(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const interval, timeout = 30 * time.Second, 3 * time.Second
	for _, c := range []struct {
		what, api  string
		status     container.HealthStatus
		answered   time.Duration // after the start; 0: never
		wasHealthy bool
		now        time.Duration
		want       bool
	}{
		{"an old Engine asks a starting one late", "1.41", container.Starting, 0, false, time.Second, false},
		{"also again", "1.41", container.Starting, 30 * time.Second, false, 31 * time.Second, false},
		{"what it found healthy is", "1.41", container.Healthy, 30 * time.Second, false, 31 * time.Second, true},
		{"one that was healthy before it was asked", "1.41", container.Starting, 0, true, 20 * time.Second, true},
		{"it is late", "1.41", container.Healthy, 30 * time.Second, true, 65 * time.Second, false},
		{"it never asked again", "1.52", container.Healthy, 30 * time.Second, true, time.Hour, false},
		{"a new Engine asks at once", "1.44", container.Starting, 0, false, time.Second, true},
		{"and is late", "1.44", container.Starting, 0, false, 5 * time.Second, false},
		{"an answer of the life before", "1.44", container.Healthy, -time.Second, true, time.Second, true},
	} {
		state := &container.State{StartedAt: start.Format(time.RFC3339Nano), Health: &container.Health{Status: c.status}}
		if c.answered != 0 {
			state.Health.Log = []*container.HealthcheckResult{{End: start.Add(c.answered)}}
		}
		if got := engineOf(t, c.api).tells(state, interval, timeout, c.wasHealthy, start.Add(c.now)); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

func TestEngineMisses(t *testing.T) {
	answers := func(codes ...int) (all []*container.HealthcheckResult) {
		for _, code := range codes {
			all = append(all, &container.HealthcheckResult{ExitCode: code})
		}
		return all
	}
	for _, c := range []struct {
		what   string
		health *container.Health
		want   int
	}{
		{"none", nil, 0},
		{"not asked", &container.Health{Status: container.Starting}, 0},
		{"bad ones that are not counted yet", &container.Health{Status: container.Starting, Log: answers(0, 1, 1)}, 2},
		{"more than are kept", &container.Health{Status: container.Healthy, FailingStreak: 9, Log: answers(1, 1, 1, 1, 1)}, 9},
		{"good again", &container.Health{Status: container.Healthy, Log: answers(1, 1, 0)}, 0},
		{"too many", &container.Health{Status: container.Unhealthy, FailingStreak: 3}, 4},
		{"damaged", &container.Health{Status: container.Starting, Log: []*container.HealthcheckResult{nil}}, 0},
	} {
		if got := engineMisses(c.health, 4); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}
