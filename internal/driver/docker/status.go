package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/human"
	"greenroom/internal/proc"
)

// The Engine's own backoff between an end and the next start: doubled from the first to the longest.
const (
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = time.Minute
)

// view is what is known of one container at one instant.
type view struct {
	status   driver.Status
	rec      record
	misses   int      // bad answers in a row about its health
	failures int      // ends in a row without having been healthy, as far as this driver saw
	last     []string // lines that it printed, of one that does not run or will not become healthy
	running  bool
}

// lost says whether nobody waits any longer for it to become healthy.
func (v view) lost() bool {
	return v.status.Phase == driver.Exited || v.status.Phase == driver.Sick || v.failures >= driver.TooOften
}

// patience is how long whoever waits for health may wait for news before he looks again.
func (v view) patience(elapsed time.Duration) time.Duration {
	if v.running && !v.rec.Command && driver.HasHealth(v.rec.Health) {
		return driver.Pace(v.rec.Health, false, elapsed)
	}
	if v.running { // the Engine tells, where it asks at all, but not when the time to become healthy is over
		return max(min(time.Until(v.status.Since.Add(v.rec.Health.Start)), soonStart), firstPause)
	}
	return time.Second
}

// view looks at a container. The error of one that is gone is errdefs.ErrNotFound.
func (d *Driver) view(ctx context.Context, id string) (view, error) {
	in, err := d.inspect(ctx, id)
	if err != nil {
		if !errdefs.IsNotFound(err) {
			err = failed(err, "container %.12s can't be looked at", id)
		}
		return view{}, err
	}
	rec := readRecord(in.Config.Labels)
	v := view{rec: rec, running: in.State.Running && !in.State.Restarting && !in.State.Paused}
	v.status = statusOf(in, rec)
	if !v.running {
		return d.viewStill(ctx, in, v)
	}
	var answer error
	switch {
	case rec.Command:
		v.misses, answer = d.commandHealth(ctx, in, rec)
	case driver.HasHealth(rec.Health):
		v.misses, answer = d.probed(ctx, in, rec)
	}
	if ctx.Err() != nil {
		return v, ctx.Err()
	}
	d.memory.judge(&v, in, answer, time.Now())
	switch {
	case v.lost():
		v.last = d.lastLines(ctx, in, rec)
	case v.status.Phase == driver.Healthy && rec.Careful && in.HostConfig.RestartPolicy.IsNone():
		return v, d.letRestart(ctx, id, rec)
	}
	return v, nil
}

// viewListed is view of a container that was listed. An Engine may hang in the check of one container's health and tell no
// more of it; of that one there is what the list says, and the others are told of as ever.
func (d *Driver) viewListed(ctx context.Context, c container.Summary) (view, error) {
	v, err := d.view(ctx, c.ID)
	if !errors.Is(err, errHung) {
		return v, err
	}
	rec := readRecord(c.Labels)
	return view{rec: rec, status: driver.Status{
		ID: c.Labels[labelReplica], App: c.Labels[labelApp], Environment: c.Labels[labelEnvironment], Service: c.Labels[labelService],
		Release: c.Labels[labelRelease], Index: rec.Index, Listen: rec.Listen, Spec: rec.Spec, Phase: driver.Sick, Since: time.Unix(c.Created, 0),
		Reason: "the Docker Engine hangs when it is asked about it (" + c.Status + ")",
	}}, nil
}

// viewStill completes the view of a container that does not run.
func (d *Driver) viewStill(ctx context.Context, in container.InspectResponse, v view) (view, error) {
	v.failures = d.memory.ended(in)
	if v.status.Phase == driver.Sick { // paused
		return v, nil
	}
	v.last = d.lastLines(ctx, in, v.rec)
	switch {
	case notExecuted(v.last, "no such file or directory"):
		v.status.Reason += fmt.Sprintf(": the interpreter or loader that %s asks for is not in its image", in.Path)
	case notExecuted(v.last, "exec format error"):
		v.status.Reason += fmt.Sprintf(": %s is no program for this machine", in.Path)
	case len(v.last) > 0 && in.State.Status != container.StateCreated:
		v.status.Reason += fmt.Sprintf(" (%s)", v.last[len(v.last)-1])
	}
	return v, nil
}

// notExecuted says whether the last that a container printed is that its first program could not be executed. The Engine
// knows of it only after it told that the container was started.
func notExecuted(last []string, why string) bool {
	return len(last) > 0 && strings.HasPrefix(last[len(last)-1], "exec ") && strings.HasSuffix(last[len(last)-1], ": "+why) ||
		len(last) > 0 && strings.Contains(last[len(last)-1], "exec user process caused: "+why)
}

// statusOf is what the Engine's answer alone says: all but the health of one that runs.
func statusOf(in container.InspectResponse, rec record) driver.Status {
	labels, state := in.Config.Labels, in.State
	st := driver.Status{
		ID: labels[labelReplica], App: labels[labelApp], Environment: labels[labelEnvironment], Service: labels[labelService],
		Release: labels[labelRelease], Index: rec.Index, Listen: rec.Listen, Restarts: in.RestartCount, Spec: rec.Spec,
		Phase: driver.Exited, Since: timeOf(state.FinishedAt), OutOfMemory: state.OOMKilled,
	}
	exit := exitOf(state.ExitCode)
	switch {
	case state.Paused:
		st.Phase, st.PID, st.Since = driver.Sick, state.Pid, timeOf(state.StartedAt)
		st.Reason = "somebody paused it: docker unpause " + strings.TrimPrefix(in.Name, "/")
	case state.Restarting: // the Engine counts a restart before it waits for it
		st.Phase, st.Restarts, st.ExitCode = driver.Backoff, max(0, in.RestartCount-1), exit.Code
		st.Next = st.Since.Add(backoff(in.RestartCount))
		st.Reason = reasonOf(state, exit, rec)
	case state.Running:
		st.Phase, st.PID, st.Since = driver.Starting, state.Pid, timeOf(state.StartedAt)
		st.OutOfMemory = false
	case state.Status == container.StateCreated:
		st.Since, st.Reason = timeOf(in.Created), "it was created and never started"
		if state.Error != "" {
			st.Reason += ": " + driver.Printable(state.Error, 300)
		}
	default:
		st.ExitCode, st.Reason = exit.Code, reasonOf(state, exit, rec)
	}
	return st
}

