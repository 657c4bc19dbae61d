package process

import (
	"context"
	"fmt"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/human"
)

// watch probes until ctx ends, and tells each answer. Between two it waits for least at least.
func watch(ctx context.Context, h app.Health, least time.Duration, ask driver.Probe, answers chan<- error) {
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
		if driver.Sleep(ctx, max(least, driver.Pace(h, wasHealthy, time.Since(start)))) != nil {
			return
		}
	}
}

// question is that of a spec. What an answer says is without secrets before it is cut, since half of one would not be known
// as one.
func (s *supervisor) question() driver.Probe {
	switch {
	case s.spec.Deploy != nil:
		return s.askStatus
	case s.spec.Health.HTTP != "" || s.spec.Health.TCP:
		return driver.NetworkProbe(s.spec, s.redact.String)
	}
	return s.askCommand
}

// askCommand runs the health command. It is in a group of its own, so that it can be killed when it takes too long,
// and a descendant of the supervisor, so that nothing of it is left when the replica ends.
func (s *supervisor) askCommand(ctx context.Context) error {
	exit, printed, err := s.runCommand(ctx, s.spec.Health.Command, 100*time.Millisecond)
	switch {
	case err != nil:
		return fmt.Errorf("health command: %w", err)
	case exit.OK():
		return nil
	}
	return fmt.Errorf("health command: %s", join(exit.String(), driver.Printable(printed.all.line(), 200)))
}
