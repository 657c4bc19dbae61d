package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/human"
	"greenroom/internal/proc"
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

// probeOf is the question of a spec. A command gets the replica's environment and folder. What an answer says goes
// through clean before it is cut, since half a secret would not be known as one.
func probeOf(s driver.Spec, env []string, clean func(string) string) driver.Probe {
	if s.Health.HTTP != "" || s.Health.TCP {
		return driver.NetworkProbe(s, clean)
	}
	return commandProbe(s, env, clean)
}

// commandProbe runs the health command. It is in a group of its own, so that it can be killed when it takes too long,
// and a descendant of the supervisor, so that nothing of it is left when the replica ends.
func commandProbe(s driver.Spec, env []string, clean func(string) string) driver.Probe {
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
			return errors.New(strings.TrimSuffix("health command: "+exit.String()+": "+driver.Printable(clean(printed.line()), 200), ": "))
		}
	}
}
