package promotion

import (
	"context"
	"time"

	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/human"
	"greenroom/internal/plan"
	"greenroom/internal/probe"
	"greenroom/internal/problem"
	"greenroom/internal/run"
)

// deployed makes a release live by the team's own command. Whether that worked is asked, and what users see of it is
// probed: Greenroom carries none of their requests.
func (b *builder) deployed() {
	b.step("way-back", ActionWayBack, true, "note what is live, to be able to go back; the database is the team's own, and not backed up")
	with, command := "its deploy command", b.NewContents.Deploy.Run
	if back := b.NewContents.Deploy.Rollback; b.Kind == plan.Rollback && back != nil {
		with, command = "its rollback command", *back
	}
	s := b.step("deploy", ActionDeploy, true, "make %s live by %s, for at most %s: %s", b.New.Short(), with, human.Duration(command.Timeout), command.Run)
	s.UndoTime, s.UndoAttempts = b.backTime(), backAttempts
	b.live()
	b.verify()
	if w := b.Environment.Rollout.Watch; w > 0 {
		p := b.Environment.Probing()
		b.step("watch", ActionProbe, false, "probe %s at %d/s for %s", b.Environment.URL+p.Path, p.Rate, human.Duration(w))
	}
}

// backTime is how long one attempt to go back may take: to end the deploy command, and all that the team's way back may.
func (b *builder) backTime() time.Duration {
	if old := b.OldContents.Deploy; old != nil {
		return endTime + environment.DeployTime(*old, true)
	}
	return endTime + environment.StopTime(*b.NewContents.Deploy)
}

// backAttempts is how often one tries to go back by the team's commands: each time may take as long as a deploy, and users wait.
const backAttempts = 3

// endTime is what it may take to end a deploy command that is under way.
const endTime = 2 * time.Minute

// The keys of the deploys of one run.
func deployKey(run string) string { return run }
func backKey(run string) string   { return run + ".back" }

// probing has the run's prober ask, from the step that notes the way back on, to the one that measures.
func (p *Promotions) probing(t *run.Task, sc *scene) {
	begins := t.Step.Action == ActionWayBack
	if sc.env.Deployed() && t.Step.Action != ActionMeasure && (begins || t.WasBegun("way-back")) {
		p.Probes.Begin(t.Run, sc.env.Settings.URL, sc.env.Settings.Probing(), !begins || t.Attempt > 1)
	}
}

// deploy runs the command. That it failed is told with what is live all the same.
func (p *Promotions) deploy(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	live, err := sc.env.Deploy(ctx, sc.New, environment.Deploying{Key: deployKey(t.Run), Previous: t.Plan.From, Back: t.Plan.Kind == plan.Rollback}, say(t))
	if err != nil {
		return live, err
	}
	p.awaitAnswer(ctx, t, sc)
	return live, ctx.Err()
}

// awaitAnswer gives what was deployed the time to answer that its rehearsal gave it, before it is judged by journeys and probes:
// an app that its status command calls live may still be on its way. That it does not answer is for those to find.
func (p *Promotions) awaitAnswer(ctx context.Context, t *run.Task, sc *scene) {
	probing := sc.env.Settings.Probing()
	prober := p.Probes.Begin(t.Run, sc.env.Settings.URL, probing, true)
	if !prober.Look().Answered(ctx, probe.AnswerTime+probing.Timeout) && ctx.Err() == nil {
		t.Progress("nothing has answered well since at %s", sc.env.Settings.URL+probing.Path)
	}
}

