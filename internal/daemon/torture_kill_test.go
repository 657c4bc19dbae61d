package daemon

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/driver"
	"greenroom/internal/plan"
	"greenroom/internal/proc"
	"greenroom/internal/run"
)

// kill waits until it is time, kills its victims at once, and starts the control plane again where it was one of them.
// A victim that is not there by the time that the round's commands are over, or nobody is left to start it, is spared.
func (x *torture) kill(round int, k kill, over <-chan struct{}) {
	time.Sleep(k.After)
	var pause time.Duration
	for _, v := range slices.SortedStableFunc(slices.Values(k.Victims), controlPlaneLast) {
		switch v.Part {
		case failpoint:
			where := x.dieAtPoint(v, over)
			if where == "" {
				continue
			}
			x.died(round, v.Part, "", where)
			pause = v.Pause
		case controlPlane:
			if x.process == nil {
				continue
			}
			x.died(round, v.Part, "", "")
			x.killDaemon()
			pause = v.Pause
		default:
			x.killPart(round, v, over)
		}
	}
	if x.process == nil {
		time.Sleep(pause)
		x.start()
	}
}

func controlPlaneLast(a, b victim) int {
	last := func(v victim) int {
		if v.Part == controlPlane {
			return 1
		}
		return 0
	}
	return last(a) - last(b)
}

// died notes a death, just before it.
func (x *torture) died(round int, p part, env, what string) int {
	x.deaths++
	x.history.note(event{Killed: &killed{Number: x.deaths, Part: p, Environment: env, What: what, Round: round}})
	return x.deaths
}

// dieAtPoint has the control plane kill itself at a point of a step that a run under way still has before it, and says
// where it did; "" when it came nowhere.
func (x *torture) dieAtPoint(v victim, over <-chan struct{}) (where string) {
	for where == "" {
		if where = x.ahead(v); where != "" {
			break
		}
		select {
		case <-over:
			return ""
		case <-time.After(50 * time.Millisecond):
		}
	}
	x.dieAt(where)
	select {
	case err := <-x.ended:
		x.ended <- err
		x.awaitDeath()
		return where
	case <-time.After(10 * time.Second):
	case <-over:
	}
	if err := os.Remove(x.failpoint); err == nil {
		return ""
	} else if !errors.Is(err, os.ErrNotExist) {
		x.Fatal(err)
	}
	x.awaitDeath() // it found the file just before
	return where
}

// ahead is a point of a step that a run under way comes to, forwards or backwards; "" when there is none.
func (x *torture) ahead(v victim) string {
	runs := x.allStatus().Runs
	if len(runs) == 0 {
		return ""
	}
	r, err := x.client.Run(x.ctx(), runs[v.Pick%len(runs)].ID)
	must(x, err)
	begun, undone, back := map[string]bool{}, map[string]bool{}, 0
	for _, e := range r.Journal {
		switch e.State {
		case plan.Started:
			begun[e.Step] = true
		case plan.Undoing:
			undone[e.Step] = true
		}
		if e.State == plan.Undoing || e.State == plan.Failed || e.State == plan.Cancelled {
			back = 1
		}
	}
	var steps []string
	for _, s := range r.Plan.Steps {
		if back == 0 && !begun[s.Name] || back == 1 && s.Changes && begun[s.Name] && !undone[s.Name] {
			steps = append(steps, s.Name)
		}
	}
	if len(steps) == 0 {
		return ""
	}
	return string(points[v.Point][back]) + "/" + steps[v.Pick%len(steps)]
}

// points are those at which the control plane dies, forwards and backwards.
var points = [][2]run.Point{{run.BeforeDo, run.BeforeUndo}, {run.AfterDo, run.AfterUndo}, {run.DoRecorded, run.UndoRecorded}}

