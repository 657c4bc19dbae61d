package edge

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ending is how a request ended.
type ending struct {
	status  int           // told to the client; 0 when nothing was told
	gateway bool          // the answer was the edge's own, in the release's place
	cut     bool          // the release broke its answer off
	gone    bool          // the client went away
	head    time.Duration // from the request's arrival to the head of the answer
}

func (e ending) failed() bool { return e.status >= 500 || e.cut }
func (e ending) good() bool   { return !e.failed() && !e.gone && e.status != 0 }

// counts belong to one release on one route and outlive the tables it is in, so that requests on their way when it left
// are still counted.
type counts struct {
	inFlight  atomic.Int64
	requests  atomic.Uint64
	classes   [5]atomic.Uint64 // 1xx to 5xx
	gateway   [3]atomic.Uint64 // 502 to 504
	cut, gone atomic.Uint64
	latency   histogram

	waiting atomic.Int32 // drains that wait for zero
	mu      sync.Mutex
	zero    chan struct{} // closed at zero, made by those who wait
	tunnels map[io.Closer]struct{}
}

func (c *counts) enter() { c.inFlight.Add(1) }

// leave wakes those who wait for zero. A waiter registers before it reads the number, and this reads the registration
// after it changed the number: one of the two sees the other.
func (c *counts) leave() {
	if c.inFlight.Add(-1) != 0 || c.waiting.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.zero != nil {
		close(c.zero)
		c.zero = nil
	}
}

// whenZero gives a channel that is closed when nothing is in flight; release it with done.
func (c *counts) whenZero() (zero <-chan struct{}, done func()) {
	c.waiting.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight.Load() == 0 {
		closed := make(chan struct{})
		close(closed)
		return closed, func() { c.waiting.Add(-1) }
	}
	if c.zero == nil {
		c.zero = make(chan struct{})
	}
	return c.zero, func() { c.waiting.Add(-1) }
}

func (c *counts) record(e ending) {
	c.requests.Add(1)
	if class := e.status/100 - 1; class >= 0 && class < len(c.classes) {
		c.classes[class].Add(1)
		c.latency.record(e.head)
	}
	if g := e.status - http.StatusBadGateway; e.gateway && g >= 0 && g < len(c.gateway) {
		c.gateway[g].Add(1)
	}
	if e.cut {
		c.cut.Add(1)
	}
	if e.gone {
		c.gone.Add(1)
	}
}

// hold remembers a tunnel that a drain may have to close.
func (c *counts) hold(t io.Closer) (forget func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tunnels == nil {
		c.tunnels = map[io.Closer]struct{}{}
	}
	c.tunnels[t] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.tunnels, t)
	}
}

// closeTunnels closes what is upgraded or relayed, and says how many those were.
func (c *counts) closeTunnels() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.tunnels {
		_ = t.Close() // its copying ends by this, and says so itself
	}
	return len(c.tunnels)
}

func (c *counts) stats(k poolKey, live bool) PoolStats {
	q := c.latency.quantiles(0.5, 0.99)
	return PoolStats{
		Route: k.route, Release: k.release, Live: live,
		Requests: c.requests.Load(),
		Answers: Answers{
			Info: c.classes[0].Load(), OK: c.classes[1].Load(), Redirect: c.classes[2].Load(),
			ClientError: c.classes[3].Load(), ServerError: c.classes[4].Load(),
		},
		Gateway: Gateway{Bad: c.gateway[0].Load(), Unavailable: c.gateway[1].Load(), Timeout: c.gateway[2].Load()},
		Cut:     c.cut.Load(), Gone: c.gone.Load(), InFlight: c.inFlight.Load(),
		P50: q[0], P99: q[1],
	}
}

type poolKey struct{ route, release string }