// undeploy makes the old release live again, by its rollback command where it has one, else by its deploy command. A first
// release has none before it: where its stop command can't take it away, a person has to look.
func (p *Promotions) undeploy(ctx context.Context, t *run.Task, sc *scene) error {
	if err := sc.env.EndDeploy(ctx, sc.New, deployKey(t.Run)); err != nil {
		return err
	}
	if !sc.HasOld {
		return p.undeployFirst(ctx, t, sc)
	}
	live, err := sc.env.Deploy(ctx, sc.Old, environment.Deploying{Key: backKey(t.Run), Previous: t.Plan.Release, Back: true, Again: true}, say(t))
	if err == nil {
		t.Progress("%s is live again: %s", sc.Old.Digest().Short(), live)
		p.awaitAnswer(ctx, t, sc)
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	return problem.New(problem.From(err).Code, "going back failed, and which release users see is not sure: %w", err).
		WithHint("look at %s, repair what the command says, then: greenroom rollback %s, or promote a repaired release", sc.env.Settings.URL, sc.env.Name)
}

func (p *Promotions) undeployFirst(ctx context.Context, t *run.Task, sc *scene) error {
	if sc.New.Contents.Deploy.Stop != nil {
		return sc.env.TakeAway(ctx, sc.New)
	}
	_, err := sc.env.AskLive(ctx, sc.New)
	switch pr := problem.From(err); {
	case err == nil:
		return problem.New(problem.Blocked, "%s is live in %s, nothing was before it to go back to, and it has no stop command", sc.New.Digest().Short(), sc.env.Name).
			WithHint("take it away by hand, or repair what failed and promote again: greenroom promote %s %s", sc.New.Digest().Short(), sc.env.Name)
	case pr == nil || pr.Code != problem.Fail:
		return err
	}
	t.Progress("nothing was live before; what the deploy command left is the team's: %s", problem.From(err).Message)
	return nil
}

// watchProbed probes the new release for as long as a rollout is watched. It ends early when too many probes fail. Without
// any nobody knows anything, and that is no pass.
func (p *Promotions) watchProbed(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	look := p.Probes.Begin(t.Run, sc.env.Settings.URL, sc.env.Settings.Probing(), true).Look()
	limit := sc.env.Settings.Rollout.MaxErrors
	end := time.NewTimer(sc.env.Settings.Rollout.Watch)
	defer end.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		case <-end.C:
			over = true
		}
		if seen := look.Seen(); seen.Bad(limit) {
			return nil, probedBadly(sc, seen, limit)
		}
	}
	if _, err := sc.env.AskLive(ctx, sc.New); err != nil { // once more: it may have been another's answers
		return nil, err
	}
	seen := look.End()
	t.Progress("%s", seen)
	switch seen.Verdict(limit) {
	case evidence.Pass:
		return seen, nil
	case evidence.Fail:
		return nil, probedBadly(sc, seen, limit)
	}
	return nil, problem.New(problem.Inconclusive, "how %s answers is not known: %s", sc.env.Settings.URL, seen).
		WithHint("see that this machine is not overloaded, and promote again")
}

func probedBadly(sc *scene, seen evidence.Probed, limit float64) error {
	return problem.New(problem.Fail, "%s answers badly: %s: %s (accepted are %.1f%%)", sc.New.Digest().Short(), seen, seen.Failure, 100*limit).
		WithHint("greenroom logs --environment %s; is %s the right address, and probe.path one that answers?", sc.env.Name, seen.URL)
}

// probed ends the run's prober and says what it saw from the beginning to the end; nil where none asked.
func (p *Promotions) probed(t *run.Task, sc *scene) *evidence.Probed {
	if !sc.env.Deployed() || !t.WasBegun("way-back") { // or nothing was tried that could be seen
		return nil
	}
	seen, ok := p.Probes.End(t.Run)
	if !ok { // Greenroom was started anew just now
		probe := sc.env.Settings.Probing()
		seen = evidence.Probed{URL: sc.env.Settings.URL + probe.Path, Rate: probe.Rate, Began: p.World.Now().UTC(), Ended: p.World.Now().UTC(), Interrupted: true}
	}
	t.Progress("%s", seen)
	return &seen
}

// Possible says why no plan can be made of these facts: an environment can't go from a release that Greenroom runs to one
// that its team deploys, or back.
func (f Facts) Possible() error {
	ofTeam := func(deployed bool) string {
		if deployed {
			return "deployed by its team"
		}
		return "run by Greenroom"
	}
	now := f.NewContents.Deploy != nil
	switch {
	case f.Old != "" && (f.OldContents.Deploy != nil) != now:
		return problem.New(problem.Blocked, "%s, which is live in %s, is %s, and %s is %s: there is no way between the two", f.Old.Short(), f.Environment.Name,
			ofTeam(!now), f.New.Short(), ofTeam(now)).WithHint("give the environment another name in greenroom.yaml, then: greenroom apply")
	case (f.Environment.URL != "") != now:
		return problem.New(problem.Blocked, "%s is %s, and the policy in force has another driver for %s", f.New.Short(), ofTeam(now), f.Environment.Name).
			WithHint("greenroom apply, then: greenroom build")
	}
	return nil
}
