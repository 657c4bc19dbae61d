package environment

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/edge"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Hold is how long a request waits at the edge while a release that must not run twice is exchanged.
const Hold = 30 * time.Second

// Traffic is where an environment's requests go: all that the edge needs to know about it, as one value. Putting the
// same value in force twice is putting it in force once.
type Traffic struct {
	Shares      []Share // of the environment's address; the weights add up to 100, or there is none yet
	Candidate   release.Digest
	Running     []release.Release // whose services can reach one another: those that have a share, the candidate, and the one kept warm
	Paused      bool              // requests wait for Hold
	Maintenance *edge.Maintenance // or see this page
}

// Share is a release's part of the traffic in percent.
type Share struct {
	Release release.Digest
	Percent int
}

// All is the traffic of an environment in which one release answers everything.
func All(r release.Release) Traffic {
	return Traffic{Shares: []Share{{Release: r.Digest(), Percent: 100}}, Running: []release.Release{r}}
}

// routeTries is how often traffic that could not be put in force is tried again though no port had to be given up:
// another Greenroom that looks for a free port holds each one for an instant.
const routeTries = 3

// Route puts traffic in force at the edge. A port that was free when it was promised, and is somebody else's by now, is
// given up for another.
func (e *Environment) Route(ctx context.Context, t Traffic) error {
	if e.Deployed() { // its traffic is somebody else's
		return e.Unroute(ctx)
	}
	var taken error
	if _, err := e.network(ctx); err != nil { // the edge asks its broker for listeners
		return err
	}
	for try := 0; ; try++ {
		renewed, err := e.claim(ctx, t.Running)
		if err != nil || taken != nil && !renewed && try > routeTries {
			return cmp.Or(err, taken)
		}
		routes, err := e.routes(ctx, t)
		if err != nil {
			return err
		}
		// Between the claim and now another port may have been taken: then it is claimed anew.
		if taken = e.editTable(ctx, routes); taken == nil || problem.From(taken).Code != problem.Unavailable {
			return taken
		}
	}
}

// Unroute takes everything of the environment out of the edge's table.
func (e *Environment) Unroute(ctx context.Context) error { return e.editTable(ctx, nil) }

// editTable replaces the environment's routes, whatever happens to the others' meanwhile.
func (e *Environment) editTable(ctx context.Context, routes []edge.Route) error {
	for {
		t, err := e.world.Edge.Table(ctx)
		if err != nil {
			return err
		}
		t.Format = edge.Format
		kept := make([]edge.Route, 0, len(t.Routes)+len(routes))
		for _, r := range t.Routes {
			if !e.owns(r.Name) {
				kept = append(kept, r)
			}
		}
		was := t
		t.Routes = append(kept, routes...)
		if t.Front, err = e.front(ctx, t.Routes); err != nil {
			return err
		}
		if same(was.Routes, t.Routes) && slices.Equal(was.Front, t.Front) && e.world.Edge.Settled(was) {
			return nil
		}
		_, err = e.world.Edge.Swap(ctx, t, t.Version)
		if problem.From(err) != nil && problem.From(err).Code == problem.Blocked && ctx.Err() == nil {
			continue // another environment was quicker
		}
		return err
	}
}

// front is the shared address at which environments are found by their hosts; none while no environment has one.
func (e *Environment) front(ctx context.Context, routes []edge.Route) ([]string, error) {
	for _, r := range routes {
		if len(r.Hosts) > 0 {
			address, err := e.world.Front(ctx)
			return []string{address}, err
		}
	}
	return nil, nil
}

