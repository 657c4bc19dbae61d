package rehearsal

import (
	"context"
	"fmt"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/human"
	"greenroom/internal/plan"
	"greenroom/internal/probe"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/run"
	"greenroom/internal/store"
)

// An app that its team deploys itself has no stage: Greenroom can't make a second staging. It is rehearsed in the
// environment that production comes after, by the very commands that production gets, and that environment has at the end
// what it had before.

// The actions of such a rehearsal's steps, beside those that it shares.
const (
	ActionTake      = "rehearsal.take" // note what the environment has
	ActionDeployOld = "rehearsal.deploy-old"
	ActionDeployNew = "rehearsal.deploy-new"
	ActionReturn    = "rehearsal.return" // back to the old release, and forward again
	ActionGive      = "rehearsal.give"   // the environment gets again what it had
)

// stepNew is the name of the step that starts the new release.
const stepNew = "new"

// Where is the environment in which a release is rehearsed.
func Where(p app.Policy) string {
	if s := p.Staging(); s.URL != "" {
		return s.Name
	}
	return Stage
}

// deployed is the plan for a release that its team deploys.
func (f Facts) deployed() plan.Plan {
	p := plan.Plan{Format: plan.Format, Kind: plan.Rehearsal, App: f.App, Environment: f.Where, Release: f.New, From: f.Old, Policy: f.Policy}
	step := func(name, action, says string, args ...any) *plan.Step {
		p.Steps = append(p.Steps, plan.Step{Name: name, Action: action, Says: fmt.Sprintf(says, args...)})
		return &p.Steps[len(p.Steps)-1]
	}
	step("baseline", ActionBaseline, "read what production is")
	step("stage", ActionTake, "take %s for the rehearsal", f.Where)
	if f.Old != "" {
		step("old", ActionDeployOld, "deploy production's release %s to %s", f.Old.Short(), f.Where)
		step("before", ActionBefore, "its journeys, before anything changes")
	}
	step(stepNew, ActionDeployNew, "deploy %s to %s: %s", f.New.Short(), f.Where, f.NewContents.Deploy.Run.Run)
	f.checks(step)
	if f.Old != "" {
		way := "its deploy command"
		if f.OldContents.Deploy != nil && f.OldContents.Deploy.Rollback != nil {
			way = "its rollback command"
		}
		step(CheckRollback, ActionReturn, "back to %s by %s, its journeys again, and forward to %s", f.Old.Short(), way, f.New.Short())
	}
	step("report", ActionReport, "write the report").Always = true
	step("give", ActionGive, "give %s what it had", f.Where).Always = true
	return p
}

// Possible says why there can be no rehearsal of these facts.
func (f Facts) Possible(production string) error {
	deployed := f.NewContents.Deploy != nil
	switch {
	case deployed != (f.Where != Stage):
		return problem.New(problem.Blocked, "%s and the policy in force have different drivers", f.New.Short()).
			WithHint("greenroom apply, then: greenroom build")
	case f.Old != "" && (f.OldContents.Deploy != nil) != deployed:
		return problem.New(problem.Blocked, "%s, which is live in %s, has another driver than %s: the two can't be compared", f.Old.Short(), production, f.New.Short()).
			WithHint("give the environment another name in greenroom.yaml, then: greenroom apply")
	case deployed && f.Where == production:
		return problem.New(problem.Invalid, "there is no environment before %s in which a team's own deploy could be rehearsed", production).
			WithHint("add one to greenroom.yaml, and let %s come `after:` it; then: greenroom apply", production)
	}
	return nil
}

// taken is what the environment had before the rehearsal.
type taken struct {
	Live release.Digest `json:"live,omitempty"`
	Down bool           `json:"down,omitempty"` // it was stopped: what it had is not to run
}

// take notes what is live in the environment, and that both releases can be deployed there.
func (r *Rehearsals) take(ctx context.Context, t *run.Task, s *set) (any, error) {
	record, err := r.World.Store.Environment(ctx, s.stage.App, s.stage.Name)
	if err != nil {
		return nil, err
	}
	for _, rel := range s.both() {
		if err := s.stage.BringAll(ctx, rel, say(t)); err != nil {
			return nil, err
		}
		if err := s.stage.NeedSecrets(ctx, rel); err != nil {
			return nil, err
		}
	}
	return taken{Live: record.Live, Down: record.Want != store.Up}, nil
}

func (r *Rehearsals) deployOld(ctx context.Context, t *run.Task, s *set) (any, error) {
	return s.stage.Deploy(ctx, s.Old, environment.Deploying{Key: key(t), Again: true}, say(t))
}

// key tells the deploys of a run's steps apart.
func key(t *run.Task, more ...string) string {
	return strings.Join(append([]string{t.Run, t.Step.Name}, more...), ".")
}

// deployNew deploys the new release in the place of the old, and probes meanwhile. That it does not become live is a
// finding about the release.
func (r *Rehearsals) deployNew(ctx context.Context, t *run.Task, s *set) (any, error) {
	result := evidence.Result{Check: "start", Verdict: evidence.Pass, Started: r.World.Now()}
	p := probe.Start(s.stage.Settings.URL, s.stage.Settings.Probing(), r.World.Now, t.Attempt > 1)
	live, err := s.stage.Deploy(ctx, s.New, environment.Deploying{Key: key(t), Previous: t.Plan.From}, say(t))
	result.Duration = r.World.Now().Sub(result.Started)
	since := p.Look()
	answers := err == nil && since.Answered(ctx, probe.AnswerTime+s.stage.Settings.Probing().Timeout)
	seen := p.Stop()
	t.Progress("%s", seen)
	if err != nil {
		return found(ctx, result, err)
	}
	result.Summary = fmt.Sprintf("live in %s: %s; %s", human.Duration(result.Duration), live, seen)
	if !answers {
		unanswered(&result, since.Seen())
	}
	return result, ctx.Err()
}

