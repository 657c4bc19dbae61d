package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"

	"greenroom/internal/driver"
	"greenroom/internal/human"
)

// probeTime is the longest that looking at one container waits for its answer.
const probeTime = 2 * time.Second

// probed asks a container over the network after its health, and tells how often in a row the answer was bad; nil is healthy. A replica that was healthy is asked at its
// interval, whoever looks, and in between the last answer holds.
func (d *Driver) probed(ctx context.Context, in container.InspectResponse, rec record) (misses int, answer error) {
	d.memory.mu.Lock()
	s := d.memory.known(in)
	if s.healthy && time.Since(s.asked) < rec.Health.Interval {
		defer d.memory.mu.Unlock()
		return s.misses, s.answer
	}
	before := s.asked
	d.memory.mu.Unlock()

	limit := min(rec.Health.Timeout, probeTime)
	one, cancel := context.WithTimeout(ctx, limit)
	answer = probe(one, rec, d.cleaner(ctx, in, rec))
	late := one.Err() != nil
	cancel()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if answer != nil && late {
		answer = fmt.Errorf("%w (no answer within %s)", answer, human.Duration(limit))
	}
	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	s = d.memory.known(in)
	if s.started != in.State.StartedAt || s.asked != before { // somebody else asked meanwhile
		return s.misses, answer
	}
	s.asked, s.answer = time.Now(), answer
	if answer != nil {
		s.misses++
	}
	return s.misses, answer
}

func probe(ctx context.Context, rec record, clean func(string) string) error {
	if !rec.Proxied {
		return driver.NetworkProbe(driver.Spec{Listen: rec.Listen, Health: rec.Health}, clean)(ctx)
	}
	if rec.Health.HTTP == "" {
		return throughProxy(ctx, rec.Listen)
	}
	err := driver.NetworkProbe(driver.Spec{Listen: rec.Listen, Health: rec.Health}, clean)(ctx)
	if err != nil && !strings.Contains(err.Error(), " answered ") {
		if refused := throughProxy(ctx, rec.Listen); refused != nil {
			return fmt.Errorf("GET %s: %w", rec.Health.HTTP, errors.Unwrap(refused))
		}
	}
	return err
}

// proxyTime is how long the Engine's proxy is given to close a connection that it could not hand on.
const proxyTime = 100 * time.Millisecond

// throughProxy says whether somebody in the container accepts a connection to a published port. The Engine's proxy accepts
// all connections itself and closes those that the container refuses: so what is open and stays open is accepted.
func throughProxy(ctx context.Context, e driver.Endpoint) error {
	conn, err := driver.Dial(ctx, e)
	if err != nil {
		return fmt.Errorf("no connection to %s: %w", e.Address, driver.Cause(err))
	}
	defer conn.Close() //nolint:errcheck // it connected: that was the question
	if err := conn.SetReadDeadline(time.Now().Add(proxyTime)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	var timeout net.Error
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	return fmt.Errorf("no connection to %s: %w", e.Address, syscall.ECONNREFUSED)
}
