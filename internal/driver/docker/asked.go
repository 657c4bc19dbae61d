package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/human"
)

// An Engine asks after a container's health itself, as Compose's healthcheck says. There are times when it does not: before
// version 25 a container that starts is asked only when its interval is over, an Engine whose containers outlive it does not go
// on with it when it is back, and as long as one question hangs there is no other. Then whoever looks asks himself, the same in
// the same container.

const (
	// overdue is how late an Engine on a busy machine may be with an answer.
	overdue = time.Second
	// patientAsk is what an older Engine is told to wait for an answer: when it gives one up whose program it is about to start,
	// it hangs itself, and that container can be neither looked at nor ended until the Engine is restarted.
	patientAsk = 30 * time.Second
)

// The versions of the API of Engines that don't hang so, and that ask a starting container often.
const (
	apiWithoutHang   = "1.42"
	apiWithSoonStart = "1.44"
)

// engineTimeout is the time in which an Engine is told to have the answer to a question after health.
func (d *Driver) engineTimeout(timeout time.Duration) time.Duration {
	if d.engine.knows(apiWithoutHang) {
		return timeout
	}
	return max(timeout, patientAsk)
}

// commandHealth is what a container's health command says, and how often it failed in a row; nil is healthy.
func (d *Driver) commandHealth(ctx context.Context, in container.InspectResponse, rec record) (misses int, answer error) {
	d.memory.mu.Lock()
	wasHealthy := d.memory.known(in).healthy
	d.memory.mu.Unlock()
	clean := d.cleaner(ctx, in, rec)
	if d.engine.tells(in.State, rec.Health.Interval, rec.Health.Timeout, wasHealthy, time.Now()) {
		return engineMisses(in.State.Health, rec.Health.Retries), commandAnswer(in.State.Health, rec.Health.Timeout, clean)
	}
	if len(in.Config.Healthcheck.Test) < 2 {
		return 0, errors.New("health command: somebody took it away")
	}
	return d.asked(ctx, in, rec, clean)
}

// tells says whether what an Engine says of a container's health holds: it asked in time, or is not late with it.
func (e *engine) tells(state *container.State, interval, timeout time.Duration, wasHealthy bool, now time.Time) bool {
	last, every := timeOf(state.StartedAt), interval
	if h := state.Health; h != nil && len(h.Log) > 0 && h.Log[len(h.Log)-1] != nil && h.Log[len(h.Log)-1].End.After(last) {
		last = h.Log[len(h.Log)-1].End
	}
	healthy := state.Health != nil && state.Health.Status == container.Healthy
	if !wasHealthy && !healthy {
		if !e.knows(apiWithSoonStart) {
			return false
		}
		every = min(soonStart, interval)
	}
	return now.Before(last.Add(every + timeout + overdue))
}

// engineMisses is how many answers in a row were bad. An Engine does not count those of the time that a container has to become
// healthy, in which it may have been already.
func engineMisses(h *container.Health, retries int) int {
	if h == nil {
		return 0
	}
	if h.Status == container.Unhealthy {
		return retries
	}
	n := 0
	for _, r := range slices.Backward(h.Log) {
		if r == nil || r.ExitCode == 0 {
			break
		}
		n++
	}
	return max(n, h.FailingStreak)
}

// asked asks a container itself with its health command, as often as is due, whoever looks. Meanwhile the last answer holds.
func (d *Driver) asked(ctx context.Context, in container.InspectResponse, rec record, clean func(string) string) (misses int, answer error) {
	d.memory.mu.Lock()
	s := d.memory.known(in)
	pace := max(soonStart, driver.Pace(rec.Health, s.healthy, time.Since(timeOf(in.State.StartedAt))))
	if s.asking || time.Since(s.asked) < pace {
		defer d.memory.mu.Unlock()
		if s.asked.IsZero() {
			return 0, errNotAsked
		}
		return s.misses, s.answer
	}
	s.asking = true
	before := s.question
	d.memory.mu.Unlock()

	question, answer := d.ask(ctx, in, rec, before, clean)

	d.memory.mu.Lock()
	defer d.memory.mu.Unlock()
	s.asking, s.question = false, question
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if s.started != in.State.StartedAt { // that was the life before
		s.question = ""
		return 0, answer
	}
	s.asked, s.answer = time.Now(), answer
	if answer != nil {
		s.misses++
	} else {
		s.misses = 0
	}
	return s.misses, answer
}

var errNotAsked = errors.New("health command: not asked yet")

// ask runs a container's health command in it. One that does not end in time is left, since nobody but the container can end it;
// it is the question that is returned, and while it runs there is no other.
func (d *Driver) ask(ctx context.Context, in container.InspectResponse, rec record, before string, clean func(string) string) (question string, answer error) {
	none := fmt.Errorf("health command: no answer within %s", human.Duration(rec.Health.Timeout))
	limited, cancel := context.WithTimeout(ctx, rec.Health.Timeout)
	defer cancel()
	if before != "" {
		got, err := d.engine.ExecInspect(limited, before, client.ExecInspectOptions{})
		if err == nil && got.Running || limited.Err() != nil {
			return before, none
		}
	}
	made, err := d.engine.ExecCreate(limited, in.ID, client.ExecCreateOptions{AttachStdout: true, AttachStderr: true, Cmd: in.Config.Healthcheck.Test[1:]})
	if err != nil {
		return "", d.unasked(limited, err, none)
	}
	said, err := d.answer(limited, made.ID)
	if err != nil {
		return made.ID, d.unasked(limited, err, none)
	}
	got, err := d.engine.ExecInspect(limited, made.ID, client.ExecInspectOptions{})
	if err != nil {
		return made.ID, d.unasked(limited, err, none)
	}
	if got.ExitCode == 0 {
		return "", nil
	}
	return "", exitAnswer(got.ExitCode, said, clean)
}

func (d *Driver) unasked(limited context.Context, err, none error) error {
	if limited.Err() != nil {
		return none
	}
	return fmt.Errorf("health command: %s", said(err))
}

// answer starts a question and returns what it printed when it has ended.
func (d *Driver) answer(ctx context.Context, question string) (string, error) {
	stream, err := d.engine.ExecAttach(ctx, question, client.ExecAttachOptions{})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, stream.Close)()
	var out tail
	_, err = stdcopy.StdCopy(&out, &out, stream.Reader)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.String(), err
}

// exitAnswer is a health command's answer that is not a good one.
func exitAnswer(code int, output string, clean func(string) string) error {
	says := fmt.Sprintf("health command: exit code %d", code)
	if lines := driver.LastLines(clean(output)); len(lines) > 0 {
		says += ": " + lines[len(lines)-1]
	}
	return errors.New(says)
}

// commandAnswer is what a container's healthcheck says; nil is healthy. The Engine counts its retries.
func commandAnswer(h *container.Health, timeout time.Duration, clean func(string) string) error {
	if h != nil && h.Status == container.Healthy {
		return nil
	}
	if h == nil || len(h.Log) == 0 || h.Log[len(h.Log)-1] == nil {
		return errNotAsked
	}
	r := h.Log[len(h.Log)-1]
	if r.ExitCode == -1 && strings.Contains(r.Output, "exceeded timeout") {
		return fmt.Errorf("health command: no answer within %s", human.Duration(timeout))
	}
	return exitAnswer(r.ExitCode, r.Output, clean)
}
