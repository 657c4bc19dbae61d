package process

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/proc"
)

var (
	began  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	health = app.Health{HTTP: "/up", Interval: time.Second, Retries: 3, Start: 30 * time.Second}
	errBad = errors.New("503")
)

// event is what happens to a life at a time after it began; it gives what life.ended gives, if that is what happens.
type event struct {
	at   time.Duration
	what string // start, ok, bad, overdue, end, fail
}

func (l *life) happen(e event) time.Duration {
	now := began.Add(e.at)
	switch e.what {
	case "start":
		l.started(now, 42)
	case "ok":
		l.probed(now, nil)
	case "bad":
		l.probed(now, errBad)
	case "overdue":
		l.overdue(now)
	case "end":
		again, _ := l.ended(now, proc.Exit{Code: 9}, "oops")
		return again
	case "fail":
		again, _ := l.failed(now, -1, "no such program")
		return again
	}
	return 0
}

func TestLife(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		spec   driver.Spec
		events []event
		want   string // phase, pid, restarts, failures, since, reason
	}{
		"starting":                {driver.Spec{Health: health}, []event{{0, "start"}}, "starting 42 0 0 0s "},
		"starting, with a reason": {driver.Spec{Health: health}, []event{{0, "start"}, {s, "bad"}}, "starting 42 0 0 0s 503"},
		"healthy":                 {driver.Spec{Health: health}, []event{{0, "start"}, {s, "bad"}, {2 * s, "ok"}}, "healthy 42 0 0 2s "},
		"careful, and never well": {driver.Spec{Health: health, Restart: true, Careful: true}, []event{{0, "start"}, {s, "bad"}, {2 * s, "end"}}, "exited 0 0 1 2s exit code 9 (oops)"},
		"careful, and well":       {driver.Spec{Health: health, Restart: true, Careful: true}, []event{{0, "start"}, {s, "ok"}, {2 * s, "end"}}, "waiting 0 0 0 2s exit code 9 (oops)"},
		"nothing to ask":          {driver.Spec{}, []event{{0, "start"}}, "healthy 42 0 0 0s "},
		"stays healthy":           {driver.Spec{Health: health}, []event{{0, "start"}, {s, "ok"}, {2 * s, "ok"}}, "healthy 42 0 0 1s "},
		"two misses are none":     {driver.Spec{Health: health}, []event{{0, "start"}, {s, "ok"}, {2 * s, "bad"}, {3 * s, "bad"}}, "healthy 42 0 0 1s "},
		"misses count in a row": {driver.Spec{Health: health},
			[]event{{0, "start"}, {s, "ok"}, {2 * s, "bad"}, {3 * s, "bad"}, {4 * s, "ok"}, {5 * s, "bad"}}, "healthy 42 0 0 1s "},
		"three misses": {driver.Spec{Health: health},
			[]event{{0, "start"}, {s, "ok"}, {2 * s, "bad"}, {3 * s, "bad"}, {4 * s, "bad"}}, "unhealthy 42 0 0 4s 503"},
		"recovers": {driver.Spec{Health: health},
			[]event{{0, "start"}, {s, "ok"}, {2 * s, "bad"}, {3 * s, "bad"}, {4 * s, "bad"}, {5 * s, "ok"}}, "healthy 42 0 0 5s "},
		"overdue": {driver.Spec{Health: health},
			[]event{{0, "start"}, {s, "bad"}, {30 * s, "overdue"}}, "unhealthy 42 0 0 30s not healthy 30 s after its start: 503"},
		"still not healthy": {driver.Spec{Health: health},
			[]event{{0, "start"}, {30 * s, "overdue"}, {31 * s, "bad"}}, "unhealthy 42 0 0 30s not healthy 30 s after its start: 503"},
		"never answered": {driver.Spec{Health: health},
			[]event{{0, "start"}, {30 * s, "overdue"}}, "unhealthy 42 0 0 30s not healthy 30 s after its start"},
		"healthy is not overdue": {driver.Spec{Health: health}, []event{{0, "start"}, {s, "ok"}, {30 * s, "overdue"}}, "healthy 42 0 0 1s "},
		"late, but healthy":      {driver.Spec{Health: health}, []event{{0, "start"}, {30 * s, "overdue"}, {31 * s, "ok"}}, "healthy 42 0 0 31s "},
		"ends for good":          {driver.Spec{Health: health}, []event{{0, "start"}, {s, "end"}}, "exited 0 0 1 1s exit code 9 (oops)"},
		"ends and waits":         {driver.Spec{Health: health, Restart: true}, []event{{0, "start"}, {s, "end"}}, "waiting 0 0 1 1s exit code 9 (oops)"},
		"is started again": {driver.Spec{Health: health, Restart: true},
			[]event{{0, "start"}, {s, "end"}, {2 * s, "start"}}, "starting 42 1 1 2s exit code 9 (oops)"},
		"failures in a row": {driver.Spec{Health: health, Restart: true},
			[]event{{0, "start"}, {s, "end"}, {2 * s, "start"}, {3 * s, "end"}, {4 * s, "fail"}}, "waiting 0 1 3 3s no such program"},
		"health ends the row": {driver.Spec{Health: health, Restart: true},
			[]event{{0, "start"}, {s, "end"}, {2 * s, "start"}, {3 * s, "ok"}, {4 * s, "end"}}, "waiting 0 1 0 4s exit code 9 (oops)"},
	} {
		l := newLife(c.spec)
		for _, e := range c.events {
			l.happen(e)
		}
		st := l.status
		got := fmt.Sprintf("%s %d %d %d %s %s", st.Phase, st.PID, st.Restarts, l.failures, st.Since.Sub(began), st.Reason)
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// Its patience runs from the first start, not from the last: a replica that ends again and again is overdue, too.
func TestPatience(t *testing.T) {
	l := newLife(driver.Spec{Health: health, Restart: true})
	l.happen(event{0, "start"})
	l.happen(event{20 * time.Second, "end"})
	l.happen(event{21 * time.Second, "start"})
	if got := l.patience(began.Add(21 * time.Second)); got != 9*time.Second {
		t.Errorf("it has %s left, want 9s", got)
	}
	l.happen(event{22 * time.Second, "ok"})
	l.happen(event{50 * time.Second, "end"})
	l.happen(event{51 * time.Second, "start"})
	if got := l.patience(began.Add(51 * time.Second)); got != 30*time.Second {
		t.Errorf("after it was healthy it has %s left, want 30s", got)
	}
}

func TestBackOff(t *testing.T) {
	l := newLife(driver.Spec{Health: health, Restart: true})
	var delays []time.Duration
	at := time.Duration(0)
	for range 11 {
		l.happen(event{at, "start"})
		delays = append(delays, l.happen(event{at, "end"}))
		if want := began.Add(at + delays[len(delays)-1]); !l.status.Next.Equal(want) {
			t.Errorf("next %s, want %s", l.status.Next, want)
		}
	}
	if got := fmt.Sprint(delays); got != "[100ms 200ms 400ms 800ms 1.6s 3.2s 6.4s 12.8s 25.6s 30s 30s]" {
		t.Errorf("delays %s", got)
	}
	for _, c := range []struct{ well, want time.Duration }{{stable - 1, longestDelay}, {stable, firstDelay}} {
		l.happen(event{at, "start"})
		l.happen(event{at, "ok"})
		at += c.well
		if got := l.happen(event{at, "end"}); got != c.want {
			t.Errorf("after %s of health it is started again in %s, want %s", c.well, got, c.want)
		}
	}
}

// What an administrator lets a team's deploy reach, such as the Docker Engine, is nothing for what Greenroom runs itself, nor for the
// question after its health.
func TestGroupsAreForDeploys(t *testing.T) {
	for name, c := range map[string]struct {
		deploy *driver.Deploy
		want   bool
	}{"a service": {nil, false}, "a deploy": {&driver.Deploy{}, true}} {
		s := &supervisor{spec: driver.Spec{User: "nobody", Deploy: c.deploy}}
		if got := s.command(proc.Shell("true"), nil, nil); got.Groups != c.want || got.User != "nobody" {
			t.Errorf("%s: as %s, with its other groups: %v", name, got.User, got.Groups)
		}
	}
}
