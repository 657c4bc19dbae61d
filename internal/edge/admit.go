package edge

import (
	"context"
	"net/http"
	"time"
)

// maxHeld bounds the requests that wait for a table at the same time. Each costs a goroutine and a connection.
const maxHeld = 20_000

// admission is a request's leave to go to a pool, or the reason why it has none.
type admission struct {
	route  *route
	pool   *pool  // nil: refused
	cookie int    // bucket to tell the client; -1 for none
	why    string // refused: what to tell people
	gone   bool   // refused: the client went away while it waited
}

// admit finds the route and the release for a request, waits where the route holds requests, and counts the request as
// in flight there. The caller must leave the pool's counts. req is nil for a tcp connection.
//
// Counting comes before the second look at the table in force, and a swap puts its table in force before anybody reads
// the count for a drain. So either the drain sees this request, or this request sees the new table.
func (e *edge) admit(ctx context.Context, address, host string, req *http.Request) admission {
	bucket, tell := -1, false
	var wait waiting
	defer wait.end(e)
	for {
		l := e.live.Load()
		r := l.find(address, host)
		if r == nil || r.spec.Maintenance != nil {
			return admission{route: r}
		}
		if r.shared && bucket < 0 {
			bucket, tell = r.bucket(req)
		}
		if p := r.pool(bucket); p != nil {
			p.counts.enter()
			if e.live.Load() == l {
				return admitted(r, p, bucket, tell)
			}
			p.counts.leave()
			continue
		}
		if r.spec.Hold == 0 {
			return admission{route: r, why: "nothing is running here yet"}
		}
		if stop := wait.forTable(ctx, e, l, r.spec.Hold); stop != "" {
			return admission{route: r, why: stop, gone: ctx.Err() != nil}
		}
	}
}

func admitted(r *route, p *pool, bucket int, tell bool) admission {
	if !tell {
		bucket = -1
	}
	return admission{route: r, pool: p, cookie: bucket}
}

// waiting is a held request's patience, which begins with its first wait and is not renewed by tables that do not help.
type waiting struct {
	timer *time.Timer
}

func (w *waiting) forTable(ctx context.Context, e *edge, l *live, hold time.Duration) (stop string) {
	if w.timer == nil {
		if e.held.Add(1) > maxHeld {
			e.held.Add(-1)
			return "too many requests are waiting"
		}
		w.timer = time.NewTimer(hold)
	}
	select {
	case <-l.replaced:
		return ""
	case <-w.timer.C:
		return "the application did not come back in time"
	case <-ctx.Done():
		return "the client went away"
	}
}

func (w *waiting) end(e *edge) {
	if w.timer != nil {
		w.timer.Stop()
		e.held.Add(-1)
	}
}
