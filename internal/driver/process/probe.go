package process

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
	"greenroom/internal/driver"
	"greenroom/internal/human"
	"greenroom/internal/proc"
)

// probe asks once after a replica's health; nil is healthy, an error says why not, for a person.
type probe func(ctx context.Context) error

// soonest is the shortest time between two probes.
const soonest = 10 * time.Millisecond

// pace is how long to wait before the next probe. A replica that was healthy is asked at its interval. One that is
// starting is asked so often that its health is noticed at most a hundredth of its own start-up late, and a slow one is
// not harried.
func pace(h app.Health, wasHealthy bool, elapsed time.Duration) time.Duration {
	if wasHealthy {
		return h.Interval
	}
	return min(max(elapsed/100, soonest), max(h.Interval, soonest))
}

// watch probes until ctx ends, and tells each answer.
func watch(ctx context.Context, h app.Health, ask probe, answers chan<- error) {
	start, wasHealthy := time.Now(), false
	for {
		one, cancel := context.WithTimeout(ctx, h.Timeout)
		err := ask(one)
		late := one.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil && late {
			err = fmt.Errorf("%w (no answer within %s)", err, human.Duration(h.Timeout))
		}
		wasHealthy = wasHealthy || err == nil
		select {
		case answers <- err:
		case <-ctx.Done():
			return
		}
		if sleep(ctx, pace(h, wasHealthy, time.Since(start))) != nil {
			return
		}
	}
}

// probeOf is the question of a spec. A command gets the replica's environment and folder. What an answer says goes
// through clean before it is cut, since half a secret would not be known as one.
func probeOf(s driver.Spec, env []string, clean func(string) string) probe {
	switch {
	case s.Health.HTTP != "":
		return httpProbe(s.Listen, s.Health.HTTP, clean)
	case s.Health.TCP:
		return func(ctx context.Context) error { return dials(ctx, s.Listen) }
	default:
		return commandProbe(s, env, clean)
	}
}

// dial connects to an endpoint, also to a socket whose name is longer than the kernel takes.
func dial(ctx context.Context, e driver.Endpoint) (net.Conn, error) {
	var d net.Dialer
	if e.Network != "unix" {
		return d.DialContext(ctx, e.Network, e.Address)
	}
	var conn net.Conn
	return conn, shortly(e.Address, func(name string) (err error) {
		conn, err = d.DialContext(ctx, "unix", name)
		return err
	})
}

func dials(ctx context.Context, e driver.Endpoint) error {
	conn, err := dial(ctx, e)
	if err != nil {
		return fmt.Errorf("no connection to %s: %w", e.Address, cause(err))
	}
	_ = conn.Close() // it connected: that was the question
	return nil
}

func httpProbe(listen driver.Endpoint, path string, clean func(string) string) probe {
	client := &http.Client{
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, listen) },
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
			return fmt.Errorf("GET %s: %w", path, cause(err))
		}
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // only to tell; what is missing is missing
		_ = res.Body.Close()
		if res.StatusCode >= 200 && res.StatusCode < 400 {
			return nil
		}
		return errors.New(strings.TrimSuffix(fmt.Sprintf("GET %s answered %s: %s", path, res.Status, printable(clean(string(body)), 200)), ": "))
	}
}

// commandProbe runs the health command. It is in a group of its own, so that it can be killed when it takes too long,
// and a descendant of the supervisor, so that nothing of it is left when the replica ends.
func commandProbe(s driver.Spec, env []string, clean func(string) string) probe {
	return func(ctx context.Context) error {
		printed := new(lastLines)
		exit, err := proc.Run(ctx, proc.Command{
			Argv: s.Health.Command, Dir: s.Dir, Env: env, Stdout: printed, Stderr: printed, User: s.User,
			Network: s.Network, Grace: 100 * time.Millisecond,
		})
		switch {
		case err != nil:
			return fmt.Errorf("health command: %w", err)
		case exit.OK():
			return nil
		default:
			return errors.New(strings.TrimSuffix("health command: "+exit.String()+": "+printable(clean(printed.line()), 200), ": "))
		}
	}
}

// cause is what of a network error tells a person something: without the addresses, which stand before it anyway.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