// unanswered makes a finding of a release that says it is live while nobody gets a good answer from it.
func unanswered(result *evidence.Result, since evidence.Probed) {
	result.Verdict = evidence.Fail
	if since.Asked == 0 {
		result.Verdict = evidence.Inconclusive
	}
	result.Summary += fmt.Sprintf("; once it was, nothing answered well at %s", since.URL)
	if since.Latest != "" {
		result.Summary += ": " + since.Latest
	}
}

// found makes a deploy that failed a finding; what is Greenroom's own trouble stays an error.
func found(ctx context.Context, result evidence.Result, err error) (any, error) {
	p := problem.From(err)
	if ctx.Err() != nil || p == nil || p.Code != problem.Fail && p.Code != problem.Invalid {
		return nil, err
	}
	result.Verdict = evidence.Fail
	result.Summary, result.Output, _ = strings.Cut(p.Message, "\n") // below it: what it printed last
	return result, nil
}

// goBackAndForth makes the old release live again, as a promotion that is taken back does, runs its journeys on what the new
// one left, and deploys the new one once more. That a command fails is a finding: it would fail in production too.
func (r *Rehearsals) goBackAndForth(ctx context.Context, t *run.Task, s *set) (any, error) {
	if why, err := r.notStarted(t); err != nil || why != "" {
		return r.notRun(CheckRollback, why), err
	}
	result := evidence.Result{Check: CheckRollback, Started: r.World.Now()}
	back := environment.Deploying{Key: key(t, "back"), Previous: t.Plan.Release, Back: true}
	if _, err := s.stage.Deploy(ctx, s.Old, back, say(t)); err != nil {
		result.Duration = r.World.Now().Sub(result.Started)
		return foundNoWay(ctx, result, "one can't go back: ", err)
	}
	result, err := r.wentBack(ctx, t, s)
	if err != nil {
		return nil, err
	}
	forward := environment.Deploying{Key: key(t, "forward"), Previous: t.Plan.From}
	if _, err := s.stage.Deploy(ctx, s.New, forward, say(t)); err != nil {
		return foundNoWay(ctx, result, "after the way back it can't be deployed again: ", err)
	}
	return result, nil
}

func foundNoWay(ctx context.Context, result evidence.Result, what string, err error) (any, error) {
	no := false
	result.GoBack = &no
	v, err := found(ctx, result, err)
	if f, ok := v.(evidence.Result); ok {
		f.Summary = what + f.Summary
		return f, nil
	}
	return v, err
}

// give gives the environment what it had before the rehearsal. Where that was nothing, what is there now is taken away by
// the stop command; without one it stays, and that is said.
func (r *Rehearsals) give(ctx context.Context, t *run.Task, s *set) (any, error) {
	var had taken
	took, err := t.Result("stage", &had)
	if err != nil || !took { // nothing was done there
		return nil, err
	}
	for _, step := range t.Plan.Steps { // the run was stopped while one was under way
		for _, rel := range s.both() {
			for _, k := range []string{"", ".back", ".forward"} {
				if err := s.stage.EndDeploy(ctx, rel, t.Run+"."+step.Name+k); err != nil {
					return nil, err
				}
			}
		}
	}
	if !t.WasBegun("old") && !t.WasBegun(stepNew) {
		return nil, nil
	}
	if had.Live == "" || had.Down {
		return nil, r.takeAway(ctx, t, s)
	}
	was, err := r.World.Release(ctx, had.Live)
	if err != nil {
		return nil, err
	}
	if was.Contents.Deploy == nil {
		return nil, nil
	}
	if _, err := s.stage.Deploy(ctx, was, environment.Deploying{Key: key(t), Again: true}, say(t)); err != nil {
		return nil, problem.New(problem.Fail, "%s does not have again what it had: %w", s.stage.Name, err).
			WithHint("greenroom up %s, which deploys %s there", s.stage.Name, had.Live.Short())
	}
	return nil, nil
}

// takeAway has what the rehearsal deployed last taken away by its stop command, where it has one.
func (r *Rehearsals) takeAway(ctx context.Context, t *run.Task, s *set) error {
	last := s.New
	if !t.WasBegun(stepNew) {
		last = s.Old
	}
	if last.Contents.Deploy.Stop == nil {
		t.Progress("nothing ran in %s before, and the app has no stop command: what the rehearsal deployed last is still there", s.stage.Name)
		return nil
	}
	t.Progress("nothing ran in %s before: its stop command", s.stage.Name)
	return s.stage.TakeAway(ctx, last)
}

// builtin are the built-in checks of a rehearsal of a release.
func builtin(c app.Contents) []string {
	if c.Deploy != nil {
		return []string{CheckRollback}
	}
	return Builtin()
}

// deployedNotes are what a reader of the report should know.
func deployedNotes(s *set) []string {
	return []string{
		fmt.Sprintf("it was rehearsed in %s itself, by the team's own commands: what it reaches there, nobody here isolates", s.stage.Name),
		"the database is the team's own: no migration was observed, and the old release was not tried beside the new one",
	}
}
