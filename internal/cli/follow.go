package cli

import (
	"context"
	"errors"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// How long a follower waits for a daemon that went away (it may be restarted: the run goes on from its journal), and
// how often it looks.
const (
	absence = time.Minute
	retry   = 300 * time.Millisecond
)

// show puts one event on the screen.
func show(p *term.Progress, e api.Event) {
	switch e.State {
	case plan.Started:
		p.Start(e.Step, e.Text)
	case plan.Undoing:
		p.Start(e.Step, "take back: "+e.Text)
	case plan.Done:
		p.End(e.Step, term.Pass, e.Text)
	case plan.Undone:
		p.End(e.Step, term.Back, e.Text)
	case plan.Failed, plan.Stuck:
		p.End(e.Step, term.Fail, e.Text)
	default:
		p.Say(e.Step, e.Text)
	}
}

// showAll shows a stream of events, to its end.
func (s *shell) showAll(events api.Stream[api.Event]) error {
	p := term.NewProgress(s.progressScreen())
	defer p.Close()
	for e, err := range events {
		if err != nil {
			return err
		}
		show(p, e)
	}
	return nil
}

// follow shows a run until it has ended, over restarts of the daemon, and returns how it ended.
func (s *shell) follow(ctx context.Context, c *api.Client, run api.RunView) (api.RunView, error) {
	p := term.NewProgress(s.progressScreen())
	defer p.Close()
	if run.Queue > 0 {
		p.Start("queue", "wait for "+count(run.Queue, "other run", "other runs"))
	}
	seen := int64(0)
	for {
		err := showRun(ctx, c, p, run.ID, &seen)
		if err == nil {
			run, err = c.Run(ctx, run.ID)
		}
		if err == nil {
			return run, nil
		}
		if !errors.Is(err, api.ErrLost) && !errors.Is(err, api.ErrNotRunning) {
			return run, err
		}
		if err := await(ctx, c, p); err != nil {
			return run, err
		}
	}
}

// showRun shows what happened in a run after seen, and moves seen on.
func showRun(ctx context.Context, c *api.Client, p *term.Progress, id string, seen *int64) error {
	events, err := c.Events(ctx, id, *seen)
	if err != nil {
		return err
	}
	for e, err := range events {
		if err != nil {
			return err
		}
		*seen = max(*seen, e.Seq)
		if e.Step == "" {
			continue // the run's own beginning and end, which the command tells itself
		}
		if e.State == plan.Started {
			p.Forget("queue")
		}
		show(p, e)
	}
	return nil
}

// await waits until the daemon answers again.
func await(ctx context.Context, c *api.Client, p *term.Progress) error {
	const step = "greenroom"
	p.Start(step, "Greenroom's control plane is away; what it began goes on when it is back")
	late, cancel := context.WithTimeout(ctx, absence)
	defer cancel()
	t := time.NewTicker(retry)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return problem.From(ctx.Err())
		case <-late.Done():
			p.End(step, term.Fail, "")
			return problem.New(problem.Unavailable, "Greenroom's control plane went away and did not come back").
				WithHint("greenroom up, then greenroom status: what was begun goes on from its journal")
		case <-t.C:
			if _, err := c.Version(late); err == nil {
				p.End(step, term.Pass, "it is back")
				return nil
			}
		}
	}
}