// same says whether two tables' routes do the same, whatever their order. What came over the wire and what was made here
// differ in empty lists that mean nothing, so their text is compared.
func same(a, b []edge.Route) bool {
	text := func(routes []edge.Route) string {
		lines := make([]string, len(routes))
		for i, r := range routes {
			line, err := json.Marshal(r)
			if err != nil { // only strings, numbers and lists of them
				panic(fmt.Sprintf("route %s: %v", r.Name, err))
			}
			lines[i] = string(line)
		}
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	return text(a) == text(b)
}

// owns says whether a route is one of this environment's.
func (e *Environment) owns(route string) bool {
	return route == e.RouteName() || strings.HasPrefix(route, e.RouteName()+"/")
}

// RouteName is the name of the environment's own route at the edge.
func (e *Environment) RouteName() string { return e.App + "/" + e.Name }

// candidateRoute is the route of a release that has no share of the traffic yet.
func (e *Environment) candidateRoute() string { return e.RouteName() + "/candidate" }

// internalRoute is the local balancer over one release's replicas of a service. It belongs to the release, so that a
// request that enters a release stays in it, however the traffic is shared.
func (e *Environment) internalRoute(service string, d release.Digest) string {
	return fmt.Sprintf("%s/%s@%s", e.RouteName(), service, d.Short())
}

func (e *Environment) routes(ctx context.Context, t Traffic) ([]edge.Route, error) {
	public, err := e.publicRoute(ctx, t)
	if err != nil {
		return nil, err
	}
	routes := []edge.Route{public}
	for _, r := range t.Running {
		internal, err := e.internalRoutes(ctx, r)
		if err != nil {
			return nil, err
		}
		routes = append(routes, internal...)
		if r.Digest() != t.Candidate {
			continue
		}
		c := edge.Route{Name: e.candidateRoute(), Protocol: edge.HTTP}
		if c.Listen, err = e.listen(ctx, c.Name); err != nil {
			return nil, err
		}
		if c.Pools, err = e.pools(ctx, r, 100); err != nil {
			return nil, err
		}
		routes = append(routes, c)
	}
	database, err := e.databaseRoute(ctx, t)
	if err != nil {
		return nil, err
	}
	routes = append(routes, database...)
	return routes, e.seclude(routes)
}

func (e *Environment) publicRoute(ctx context.Context, t Traffic) (edge.Route, error) {
	r := edge.Route{
		Name: e.RouteName(), Protocol: edge.HTTP, Hosts: e.Settings.Hosts, Sticky: true, Maintenance: t.Maintenance,
	}
	if t.Paused {
		r.Hold = Hold
	}
	var err error
	if r.Listen, err = e.listen(ctx, r.Name); err != nil {
		return r, err
	}
	if t.Paused || t.Maintenance != nil {
		return r, nil
	}
	for _, s := range t.Shares {
		rel, ok := find(t.Running, s.Release)
		if !ok {
			return r, fmt.Errorf("traffic of %s: release %s has a share and does not run", e.RouteName(), s.Release.Short())
		}
		pools, err := e.pools(ctx, rel, s.Percent)
		if err != nil {
			return r, err
		}
		r.Pools = append(r.Pools, pools...)
	}
	return r, nil
}

func (e *Environment) internalRoutes(ctx context.Context, r release.Release) ([]edge.Route, error) {
	var routes []edge.Route
	for _, s := range r.Contents.Services {
		if !s.Released() || s.Port == 0 {
			continue
		}
		pool, err := e.pool(ctx, r, s, 100)
		if err != nil {
			return nil, err
		}
		route := edge.Route{Name: e.internalRoute(s.Name, r.Digest()), Protocol: edge.Protocol(s.Protocol), Internal: true, Pools: []edge.Pool{pool}}
		if route.Listen, err = e.listen(ctx, route.Name); err != nil {
			return nil, err
		}
		routes = append(routes, route)
	}
	return routes, nil
}

// pools are the replicas of a release's public service, which has one pool, or none where the app has no public service.
func (e *Environment) pools(ctx context.Context, r release.Release, percent int) ([]edge.Pool, error) {
	s, ok := r.Contents.Public()
	if !ok {
		return nil, nil
	}
	p, err := e.pool(ctx, r, s, percent)
	return []edge.Pool{p}, err
}

func (e *Environment) pool(ctx context.Context, r release.Release, s app.Service, percent int) (edge.Pool, error) {
	p := edge.Pool{Release: string(r.Digest()), Weight: percent}
	if s.Health.HTTP != "" && s.Protocol == app.HTTP {
		p.Health = &edge.Health{Path: s.Health.HTTP, Interval: s.Health.Interval, Timeout: s.Health.Timeout}
	}
	for i := range e.Settings.Scale.Of(s.Replicas) {
		id := e.replicaID(r, s, i)
		at, err := e.endpoint(ctx, s, id)
		if err != nil {
			return p, err
		}
		p.Backends = append(p.Backends, edge.Backend{ID: id, Network: at.Network, Address: at.Address})
	}
	return p, nil
}

func find(rs []release.Release, d release.Digest) (release.Release, bool) {
	for _, r := range rs {
		if r.Digest() == d {
			return r, true
		}
	}
	return release.Release{}, false
}
