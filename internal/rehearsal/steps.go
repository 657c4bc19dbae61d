package rehearsal

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/human"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// Rehearsals carries out the steps of rehearsals.
type Rehearsals struct {
	World *environment.World
	Log   *slog.Logger
}

// set is what every step needs: the stage, and the two releases.
type set struct {
	environment.Pair
	stage *environment.Environment
}

func (r *Rehearsals) set(ctx context.Context, t *run.Task) (*set, error) {
	pair, err := r.World.Pair(ctx, t.Plan)
	if err == nil && pair.New.Contents.Deploy != nil {
		env, ok := r.World.Open(pair.Policy, t.Plan.Environment)
		if !ok {
			return nil, problem.New(problem.NotFound, "%s has no environment %s any more", t.Plan.App, t.Plan.Environment)
		}
		return &set{pair, env}, nil
	}
	return &set{pair, r.World.Stage(pair.Policy, Stage).For(pair.New, pair.Old)}, err
}

// step is an action that gets the set. Nothing of a rehearsal is taken back: the stage is taken down.
type step func(ctx context.Context, t *run.Task, s *set) (any, error)

type action struct {
	r  *Rehearsals
	do step
}

// Do is run.Action's.
func (a action) Do(ctx context.Context, t *run.Task) (any, error) {
	s, err := a.r.set(ctx, t)
	if err != nil {
		return nil, err
	}
	return a.do(ctx, t, s)
}

// Undo is run.Action's.
func (a action) Undo(context.Context, *run.Task) error { return nil }

// Actions are the actions of all steps that Make plans.
func (r *Rehearsals) Actions() map[string]run.Action {
	actions := map[string]run.Action{}
	for name, do := range map[string]step{
		ActionBaseline:  r.baseline,
		ActionStage:     r.raise,
		ActionData:      r.data,
		ActionOld:       r.startOld,
		ActionBefore:    r.before,
		ActionMigrate:   r.migrate,
		ActionOldOnNew:  r.oldOnNew,
		ActionNew:       r.startNew,
		ActionCheck:     r.check,
		ActionBack:      r.back,
		ActionAgain:     r.migrateAgain,
		ActionReport:    r.report,
		ActionDown:      r.down,
		ActionTake:      r.take,
		ActionDeployOld: r.deployOld,
		ActionDeployNew: r.deployNew,
		ActionReturn:    r.goBackAndForth,
		ActionGive:      r.give,
	} {
		actions[name] = action{r, do}
	}
	return actions
}

// baseline reads what production is, and that it still is what the plan was made for.
func (r *Rehearsals) baseline(ctx context.Context, t *run.Task, s *set) (any, error) {
	if _, ok := s.Policy.Production(); !ok {
		return nil, problem.New(problem.Invalid, "%s has no environment to rehearse for", t.Plan.App)
	}
	b, err := r.World.Production(ctx, s.Policy)
	if err != nil {
		return nil, err
	}
	if release.Digest(b[release.PartRelease]) != t.Plan.From {
		return nil, problem.New(problem.Blocked, "production's release changed while the rehearsal waited").
			WithHint("greenroom rehearse %s", t.Plan.Release.Short())
	}
	return b, nil
}

// raise makes the stage. What an interrupted rehearsal left is taken down first.
func (r *Rehearsals) raise(ctx context.Context, t *run.Task, s *set) (any, error) {
	if err := s.stage.Remove(ctx); err != nil {
		return nil, err
	}
	if err := s.stage.NeedSecrets(ctx, s.New); err != nil {
		return nil, err
	}
	proof, asked, err := s.stage.Isolate(ctx)
	if err != nil {
		return nil, err
	}
	var kept any
	if asked {
		t.Progress("%s", proof)
		kept = proof
	}
	if _, err := s.stage.Database(ctx, s.New); err != nil {
		return nil, err
	}
	address, err := s.stage.URL(ctx)
	if err == nil {
		t.Progress("the stage answers at %s", address)
	}
	return kept, err
}

// before runs the old release's journeys while nothing has changed: when they fail now, they say nothing later.
func (r *Rehearsals) before(ctx context.Context, t *run.Task, s *set) (any, error) {
	result, err := r.journeys(ctx, t, s, "before")
	if err != nil {
		return nil, err
	}
	if result.Verdict == evidence.Fail {
		return nil, problem.New(problem.Inconclusive, "production's release fails its own journeys on a fresh stage: %s", result.Summary)
	}
	return result, nil
}

