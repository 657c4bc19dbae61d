package process

import (
	"fmt"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/human"
	"greenroom/internal/proc"
)

// The back-off between an end and the next start: doubled from first to longest, and first again after the child was
// healthy for stable.
const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = 30 * time.Second
	stable       = 10 * time.Second
)

// life is a replica's course as pure rules: what happened goes in, with its time, and the status comes out. Times are
// compared by the monotonic clock that time.Now carries.
type life struct {
	health   app.Health
	restart  bool
	careful  bool // it is not started again before it was healthy once
	status   driver.Status
	ran      bool
	failures int           // ends in a row without having been healthy
	misses   int           // failed probes in a row
	delay    time.Duration // before the next start; 0 is firstDelay
	trying   time.Time     // the first start since it was last healthy
	well     time.Time     // since when it is healthy; zero when it is not
}

func newLife(s driver.Spec) *life {
	l := &life{health: s.Health, restart: s.Restart, careful: s.Careful, status: driver.Status{
		ID: s.ID, App: s.App, Environment: s.Environment, Service: s.Service, Release: s.Release, Index: s.Index,
		Phase: driver.Starting, Listen: s.Listen, Deploy: s.Deploy != nil,
	}}
	if s.Deploy != nil {
		l.status.Secrets = s.Deploy.Secrets
	}
	return l
}

// started notes that a child runs.
func (l *life) started(now time.Time, pid int) {
	l.status.PID, l.status.Next, l.misses = pid, time.Time{}, 0
	if l.ran {
		l.status.Restarts++
	}
	l.ran = true
	if l.trying.IsZero() {
		l.trying = now
	}
	l.enter(now, driver.Starting)
	if !driver.HasHealth(l.health) {
		l.recover(now)
	}
}

// deployed notes that a deploy command has done its work, or that there was none to do: from now on it is asked whether
// it is live.
func (l *life) deployed(now time.Time) {
	l.trying, l.misses = now, 0
	l.enter(now, driver.Starting)
}

// undeployed notes that a deploy command failed, and what is known of what is live.
func (l *life) undeployed(now time.Time, code int, reason string) {
	l.failures++
	l.status.PID, l.status.ExitCode, l.status.Reason = 0, code, reason
	l.enter(now, driver.Exited)
}

// probed notes what a question after its health gave; nil is healthy.
func (l *life) probed(now time.Time, err error) {
	if err == nil {
		l.recover(now)
		return
	}
	l.misses++
	if l.status.Phase == driver.Healthy && l.misses < l.health.Retries {
		return
	}
	l.status.Reason = l.late() + err.Error()
	if l.status.Phase == driver.Healthy {
		l.well = time.Time{}
		l.enter(now, driver.Sick)
	}
}

func (l *life) recover(now time.Time) {
	l.misses = 0
	if l.status.Phase == driver.Healthy {
		return
	}
	l.failures, l.trying, l.well, l.status.Reason, l.careful = 0, time.Time{}, now, "", false
	l.enter(now, driver.Healthy)
}

// patience is how long it may still take to become healthy.
func (l *life) patience(now time.Time) time.Duration {
	return l.trying.Add(l.health.Start).Sub(now)
}

// settled notes that the answer that was just given stays.
func (l *life) settled(now time.Time) {
	if l.status.Phase == driver.Starting {
		l.enter(now, driver.Sick)
	}
}

// overdue notes that the patience is over.
func (l *life) overdue(now time.Time) {
	if l.status.Phase != driver.Starting {
		return
	}
	l.enter(now, driver.Sick)
	l.status.Reason = strings.TrimSuffix(l.late()+l.status.Reason, ": ")
}

// late begins the reason of a replica that had its time and was not healthy in it.
func (l *life) late() string {
	if l.status.Phase != driver.Sick || l.trying.IsZero() {
		return ""
	}
	if l.status.Deploy {
		return "not live " + human.Duration(l.health.Start) + " after its deploy command: "
	}
	return "not healthy " + human.Duration(l.health.Start) + " after its start: "
}

// ended notes the child's end and says after which time the next one is to be started, if at all. last is the last line
// that it printed.
func (l *life) ended(now time.Time, exit proc.Exit, last string) (again time.Duration, restart bool) {
	reason := exit.String()
	if last != "" {
		reason += fmt.Sprintf(" (%s)", last)
	}
	return l.failed(now, exit.Code, reason)
}

// failed is ended for a child that could not even be started.
func (l *life) failed(now time.Time, code int, reason string) (again time.Duration, restart bool) {
	l.status.PID, l.status.ExitCode, l.status.Reason = 0, code, reason
	if l.well.IsZero() {
		l.failures++
	} else if now.Sub(l.well) >= stable {
		l.delay = 0
	}
	l.well = time.Time{}
	if !l.restart || l.careful {
		l.enter(now, driver.Exited)
		return 0, false
	}
	l.delay = max(l.delay, firstDelay)
	again, l.delay = l.delay, min(2*l.delay, longestDelay)
	l.status.Next = now.Add(again)
	l.enter(now, driver.Backoff)
	return again, true
}

func (l *life) enter(now time.Time, p driver.Phase) {
	if l.status.Phase != p || l.status.Since.IsZero() {
		l.status.Phase, l.status.Since = p, now
	}
}
