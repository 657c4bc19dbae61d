package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"greenroom/internal/problem"
)

// Client drives the edge that runs in a folder, over its admin socket. It is safe for concurrent use. Every method
// answers with an Unavailable problem when no edge runs there.
type Client struct {
	dir  string
	http *http.Client

	mu    sync.Mutex
	seen  bool   // the first table was read
	doubt uint64 // the newest version over which a table may still come that nobody waits for, see Settled
}

// NewClient makes a client. Nothing is dialled before the first call.
func NewClient(dir string) *Client {
	return &Client{dir: dir, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialAdmin(ctx, dir) },
		// A connection that is kept would lead to the old edge after a hand-over.
		DisableKeepAlives: true,
	}}}
}

// Table is the table in force. Its version is 0 when the edge was never given any.
func (c *Client) Table(ctx context.Context) (Table, error) {
	var t Table
	if err := c.call(ctx, http.MethodGet, "/table", nil, nil, &t); err != nil {
		return t, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.seen {
		c.seen, c.doubt = true, t.Version
	}
	return t, nil
}

// Settled says whether the table in force stays until somebody calls Swap. It does not while a Swap may be under way
// whose caller was cancelled, or killed: what it sent may reach the edge later than the caller's next question. Putting
// the very same table in force once more ends that, because a Swap over an older version is refused.
func (c *Client) Settled(t Table) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen && t.Version > c.doubt
}

// Swap puts t in force if the table in force still has version was, and returns t's version. It is all or nothing: a
// table that is wrong (Invalid), that comes too late (Blocked), whose addresses cannot be had or that cannot be kept on
// disk (Unavailable) changes nothing. When it returns nil the table is on disk, every later request is routed by it,
// and none is in flight that could still choose by the old one.
func (c *Client) Swap(ctx context.Context, t Table, was uint64) (uint64, error) {
	body, err := t.Encode()
	if err != nil {
		return 0, err
	}
	var out swapped
	err = c.call(ctx, http.MethodPut, "/table", url.Values{"was": {strconv.FormatUint(was, 10)}}, body, &out)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.doubt = max(c.doubt, was)
	}
	return out.Version, err
}

// Stats is what the edge has counted.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	return s, c.call(ctx, http.MethodGet, "/stats", nil, nil, &s)
}

// Drain waits until no request of the release is under way on the route, and at most for timeout: then upgraded and tcp
// connections are closed, and what is left is told. Call it after a Swap that took the release's share away.
func (c *Client) Drain(ctx context.Context, route, release string, timeout time.Duration) (Drained, error) {
	var d Drained
	q := url.Values{"route": {route}, "release": {release}, "timeout": {timeout.String()}}
	return d, c.call(ctx, http.MethodPost, "/drain", q, nil, &d)
}

// Mark begins a measurement of a route under a name. One of that name that runs already goes on.
func (c *Client) Mark(ctx context.Context, route, name string) error {
	return c.call(ctx, http.MethodPut, "/marks", url.Values{"route": {route}, "name": {name}}, nil, nil)
}

// Measure reads a measurement, which goes on; NotFound when there is none, also after a restart of the edge.
func (c *Client) Measure(ctx context.Context, route, name string) (Measurement, error) {
	var m Measurement
	return m, c.call(ctx, http.MethodGet, "/marks", url.Values{"route": {route}, "name": {name}}, nil, &m)
}

// Unmark reads a measurement for the last time and ends it.
func (c *Client) Unmark(ctx context.Context, route, name string) (Measurement, error) {
	var m Measurement
	return m, c.call(ctx, http.MethodDelete, "/marks", url.Values{"route": {route}, "name": {name}}, nil, &m)
}

// Await returns once the edge answers, or with the last problem when ctx ends first.
func (c *Client) Await(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := c.Table(ctx)
		if err == nil || problem.From(err).Code != problem.Unavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func (c *Client) call(ctx context.Context, method, path string, q url.Values, body []byte, into any) error {
	u := "http://edge" + path + "?" + q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(res.Body, 2*maxTable))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if res.StatusCode/100 != 2 {
		return wireProblem(res.StatusCode, b)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("the edge in %s gave an answer that is not readable: %w", c.dir, err)
	}
	return nil
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return problem.New(problem.Unavailable, "the edge in %s does not answer: %w", c.dir, err).
		WithHint("greenroom up")
}

// swapped acknowledges a swap.
type swapped struct {
	Version uint64 `json:"version"`
}

// wire is a problem on the admin socket.
type wire struct {
	Code    problem.Code `json:"code"`
	Message string       `json:"detail"`
	Hint    string       `json:"hint,omitempty"`
}

func wireProblem(status int, b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil || w.Code == "" {
		return fmt.Errorf("the edge answered %d: %s", status, bytes.TrimSpace(b))
	}
	return &problem.Error{Code: w.Code, Message: w.Message, Hint: w.Hint}
}