// killPart kills one of the processes that are such a part, and watches for how long customers notice.
func (x *torture) killPart(round int, v victim, over <-chan struct{}) {
	for {
		all := x.parts(v.Part)
		if len(all) > 0 {
			p := all[v.Pick%len(all)]
			// Noted before, because what comes after it may be its consequence, and taken for granted when it is gone.
			n := x.died(round, v.Part, p.environment, p.what)
			if err := p.id.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, proc.ErrGone) {
				x.Fatal(err)
			}
			x.heal(n, p)
			return
		}
		if x.process == nil {
			return
		}
		select {
		case <-over:
			return
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// mortal is a process that can be killed.
type mortal struct {
	part        part
	id          proc.Identity
	environment string // "" for what all have in common
	what        string
}

// parts are the processes that are such a part, in an order that does not depend on their pids.
func (x *torture) parts(p part) []mortal {
	var all []mortal
	switch p {
	case replicaPart, database:
		for _, s := range x.replicas() {
			if (s.Release == "") == (p == database) && s.PID > 0 {
				if id, err := proc.Identify(s.PID); err == nil {
					all = append(all, mortal{p, id, s.Environment, s.ID})
				}
			}
		}
		return all
	}
	table, err := proc.Table()
	must(x, err)
	for _, row := range table {
		id := row.Identity
		words := strings.Split(strings.TrimSuffix(commandOf(id.PID), "\x00"), "\x00")
		last := words[len(words)-1]
		switch {
		case p == edgePart && last == "edge" && slices.Contains(words, string(x.home)):
			all = append(all, mortal{p, id, "", "edge"})
		case p == supervisor && slices.Contains(words, "supervise") && slices.Contains(words, string(x.home)):
			all = append(all, mortal{p, id, environmentOfReplica(filepath.Base(last)), filepath.Base(last)})
		case (p == migrator && last == "migrate" || p == journeyPart && last == "journey") && strings.Contains(environmentOf(id.PID), x.dir+"/"):
			all = append(all, mortal{p, id, x.environmentOfCommand(id.PID), last})
		}
	}
	slices.SortFunc(all, func(a, b mortal) int { return strings.Compare(a.what, b.what) })
	return all
}

// environmentOfReplica is the second part of a replica's id.
func environmentOfReplica(id string) string {
	if parts := strings.Split(id, "."); len(parts) > 1 {
		return parts[1]
	}
	return ""
}

// environmentOfCommand is where a migration or a journey happens.
func (x *torture) environmentOfCommand(pid int) string {
	for _, v := range strings.Split(environmentOf(pid), "\x00") {
		if env, is := strings.CutPrefix(v, "GREENROOM_ENVIRONMENT="); is {
			return env
		}
	}
	return ""
}

// well is how many answers in a row, one each pace, show that nothing is felt of a kill any more.
const well = 30

// heal asks the environments that a kill can be felt in until they answer well, and notes when the last bad answer was.
func (x *torture) heal(kill int, m mortal) {
	for _, e := range []string{inProduction, inStaging} {
		if m.environment != "" && m.environment != e {
			continue
		}
		since := time.Now()
		x.healing.Go(func() {
			client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			good := 0
			for deadline := since.Add(endless / 2); good < well && time.Now().Before(deadline); {
				if _, err := readAll(client.Get(x.address[e])); err != nil || !x.tended(m) {
					since, good = time.Now(), 0
				} else {
					good++
				}
				select {
				case <-x.customers[e].stop: // the test is over
					return
				case <-time.After(pace):
				}
			}
			if good == well {
				x.history.note(event{At: since, Healed: &healed{Kill: kill, Environment: e}})
			}
		})
	}
}

// tended says whether somebody has taken over what a killed supervisor had: until then its replica may serve on as an
// orphan, and is ended when the next supervisor takes its place.
func (x *torture) tended(m mortal) bool {
	if m.part != supervisor {
		return true
	}
	if m.id.Alive() {
		return false
	}
	s, err := x.driver.Status(context.Background(), m.what)
	return errors.Is(err, driver.ErrNotFound) || err == nil && s.Phase == driver.Healthy
}