// oldOnNew runs the old release's journeys on the new schema.
func (r *Rehearsals) oldOnNew(ctx context.Context, t *run.Task, s *set) (any, error) {
	changed, why, err := r.schemaChanged(t)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return r.notRun(CheckOldOnNew, why), nil
	}
	if s.alone() {
		if failed, err := r.returnOld(ctx, t, s); err != nil || failed != nil {
			return failed, err
		}
	}
	result, err := r.journeys(ctx, t, s, CheckOldOnNew)
	if err != nil {
		return nil, err
	}
	if !changed && len(Journeys(s.Old.Contents)) == 0 {
		// Where the schema stays as it is, the old release on the new schema is the old release on its own.
		result.Verdict, result.Summary = evidence.Pass, "the schema stays as it is"
	}
	return result, nil
}

// returnOld gives the stage back to the old release that was stopped before the migration, as a promotion that is taken back
// does. That it does not start is a finding.
func (r *Rehearsals) returnOld(ctx context.Context, t *run.Task, s *set) (failed any, err error) {
	began := r.World.Now()
	if err := s.stage.Stop(ctx, s.New, s.own(s.New, stopFirst)); err != nil {
		return nil, err
	}
	err = s.stage.Start(ctx, s.Old, stopFirst(s.Old), say(t))
	if err == nil || ctx.Err() != nil {
		return nil, err
	}
	why, output, _ := strings.Cut(problem.From(err).Message, "\n")
	return evidence.Result{
		Check: CheckOldOnNew, Verdict: evidence.Fail, Started: began, Duration: r.World.Now().Sub(began),
		Summary: "the old release does not start on the new schema: " + why, Output: output,
	}, nil
}

// schemaChanged tells whether the migration changed the schema, or why nothing may be built on what it left.
func (r *Rehearsals) schemaChanged(t *run.Task) (changed bool, broken string, err error) {
	var m Migrated
	done, err := t.Result(CheckMigration, &m)
	if err != nil || !done {
		return false, "", err
	}
	if !m.Worked {
		return false, "the migration failed", nil
	}
	return m.Schema != nil && m.Schema.Before != m.Schema.After, "", nil
}

// startNew starts the new release beside the old and sends the stage's traffic to it. That it does not start is a
// finding about the release.
func (r *Rehearsals) startNew(ctx context.Context, t *run.Task, s *set) (any, error) {
	result := evidence.Result{Check: "start", Verdict: evidence.Pass, Started: r.World.Now()}
	if _, why, err := r.schemaChanged(t); err != nil {
		return nil, err
	} else if why != "" {
		return r.notRun("start", why), nil
	}
	if err := s.stage.Route(ctx, r.both(s, 0)); err != nil {
		return nil, err
	}
	if !s.HasOld {
		if err := r.seed(ctx, t, s); err != nil {
			return nil, err
		}
	}
	before, err := s.stage.Fingerprint(ctx, s.New)
	if err != nil {
		return nil, err
	}
	if err = r.swapWorkers(ctx, t, s); err == nil {
		err = s.stage.Start(ctx, s.New, processes(s.New), say(t))
	}
	result.Duration = r.World.Now().Sub(result.Started)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		result.Verdict = evidence.Fail
		result.Summary, result.Output, _ = strings.Cut(problem.From(err).Message, "\n") // below it: what it printed last
		return result, nil
	}
	if _, _, err := s.stage.Prove(ctx, s.New); err != nil {
		return nil, err
	}
	after, err := s.stage.Fingerprint(ctx, s.New)
	if err != nil {
		return nil, err
	}
	if s.HasOld && before != after {
		result.Verdict, result.Summary = evidence.Fail, changedAtStart
		return result, nil
	}
	result.Summary = "healthy in " + human.Duration(result.Duration)
	return result, s.stage.Route(ctx, r.both(s, 100))
}

// changedAtStart is what is found about a release that changes the schema behind its migration's back: nobody tried the
// old release on what it made.
const changedAtStart = "the schema changed while it started, and the old release was not tried on it: " +
	"say how under `migrations:`, as `run: COMMAND`, or `at: start` where the app does it itself"

