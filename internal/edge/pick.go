package edge

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// shareCookie holds the bucket, 0 to 99, of a browser on a route with sticky shares.
const shareCookie = "greenroom_share"

// buckets is how many there are; a percent of share is one.
const buckets = 100

// poolOf gives the index of the pool that has a bucket: the pools own the buckets one after another, as many as their
// weight. -1 when no pool has it.
func poolOf(weights []int, bucket int) int {
	for i, w := range weights {
		if bucket < w {
			return i
		}
		bucket -= w
	}
	return -1
}

// bucket is the request's place among the shares, and whether the client has to be told that it is its own from now on.
func (r *route) bucket(req *http.Request) (b int, tell bool) {
	if !r.shared {
		return 0, false
	}
	fresh := rand.IntN(buckets) //nolint:gosec // G404: a share is no secret
	if !r.spec.Sticky || req == nil {
		return fresh, false
	}
	if c, err := req.Cookie(shareCookie); err == nil {
		if b, err := strconv.Atoi(c.Value); err == nil && b >= 0 && b < buckets {
			return b, false
		}
	}
	return fresh, true
}

// pool that has this bucket; nil when the route has no back end to ask.
func (r *route) pool(bucket int) *pool {
	i := r.sole
	if r.shared {
		i = poolOf(r.weights, bucket)
	}
	if i < 0 || len(r.pools[i].backends) == 0 {
		return nil
	}
	return r.pools[i]
}

// next chooses the back end with the fewest requests in flight, taking turns among equals, of those that are well. When
// none is, it takes any: the edge may be wrong about them, and an error is the worst that can come of asking.
func (p *pool) next(tried []*backend) *backend {
	if len(p.backends) == 1 && len(tried) == 0 {
		return p.backends[0]
	}
	now := time.Now()
	var best, sick *backend
	start := int(p.turn.Add(1))
	for i := range p.backends {
		b := p.backends[(start+i)%len(p.backends)]
		switch {
		case contains(tried, b):
		case !b.well(now):
			sick = less(sick, b)
		default:
			best = less(best, b)
		}
	}
	if best == nil {
		return sick
	}
	return best
}

func less(a, b *backend) *backend {
	if a == nil || b.inFlight.Load() < a.inFlight.Load() {
		return b
	}
	return a
}

func contains(l []*backend, b *backend) bool {
	for _, x := range l {
		if x == b {
			return true
		}
	}
	return false
}
