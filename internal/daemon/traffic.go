package daemon

import (
	"context"
	"sync"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/edge"
)

const (
	trafficEvery  = 2 * time.Second
	trafficMinute = time.Minute
)

// traffic remembers the edge's counts of the last minute.
type traffic struct {
	mu      sync.Mutex
	samples []sample // the oldest first, at least a minute back where there are that many
}

type sample struct {
	at       time.Time
	instance string
	routes   map[string]api.Traffic
}

func (t *traffic) run(ctx context.Context, c *edge.Client) {
	tick := time.NewTicker(trafficEvery)
	defer tick.Stop()
	for {
		if s, err := c.Stats(ctx); err == nil {
			t.add(time.Now(), s)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (t *traffic) add(at time.Time, s edge.Stats) {
	now := sample{at: at, instance: s.Instance, routes: map[string]api.Traffic{}}
	for _, p := range s.Pools {
		r := now.routes[p.Route]
		r.Requests += int64(p.Requests)
		r.Failed += int64(p.Failed())
		now.routes[p.Route] = r
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.samples); n > 0 && t.samples[n-1].instance != s.Instance {
		t.samples = nil // its counts began again
	}
	t.samples = append(t.samples, now)
	for len(t.samples) > 2 && at.Sub(t.samples[1].at) >= trafficMinute {
		t.samples = t.samples[1:]
	}
}

// minute is what the route carried in the last minute, or since the edge started where that is less.
func (t *traffic) minute(route string) api.Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.samples) == 0 {
		return api.Traffic{}
	}
	first, last := t.samples[0].routes[route], t.samples[len(t.samples)-1].routes[route]
	return api.Traffic{Requests: max(0, last.Requests-first.Requests), Failed: max(0, last.Failed-first.Failed)}
}
