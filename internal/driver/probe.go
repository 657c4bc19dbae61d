package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"greenroom/internal/app"
)

// Probe asks once after a replica's health; nil is healthy, an error says why not, for a person.
type Probe func(ctx context.Context) error

// soonest is the shortest time between two probes.
const soonest = 10 * time.Millisecond

// Pace is how long to wait before the next probe. A replica that was healthy is asked at its interval. One that is
// starting is asked so often that its health is noticed at most a hundredth of its own start-up late, and a slow one is
// not harried.
func Pace(h app.Health, wasHealthy bool, elapsed time.Duration) time.Duration {
	if wasHealthy {
		return h.Interval
	}
	return min(max(elapsed/100, soonest), max(h.Interval, soonest))
}

// NetworkProbe is the question over the network of a spec that has one, HTTP's before TCP's. What an answer says goes
// through clean before it is cut, since half a secret would not be known as one.
func NetworkProbe(s Spec, clean func(string) string) Probe {
	if s.Health.HTTP != "" {
		return httpProbe(s.Listen, s.Health.HTTP, clean)
	}
	return func(ctx context.Context) error { return Dials(ctx, s.Listen) }
}

// Dial connects to an endpoint, also to a socket whose name is longer than the kernel takes.
func Dial(ctx context.Context, e Endpoint) (net.Conn, error) {
	var d net.Dialer
	if e.Network != "unix" {
		return d.DialContext(ctx, e.Network, e.Address)
	}
	var conn net.Conn
	return conn, Shortly(e.Address, func(name string) (err error) {
		conn, err = d.DialContext(ctx, "unix", name)
		return err
	})
}

// Dials says why nobody accepts a connection; nil is that somebody does.
func Dials(ctx context.Context, e Endpoint) error {
	conn, err := Dial(ctx, e)
	if err != nil {
		return fmt.Errorf("no connection to %s: %w", e.Address, Cause(err))
	}
	_ = conn.Close() // it connected: that was the question
	return nil
}

func httpProbe(listen Endpoint, path string, clean func(string) string) Probe {
	client := &http.Client{
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return Dial(ctx, listen) },
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	host := listen.Address
	if listen.Network == "unix" {
		host = "localhost"
	}
	url := "http://" + host + "/" + strings.TrimPrefix(path, "/")
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("GET %s: %w", path, Cause(err))
		}
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // only to tell; what is missing is missing
		_ = res.Body.Close()
		if res.StatusCode >= 200 && res.StatusCode < 400 {
			return nil
		}
		return errors.New(strings.TrimSuffix(fmt.Sprintf("GET %s answered %s: %s", path, res.Status, Printable(clean(string(body)), 200)), ": "))
	}
}

// Cause is what of a network error tells a person something: without the addresses, which stand before it anyway.
func Cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
