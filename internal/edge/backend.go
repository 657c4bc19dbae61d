package edge

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// Fewer failing dials than this may be a back end that restarts its listener.
	ejectAfter = 2
	ejectFor   = 2 * time.Second
	// Below the keep-alive times of common servers (2 s and up), so that it is rarely they who close.
	keepIdle    = 1500 * time.Millisecond
	maxIdle     = 256
	sendTimeout = time.Minute // without the back end taking a byte of the request
)

// backendKey is what makes two back ends one: the same place, spoken to in the same way.
type backendKey struct {
	network, address string
	broker           string // of the namespace in which the address is
	timeouts         Timeouts
	health           Health
}

// backend is one place to send requests to. It lives as long as some table in force names it.
//
// A server may close an idle connection in the very instant in which a request is written to it, and nobody can tell
// whether it had read it. net/http repeats such a request where that harms nobody: without a body, by a method that
// changes nothing. Everything else goes over a connection of its own (once), which no server has a reason to close.
type backend struct {
	key   backendKey
	kept  *http.Transport
	once  *http.Transport
	probe context.CancelFunc // ends the health probe

	made     time.Time
	inFlight atomic.Int64
	misses   atomic.Int32 // failing dials in a row
	ejected  atomic.Int64 // until, in ns since made
	sick     atomic.Pointer[string]
}

// errDial is a connection that could not be made: nothing of the request has been sent.
type errDial struct{ error }

func (e errDial) Unwrap() error { return e.error }

func neverSent(err error) bool {
	var d errDial
	return errors.As(err, &d)
}

func newBackend(key backendKey) *backend {
	b := &backend{key: key, probe: func() {}, made: time.Now()}
	b.kept = b.transport(false)
	b.once = b.transport(true)
	return b
}

func (b *backend) transport(once bool) *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // the environment's proxy is not for this
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return b.dialHTTP(ctx, once) },
		DisableKeepAlives:      once,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        keepIdle,
		ResponseHeaderTimeout:  b.key.timeouts.Response,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
	}
}

// dial connects, and keeps the score by which a back end that cannot be reached is left alone for a while.
func (b *backend) dial(ctx context.Context) (net.Conn, error) {
	c, err := b.connect(ctx)
	if err == nil {
		if b.misses.Load() != 0 {
			b.misses.Store(0)
			b.ejected.Store(0)
		}
		return c, nil
	}
	if ctx.Err() == nil && b.misses.Add(1) >= ejectAfter {
		b.ejected.Store(int64(time.Since(b.made) + ejectFor))
	}
	return nil, errDial{err}
}

func (b *backend) connect(ctx context.Context) (net.Conn, error) {
	if b.key.broker != "" {
		return dialInside(ctx, b.key.broker, b.key.address, b.key.timeouts.Dial)
	}
	d := net.Dialer{Timeout: b.key.timeouts.Dial}
	return d.DialContext(ctx, b.key.network, b.key.address)
}

func (b *backend) dialHTTP(ctx context.Context, once bool) (net.Conn, error) {
	c, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &pacedConn{Conn: c, made: time.Now(), read: b.key.timeouts.Idle, write: sendTimeout, answers: once}, nil
}

// roundTrip sends a request whose URL names any host.
func (b *backend) roundTrip(r *http.Request) (*http.Response, error) {
	if repeatable(r) {
		return b.kept.RoundTrip(r)
	}
	return b.once.RoundTrip(r)
}

// repeatable says whether sending a request twice is harmless.
func repeatable(r *http.Request) bool {
	if r.Body != nil {
		return false
	}
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

func (b *backend) well(now time.Time) bool {
	return b.sick.Load() == nil && (b.misses.Load() < ejectAfter || int64(now.Sub(b.made)) >= b.ejected.Load())
}

// retire ends what a back end holds when no table names it any more. Requests on their way to it end as they would.
func (b *backend) retire() {
	b.probe()
	b.kept.CloseIdleConnections()
}

func (b *backend) stats(now time.Time) BackendStats {
	s := BackendStats{Network: b.key.network, Address: b.key.address, Healthy: b.well(now), InFlight: b.inFlight.Load()}
	if why := b.sick.Load(); why != nil {
		s.Reason = *why
	} else if !s.Healthy {
		s.Reason = "cannot be connected to"
	}
	return s
}

// watch asks for the health path until ctx ends. One answer makes a back end well, two failures in a row make it sick.
func (b *backend) watch(ctx context.Context) {
	every, timeout := cmp.Or(b.key.health.Interval, 2*time.Second), cmp.Or(b.key.health.Timeout, 2*time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for failures := 0; ; {
		if err := b.ask(ctx, timeout); err == nil {
			failures = 0
			b.sick.Store(nil)
		} else if failures++; failures >= 2 {
			why := err.Error()
			b.sick.Store(&why)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (b *backend) ask(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+b.key.health.Path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "greenroom-health")
	res, err := b.once.RoundTrip(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close() // the status is the answer
	if res.StatusCode/100 != 2 && res.StatusCode/100 != 3 {
		return errors.New("its health path " + b.key.health.Path + " answers " + res.Status)
	}
	return nil
}
