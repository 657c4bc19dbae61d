package edge

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// live is a table made ready for requests. It never changes: a swap replaces it as a whole, and whoever waits for
// another learns it by replaced.
type live struct {
	table    Table
	routes   []*route
	own      map[string]*route // by address
	hosts    map[string]*route // by host, on the Front addresses
	replaced chan struct{}
}

type route struct {
	spec    Route
	pools   []*pool
	weights []int
	shared  bool // more than one pool has weight
	sole    int  // the pool that has all the weight; -1 for none
	own     *counts
	marks   *marks
}

type pool struct {
	spec     Pool
	counts   *counts
	backends []*backend
	turn     atomic.Uint32
}

// find gives the route of a request that came in at an address; nil when there is none. Who is inside a namespace never
// finds a route by its host: in the instant in which his own is taken away that would be a way out, to production.
func (l *live) find(address, host string) *route {
	if r := l.own[address]; r != nil {
		return r
	}
	if broker, _ := insideOf(address); broker != "" {
		return nil
	}
	return l.hosts[hostName(host)]
}

// hostName is a Host header as hosts are written in tables.
func hostName(h string) string {
	if strings.IndexByte(h, ':') >= 0 {
		if name, _, err := net.SplitHostPort(h); err == nil {
			h = name
		}
	}
	return strings.ToLower(strings.TrimSuffix(h, "."))
}

// keeper holds what outlives a table: counts, measurements, back ends. Only swaps and statistics use it, requests have
// pointers to what they need.
type keeper struct {
	mu       sync.Mutex
	pools    map[poolKey]*keptCounts
	marks    map[string]*marks // by route
	backends map[backendKey]*backend
	probes   sync.WaitGroup
}

type keptCounts struct {
	counts
	live    bool
	retired time.Time
}

// keepCounts is how long the counts of a release that is in no table are kept, and for longer while it is in flight.
const keepCounts = time.Hour

func newKeeper() *keeper {
	return &keeper{pools: map[poolKey]*keptCounts{}, marks: map[string]*marks{}, backends: map[backendKey]*backend{}}
}

// ready makes a table ready for requests. What it shares with the one before is taken over.
func (k *keeper) ready(t Table) *live {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := &live{table: t, own: map[string]*route{}, hosts: map[string]*route{}, replaced: make(chan struct{})}
	for _, spec := range t.Routes {
		r := k.route(spec)
		l.routes = append(l.routes, r)
		for _, a := range spec.addresses() {
			l.own[a] = r
		}
		for _, h := range spec.Hosts {
			l.hosts[h] = r
		}
	}
	return l
}

func (k *keeper) route(spec Route) *route {
	r := &route{spec: spec, sole: -1, own: k.counts(poolKey{spec.Name, ""})}
	if k.marks[spec.Name] == nil {
		k.marks[spec.Name] = &marks{}
	}
	r.marks = k.marks[spec.Name]
	for i, ps := range spec.Pools {
		p := &pool{spec: ps, counts: k.counts(poolKey{spec.Name, ps.Release})}
		for _, b := range ps.Backends {
			p.backends = append(p.backends, k.backend(spec, ps, b))
		}
		r.pools = append(r.pools, p)
		r.weights = append(r.weights, ps.Weight)
		switch ps.Weight {
		case 0:
		case buckets:
			r.sole = i
		default:
			r.shared = true
		}
	}
	return r
}

func (k *keeper) counts(key poolKey) *counts {
	c := k.pools[key]
	if c == nil {
		c = &keptCounts{}
		k.pools[key] = c
	}
	c.live = true
	return &c.counts
}

func (k *keeper) backend(r Route, p Pool, spec Backend) *backend {
	key := backendKey{network: spec.Network, address: spec.Address, broker: spec.Broker, timeouts: r.Timeouts.withDefaults(r.Protocol)}
	if p.Health != nil {
		key.health = *p.Health
	}
	b := k.backends[key]
	if b != nil {
		return b
	}
	b = newBackend(key)
	k.backends[key] = b
	if key.health.Path != "" {
		ctx, cancel := context.WithCancel(context.Background())
		b.probe = cancel
		k.probes.Go(func() { b.watch(ctx) })
	}
	return b
}

// settle forgets what the table in force does not name: idle connections are closed, old counts dropped.
func (k *keeper) settle(l *live, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pools, backends, routes := named(l)
	for key, b := range k.backends {
		if !backends[b] {
			delete(k.backends, key)
			b.retire()
		}
	}
	for key, c := range k.pools {
		live := pools[key]
		if c.live && !live {
			c.retired = now
		}
		c.live = live
		if !live && now.Sub(c.retired) > keepCounts && c.inFlight.Load() == 0 {
			delete(k.pools, key)
		}
	}
	for name, m := range k.marks {
		if !routes[name] && m.list.Load() == nil {
			delete(k.marks, name)
		}
	}
}

// named is all that a live table refers to.
func named(l *live) (pools map[poolKey]bool, backends map[*backend]bool, routes map[string]bool) {
	pools, backends, routes = map[poolKey]bool{}, map[*backend]bool{}, map[string]bool{}
	for _, r := range l.routes {
		routes[r.spec.Name] = true
		pools[poolKey{r.spec.Name, ""}] = true
		for _, p := range r.pools {
			pools[poolKey{r.spec.Name, p.spec.Release}] = true
			for _, b := range p.backends {
				backends[b] = true
			}
		}
	}
	return pools, backends, routes
}

// find gives the counts of a release on a route, also of one that is in no table any more.
func (k *keeper) find(key poolKey) *counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.pools[key]; c != nil {
		return &c.counts
	}
	return nil
}

func (k *keeper) marksOf(route string) *marks {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.marks[route]
}

// close ends all probes and idle connections.
func (k *keeper) close() {
	k.mu.Lock()
	for _, b := range k.backends {
		b.retire()
	}
	k.mu.Unlock()
	k.probes.Wait()
}

// all gives every count there is.
func (k *keeper) all() []*counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	var l []*counts
	for _, c := range k.pools {
		l = append(l, &c.counts)
	}
	return l
}

func (k *keeper) stats(now time.Time) (pools []PoolStats, backends []BackendStats) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, c := range k.pools {
		pools = append(pools, c.stats(key, c.live))
	}
	for _, b := range k.backends {
		backends = append(backends, b.stats(now))
	}
	return pools, backends
}
