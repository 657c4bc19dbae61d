package promotion

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/edge"
	"greenroom/internal/environment"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// place is where the traffic stands once some steps of a plan are done. It follows from the plan alone, so that doing a
// step again, or taking it back, puts the same traffic in force without remembering any.
type place struct {
	percent int // of the new release
	started bool
	again   bool // the old release was stopped and is started again, behind the maintenance page
	retired bool
	pause   *PauseArgs
	stopped []string // services of the old release
}

// after is the place once the step and all before it are done; before is the place where the step is about to begin.
func after(p plan.Plan, step string) (place, error)  { return walk(p, step, true) }
func before(p plan.Plan, step string) (place, error) { return walk(p, step, false) }

func walk(p plan.Plan, step string, including bool) (place, error) {
	var at place
	for _, s := range p.Steps {
		if s.Name == step && !including {
			return at, nil
		}
		if err := at.pass(s); err != nil {
			return at, err
		}
		if s.Name == step {
			return at, nil
		}
	}
	return at, fmt.Errorf("the plan has no step %s", step)
}

// pass moves the place over one step.
func (at *place) pass(s plan.Step) error {
	switch s.Action {
	case ActionStart:
		at.started = true
	case ActionShare:
		var a ShareArgs
		if err := json.Unmarshal(s.Args, &a); err != nil {
			return fmt.Errorf("arguments of step %s: %w", s.Name, err)
		}
		at.percent = a.Percent
	case ActionPause:
		at.pause = &PauseArgs{}
		if err := json.Unmarshal(s.Args, at.pause); err != nil {
			return fmt.Errorf("arguments of step %s: %w", s.Name, err)
		}
	case ActionResume:
		at.pause = nil
	case ActionRestart:
		at.again, at.stopped = true, nil
	case ActionStopOld:
		var a ServicesArgs
		if err := json.Unmarshal(s.Args, &a); err != nil {
			return fmt.Errorf("arguments of step %s: %w", s.Name, err)
		}
		at.stopped = append(at.stopped, a.Services...)
	case ActionRetire:
		at.retired = true
	}
	return nil
}

// warm are the services of the old release that run at this place.
func (at place) warm(old app.Contents) []string {
	return slices.DeleteFunc(selected(old, anyOrder), func(name string) bool { return slices.Contains(at.stopped, name) })
}

// traffic is what the edge is told at this place. The new release's share comes last and grows, so that who was sent to
// it stays there.
func (at place) traffic(sc *scene, now time.Time) environment.Traffic {
	var t environment.Traffic
	share := func(d release.Digest, percent int) {
		if percent > 0 {
			t.Shares = append(t.Shares, environment.Share{Release: d, Percent: percent})
		}
	}
	if sc.HasOld && !at.retired {
		t.Running = append(t.Running, sc.Old)
		share(sc.Old.Digest(), 100-at.percent)
	}
	if at.started || at.percent > 0 {
		t.Running = append(t.Running, sc.New)
		share(sc.New.Digest(), at.percent)
	}
	if at.started && at.percent < 100 {
		t.Candidate = sc.New.Digest()
	}
	if at.again && at.pause != nil {
		t.Candidate = sc.Old.Digest()
	}
	if at.pause != nil {
		t.Paused = true
		if at.pause.Maintenance {
			t.Paused = false
			t.Maintenance = &edge.Maintenance{
				Message: "We are updating " + sc.env.App + ". Please come back in a moment.", Until: now.Add(at.pause.Expected),
			}
		}
	}
	return t
}
