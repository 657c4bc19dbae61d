package edge

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"greenroom/internal/problem"
)

// Validate checks a whole table before anything of it takes effect, and names all its faults at once.
func (t Table) Validate() error {
	c := checker{addresses: map[string]string{}, hosts: map[string]string{}, names: map[string]bool{}}
	if t.Format != Format {
		c.fault("format is %d, not %d", t.Format, Format)
	}
	for _, a := range t.Front {
		c.address("front", "", a)
	}
	for i, r := range t.Routes {
		c.route(i, r)
	}
	if len(c.faults) == 0 {
		return nil
	}
	return problem.New(problem.Invalid, "the route table is wrong: %s", strings.Join(c.faults, "; "))
}

type checker struct {
	faults    []string
	addresses map[string]string // who listens there
	hosts     map[string]string // whose name it is
	names     map[string]bool
}

func (c *checker) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *checker) route(i int, r Route) {
	if r.Name == "" || len(r.Name) > 512 {
		c.fault("route %d has no name, or one over 512 bytes", i)
		return
	}
	if c.names[r.Name] {
		c.fault("route %s is there twice", r.Name)
	}
	c.names[r.Name] = true
	if r.Protocol != HTTP && r.Protocol != TCP {
		c.fault("route %s has protocol %q, not http or tcp", r.Name, r.Protocol)
	}
	if r.Protocol == TCP && (len(r.Hosts) > 0 || r.Sticky || r.Maintenance != nil) {
		c.fault("route %s is tcp and cannot have hosts, sticky shares or a maintenance page", r.Name)
	}
	for _, a := range r.Listen {
		c.address(r.Name, "", a)
	}
	if r.Inside != nil {
		c.broker(r.Name, r.Inside.Broker)
		for _, a := range r.Inside.Listen {
			c.address(r.Name, r.Inside.Broker, a)
		}
	}
	for _, h := range r.Hosts {
		c.host(r.Name, h)
	}
	c.notNegative(r.Name, r.Hold, r.Timeouts.Dial, r.Timeouts.Response, r.Timeouts.Idle)
	if m := r.Maintenance; m != nil {
		c.notNegative(r.Name, m.RetryAfter)
	}
	c.pools(r)
}

func (c *checker) notNegative(route string, ds ...time.Duration) {
	for _, d := range ds {
		if d < 0 {
			c.fault("route %s has a negative duration, %s", route, d)
		}
	}
}

// broker checks the path of a broker's socket.
func (c *checker) broker(owner, path string) {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "|\x00") {
		c.fault("%s has the broker %q, which is not an absolute path without a | in it", owner, path)
	}
}

// address checks an address to listen on, inside the broker's namespace or, where that is "", outside.
func (c *checker) address(owner, broker, a string) {
	ap, err := netip.ParseAddrPort(a)
	if err != nil || ap.Port() == 0 {
		c.fault("%s listens on %q, which is not IP:PORT", owner, a)
		return
	}
	if a != ap.String() {
		c.fault("%s listens on %q, which is written %q", owner, a, ap.String())
	}
	key := a
	if broker != "" {
		key = insideKey(broker, a)
	}
	if other, taken := c.addresses[key]; taken {
		c.fault("%s and %s both listen on %s", other, owner, a)
	}
	c.addresses[key] = owner
}

func (c *checker) host(owner, h string) {
	if h == "" || h != strings.ToLower(h) || strings.ContainsAny(h, " /:\\\x00@?#") || strings.HasSuffix(h, ".") {
		c.fault("route %s has host %q, which is not a name in lower case without port", owner, h)
	}
	if other, taken := c.hosts[h]; taken {
		c.fault("routes %s and %s both have host %s", other, owner, h)
	}
	c.hosts[h] = owner
}

func (c *checker) pools(r Route) {
	sum := 0
	seen := map[string]bool{}
	for _, p := range r.Pools {
		if p.Release == "" || seen[p.Release] {
			c.fault("route %s has release %q twice, or one without a name", r.Name, p.Release)
		}
		seen[p.Release] = true
		if p.Weight < 0 || p.Weight > 100 {
			c.fault("route %s gives release %s %d percent", r.Name, p.Release, p.Weight)
		}
		sum += p.Weight
		if p.Weight > 0 && len(p.Backends) == 0 && len(r.Pools) > 1 {
			c.fault("route %s gives release %s, which has no back end, %d percent", r.Name, p.Release, p.Weight)
		}
		for _, b := range p.Backends {
			c.backend(r.Name, b)
		}
		c.health(r, p.Health)
	}
	if sum != 0 && sum != 100 {
		c.fault("the shares of route %s add up to %d percent", r.Name, sum)
	}
}

func (c *checker) backend(route string, b Backend) {
	if b.ID == "" {
		c.fault("route %s has a back end without an id", route)
	}
	if b.Broker != "" {
		c.broker(route, b.Broker)
	}
	switch {
	case b.Broker != "" && b.Network != "tcp":
		c.fault("route %s has back end %s in a namespace on network %q, not tcp", route, b.ID, b.Network)
	case b.Network == "tcp":
		if _, err := netip.ParseAddrPort(b.Address); err != nil {
			c.fault("route %s has back end %s at %q, which is not IP:PORT", route, b.ID, b.Address)
		}
	case b.Network == "unix":
		if !strings.HasPrefix(b.Address, "/") {
			c.fault("route %s has back end %s at %q, which is not an absolute path", route, b.ID, b.Address)
		}
	default:
		c.fault("route %s has back end %s on network %q, not tcp or unix", route, b.ID, b.Network)
	}
}

func (c *checker) health(r Route, h *Health) {
	if h == nil {
		return
	}
	c.notNegative(r.Name, h.Interval, h.Timeout)
	if r.Protocol != HTTP {
		c.fault("route %s is tcp and cannot have a health path", r.Name)
	}
	if !strings.HasPrefix(h.Path, "/") || strings.ContainsAny(h.Path, " \r\n\x00") {
		c.fault("route %s has health path %q", r.Name, h.Path)
	}
}