// seed fills the database of a first release, of which the stage holds nothing but the schema.
func (r *Rehearsals) seed(ctx context.Context, t *run.Task, s *set) error {
	if t.Attempt > 1 && s.New.Contents.Migrations != nil && s.New.Contents.Migrations.Seed != "" { // it may have been sown already
		if _, err := r.raise(ctx, t, s); err != nil {
			return err
		}
		if err := s.stage.Route(ctx, r.both(s, 0)); err != nil {
			return err
		}
		m, err := s.stage.Migrate(ctx, s.New, t.Run, environment.Migrating{})
		if err != nil {
			return err
		}
		if m.Failed != "" {
			return problem.New(problem.Inconclusive, "the stage could not be made a second time: %s", m.Failed)
		}
	}
	return s.stage.Seed(ctx, s.New, t.Run)
}

// swapWorkers stops what must not run twice before the new release starts its own.
func (r *Rehearsals) swapWorkers(ctx context.Context, _ *run.Task, s *set) error {
	if !s.HasOld {
		return nil
	}
	return s.stage.Stop(ctx, s.Old, s.own(s.Old, stopFirst))
}

func (r *Rehearsals) check(ctx context.Context, t *run.Task, s *set) (any, error) {
	var a CheckArgs
	if err := t.Args(&a); err != nil {
		return nil, err
	}
	for _, c := range s.New.Contents.Checks {
		if c.Name != a.Check {
			continue
		}
		if why, err := r.notStarted(t); err != nil || why != "" {
			return r.notRun(c.Name, why), err
		}
		address, err := s.stage.URL(ctx)
		if err != nil {
			return nil, err
		}
		return s.stage.Check(ctx, s.New, c, address, t.Run)
	}
	return nil, problem.New(problem.Internal, "release %s has no check %s", s.New.Digest().Short(), a.Check)
}

// notStarted says why there is no new release to check.
func (r *Rehearsals) notStarted(t *run.Task) (string, error) {
	var start evidence.Result
	done, err := t.Result("new", &start)
	if err != nil {
		return "", err
	}
	if !done {
		return "the release was not started", nil
	}
	if start.Verdict != evidence.Pass {
		return "the release did not start", nil // why is told by "start", above it
	}
	return "", nil
}

// down takes the stage down, and sees to it that production keeps no more copies than it is to.
func (r *Rehearsals) down(ctx context.Context, _ *run.Task, s *set) (any, error) {
	return nil, errors.Join(s.stage.Remove(ctx), r.sweep(ctx, s))
}

// both is the stage's traffic with this share for the new release.
func (r *Rehearsals) both(s *set, percent int) environment.Traffic {
	if !s.HasOld {
		return environment.All(s.New)
	}
	t := environment.Traffic{Running: []release.Release{s.Old, s.New}}
	if percent < 100 {
		t.Shares = append(t.Shares, environment.Share{Release: s.Old.Digest(), Percent: 100 - percent})
	}
	if percent > 0 {
		t.Shares = append(t.Shares, environment.Share{Release: s.New.Digest(), Percent: percent})
	}
	return t
}

// both are the releases on the stage, the new one first.
func (s *set) both() []release.Release {
	if s.HasOld {
		return []release.Release{s.New, s.Old}
	}
	return []release.Release{s.New}
}

// processes are the services that a release brings, and stopFirst those of them that must not run twice.
func processes(r release.Release) []string { return named(r, func(app.Service) bool { return true }) }
func stopFirst(r release.Release) []string {
	return named(r, func(s app.Service) bool { return s.Order == app.StopFirst })
}

// own are those of a release's services that the other release on the stage has not as they are, which go on for it.
func (s *set) own(r release.Release, of func(release.Release) []string) []string {
	other := s.New
	if r.Digest() == s.New.Digest() {
		other = s.Old
	}
	shared := environment.Shared(r, other)
	return slices.DeleteFunc(of(r), func(name string) bool { return slices.Contains(shared, name) })
}

func named(r release.Release, which func(app.Service) bool) []string {
	var names []string
	for _, s := range r.Contents.Services {
		if s.Released() && which(s) {
			names = append(names, s.Name)
		}
	}
	return names
}

func say(t *run.Task) func(string) { return func(s string) { t.Progress("%s", s) } }
