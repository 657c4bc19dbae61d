package edge

import (
	"context"
	"net"
	"time"
)

// relay carries one tcp connection to a back end. Nothing has been sent when dialling fails, so another one is tried.
func (e *edge) relay(ctx context.Context, address string, near net.Conn) {
	defer near.Close() //nolint:errcheck // it is over
	start := time.Now()
	a := e.admit(ctx, address, "", nil)
	if a.pool == nil {
		if a.route != nil {
			a.route.own.record(ending{cut: true})
		}
		return
	}
	end := ending{cut: true}
	defer func() {
		a.pool.counts.record(end)
		a.route.marks.record(time.Now(), end)
		a.pool.counts.leave()
	}()
	far, b := a.pool.connect(ctx)
	if far == nil {
		end = ending{status: 502, gateway: true, head: time.Since(start)}
		return
	}
	defer b.inFlight.Add(-1)
	end = ending{status: 200, head: time.Since(start)}
	t := &tunnel{near: near, far: far}
	defer t.Close() //nolint:errcheck // it is over
	defer context.AfterFunc(ctx, func() { _ = t.Close() })()
	forget := a.pool.counts.hold(t)
	defer forget()
	t.relay(near, &e.buffers)
}

// connect dials back ends of the pool until one answers, and counts it as in flight there; nil when none does.
func (p *pool) connect(ctx context.Context) (net.Conn, *backend) {
	var tried []*backend
	for len(tried) < min(maxTries, len(p.backends)) {
		b := p.next(tried)
		if c, err := b.dial(ctx); err == nil {
			b.inFlight.Add(1)
			if idle := b.key.timeouts.Idle; idle > 0 {
				c = &pacedConn{Conn: c, made: time.Now(), read: idle, write: sendTimeout}
			}
			return c, b
		}
		tried = append(tried, b)
	}
	return nil, nil
}