// reasonOf tells why a container ended.
func reasonOf(state *container.State, exit proc.Exit, rec record) string {
	reason := exit.String()
	if state.OOMKilled {
		limit := "the machine has"
		if rec.Memory > 0 {
			limit = "its limit of " + human.Size(rec.Memory)
		}
		reason = "it took more memory than " + limit + ", and was killed for it: " + reason
	}
	if state.Error != "" {
		reason += ": " + driver.Printable(state.Error, 300)
	}
	return reason
}

// backoff is how long the Engine waits before restart number n, if the ones before came as fast.
func backoff(n int) time.Duration {
	d := firstBackoff
	for range min(n-1, 20) {
		d = min(2*d, longestBackoff)
	}
	return d
}

// exitOf is how a container ended. The Engine tells the end by a signal as 128 plus its number, as a shell does.
func exitOf(code int) proc.Exit {
	if code > 128 && code < 128+65 {
		return proc.Exit{Code: -1, Signal: syscall.Signal(code - 128)}
	}
	return proc.Exit{Code: code}
}

// timeOf reads the Engine's time; what never was is zero.
func timeOf(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

// letRestart gives a careful replica, which was healthy now, its restart policy.
func (d *Driver) letRestart(ctx context.Context, id string, rec record) error {
	policy := policyOf(rec, true)
	if policy.IsNone() {
		return nil
	}
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		_, err := d.engine.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{RestartPolicy: &policy})
		return err
	})
	if err == nil || errdefs.IsNotFound(err) {
		return err
	}
	return failed(err, "the restart policy of container %.12s can't be set", id)
}

// memory is what this driver saw of containers, and what the Engine does not keep: whether one was healthy since it
// started. A new driver begins anew, and says "starting" of a container whose time to become healthy is not over.
type memory struct {
	mu  sync.Mutex
	all map[string]*seen
}

type seen struct {
	started  string // the StartedAt for which the rest holds
	healthy  bool   // it was, since then
	misses   int    // failed answers in a row
	asked    time.Time
	answer   error
	asking   bool   // somebody asks now
	question string // the last one that was asked in the container; it may hang
	phase    driver.Phase
	since    time.Time
	exit     *proc.Exit // how it ended last; the Engine forgets that when it starts it again
	restarts int        // at which it was last healthy, or first seen
	trying   time.Time  // the first start since it was last healthy
}

// made notes a container that this driver created: its restarts count from 0.
func (m *memory) made(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(id)
}

func (m *memory) of(id string) *seen {
	if m.all == nil {
		m.all = map[string]*seen{}
	}
	s := m.all[id]
	if s == nil {
		s = new(seen)
		m.all[id] = s
	}
	return s
}

// known is of, for a container that runs or ran; the caller holds the lock.
func (m *memory) known(in container.InspectResponse) *seen {
	_, there := m.all[in.ID]
	s := m.of(in.ID)
	if !there {
		s.restarts = in.RestartCount
	}
	if in.State.StartedAt != s.started {
		s.started, s.healthy, s.misses, s.asked, s.answer, s.question, s.phase = in.State.StartedAt, false, 0, time.Time{}, nil, "", ""
		if s.trying.IsZero() {
			s.trying = timeOf(in.State.StartedAt)
		}
	}
	return s
}

func (m *memory) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, id)
}

// ended is how often a container that does not run has ended in a row without having been healthy.
func (m *memory) ended(in container.InspectResponse) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.known(in)
	if exit := exitOf(in.State.ExitCode); !in.State.Paused && in.State.Status != container.StateCreated {
		s.exit = &exit
	}
	n := in.RestartCount - s.restarts
	if !in.State.Restarting {
		n++
	}
	return n
}

// judge gives a running container's view its phase, from the answer about its health; nil is healthy.
func (m *memory) judge(v *view, in container.InspectResponse, answer error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.known(in)
	health := v.rec.Health
	switch {
	case answer == nil:
		s.healthy, s.misses, s.restarts, s.trying = true, 0, in.RestartCount, time.Time{}
		v.status.Phase = driver.Healthy
	case s.healthy:
		v.status.Phase, v.status.Reason = driver.Healthy, ""
		if v.misses >= health.Retries {
			v.status.Phase, v.status.Reason = driver.Sick, answer.Error()
		}
	case now.Sub(s.trying) > health.Start:
		v.status.Phase = driver.Sick
		v.status.Reason = fmt.Sprintf("not healthy %s after its start: %v", human.Duration(health.Start), answer)
	default:
		v.status.Reason = answer.Error()
	}
	v.failures = in.RestartCount - s.restarts
	if s.exit != nil && in.RestartCount > 0 {
		v.status.ExitCode = s.exit.Code
		if v.failures > 0 && v.status.Reason != "" {
			v.status.Reason = fmt.Sprintf("it ended before: %s; %s", s.exit, v.status.Reason)
		}
	}
	if s.phase != v.status.Phase {
		s.phase, s.since = v.status.Phase, now
		if v.status.Phase == driver.Starting {
			s.since = timeOf(in.State.StartedAt)
		}
	}
	v.status.Since = s.since
}
