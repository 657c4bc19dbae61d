package edge

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"greenroom/internal/problem"
)

// late holds the client's PUTs back: the caller goes away, and what it sent arrives when the test wants.
type late struct {
	http.RoundTripper
	cancel  context.CancelFunc
	arrives chan func() (*http.Response, error)
}

func (l late) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPut {
		return l.RoundTripper.RoundTrip(r)
	}
	l.arrives <- func() (*http.Response, error) { return l.RoundTripper.RoundTrip(r.WithContext(context.Background())) }
	l.cancel()
	return nil, context.Canceled
}

// TestTableThatComesLate: a caller that was cancelled while it changed the table reads the old one, and must not take it
// for what stays.
func TestTableThatComesLate(t *testing.T) {
	r := start(t, Options{})
	r.swap(r.route(all("old", backendOf(t, says("old")))))
	c := NewClient(r.dir)
	table, err := c.Table(t.Context())
	if err != nil || c.Settled(table) {
		t.Fatalf("%v; a new client can't know what the one before it sent: settled %v", err, c.Settled(table))
	}
	v, err := c.Swap(t.Context(), table, table.Version)
	if table.Version = v; err != nil || !c.Settled(table) {
		t.Fatalf("%v, settled %v", err, c.Settled(table))
	}

	ctx, cancel := context.WithCancel(t.Context())
	direct, sent := c.http.Transport, make(chan func() (*http.Response, error), 1)
	c.http.Transport = late{direct, cancel, sent}
	bad := table
	bad.Routes = []Route{r.route(all("bad", freeAddr(t)))}
	if _, err := c.Swap(ctx, bad, table.Version); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	c.http.Transport = direct
	if table, err = c.Table(t.Context()); err != nil || c.Settled(table) {
		t.Fatalf("%v; a table is under way: settled %v", err, c.Settled(table))
	}
	v, err = c.Swap(t.Context(), table, table.Version)
	if table.Version = v; err != nil || !c.Settled(table) {
		t.Fatalf("%v, settled %v", err, c.Settled(table))
	}
	res, err := (<-sent)()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != problem.Blocked.Status() {
		t.Errorf("the late table was answered with %s", res.Status)
	}
	if code, body := get(t, client(t), r.url("/")); code != 200 || body != "old" {
		t.Errorf("the old release answers %d %q", code, body)
	}
}
