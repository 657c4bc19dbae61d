package promotion

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/probe"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/run"
	"greenroom/internal/store"
)

// Promotions carries out the steps of promotions and rollbacks.
type Promotions struct {
	World  *environment.World
	Log    *slog.Logger
	Probes *probe.Runs // those that ask at the addresses of apps that their teams deploy
}

// scene is what every step needs: the environment, and the two releases.
type scene struct {
	environment.Pair
	env *environment.Environment
}

func (p *Promotions) scene(ctx context.Context, t *run.Task) (*scene, error) {
	pair, err := p.World.Pair(ctx, t.Plan)
	if err != nil {
		return nil, err
	}
	env, ok := p.World.Open(pair.Policy, t.Plan.Environment)
	if !ok {
		return nil, problem.New(problem.NotFound, "%s has no environment %s any more", t.Plan.App, t.Plan.Environment)
	}
	return &scene{pair, env}, nil
}

// step is an action whose two directions get the scene.
type step struct {
	p    *Promotions
	do   func(ctx context.Context, t *run.Task, sc *scene) (any, error)
	undo func(ctx context.Context, t *run.Task, sc *scene) error // nil: nothing to take back
}

// Do is run.Action's.
func (s step) Do(ctx context.Context, t *run.Task) (any, error) {
	sc, err := s.p.scene(ctx, t)
	if err != nil {
		return nil, err
	}
	s.p.probing(t, sc)
	return s.do(ctx, t, sc)
}

// Undo is run.Action's.
func (s step) Undo(ctx context.Context, t *run.Task) error {
	if s.undo == nil {
		return nil
	}
	sc, err := s.p.scene(ctx, t)
	if err != nil {
		return err
	}
	s.p.probing(t, sc)
	return s.undo(ctx, t, sc)
}

// Actions are the actions of all steps that Make plans.
func (p *Promotions) Actions() map[string]run.Action {
	return map[string]run.Action{
		ActionPrepare:   step{p: p, do: p.prepare},
		ActionGate:      step{p: p, do: p.gate},
		ActionGateAgain: step{p: p, do: p.gateAgain},
		ActionBackup:    step{p: p, do: p.backup},
		ActionWayBack:   step{p: p, do: p.noteWayBack, undo: p.proveOld},
		ActionPause:     step{p: p, do: p.route, undo: p.routeBack},
		ActionResume:    step{p: p, do: p.route, undo: p.closeAgain},
		ActionStopOld:   step{p: p, do: p.stopOld, undo: p.startOld},
		ActionMigrate:   step{p: p, do: p.migrate, undo: p.unmigrate},
		ActionSeed:      step{p: p, do: p.seed},
		ActionStay:      step{p: p, do: p.stay},
		ActionStart:     step{p: p, do: p.start, undo: p.stopNew},
		ActionCandidate: step{p: p, do: p.candidate},
		ActionShare:     step{p: p, do: p.share, undo: p.unshare},
		ActionLive:      step{p: p, do: p.live, undo: p.unlive},
		ActionVerify:    step{p: p, do: p.verify},
		ActionDrain:     step{p: p, do: p.drain},
		ActionWatch:     step{p: p, do: p.watch},
		ActionRetire:    step{p: p, do: p.retire, undo: p.unretire},
		ActionRestore:   step{p: p, do: p.restore, undo: p.unrestore},
		ActionRestart:   step{p: p, do: p.restart, undo: p.unrestart},
		ActionDeploy:    step{p: p, do: p.deploy, undo: p.undeploy},
		ActionProbe:     step{p: p, do: p.watchProbed},
		ActionMeasure:   step{p: p, do: p.measure},
	}
}

// prepare unpacks every service's files and checks them against the release, and asks for the secrets that the release
// names: what is missing is said before anything changes.
func (p *Promotions) prepare(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	if err := sc.env.BringAll(ctx, sc.New, say(t)); err != nil {
		return nil, err
	}
	if err := p.copyIntact(t, sc); err != nil {
		return nil, err
	}
	return nil, sc.env.NeedSecrets(ctx, sc.New)
}

func (p *Promotions) backup(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	return sc.env.Backup(ctx, sc.database(), t.Run)
}

// database is the release whose definition says where the live database is: the old one's while there is one.
func (sc *scene) database() release.Release {
	if sc.HasOld && sc.Old.Contents.Database != nil {
		return sc.Old
	}
	return sc.New
}

// wayBack is what is there before anything changes.
type wayBack struct {
	Schema      string           `json:"schema"` // fingerprint; "" without a database
	SchemaState gate.SchemaState `json:"schema_state"`
	Since       time.Time        `json:"since,omitzero"` // when the old release became live
	Previous    []release.Digest `json:"previous,omitempty"`
}

// markName is the measurement that every promotion makes of its environment's route.
const markName = "promotion"

func (p *Promotions) noteWayBack(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	if sc.env.Deployed() {
		record, err := p.World.Store.Environment(ctx, sc.env.App, sc.env.Name)
		return wayBack{SchemaState: record.SchemaState, Since: record.Since, Previous: record.Previous}, err
	}
	if t.Attempt == 1 {
		if _, err := p.World.Edge.Unmark(ctx, sc.env.RouteName(), markName); err != nil && problem.From(err).Code != problem.NotFound {
			return nil, err
		}
	}
	if err := p.World.Edge.Mark(ctx, sc.env.RouteName(), markName); err != nil && problem.From(err).Code != problem.NotFound {
		return nil, err
	}
	record, err := p.World.Store.Environment(ctx, sc.env.App, sc.env.Name)
	if err != nil {
		return nil, err
	}
	if sc.database().Contents.Database != nil {
		t.Progress("the schema of its database") // whose server is started for that, the first time
	}
	schema, err := sc.env.Fingerprint(ctx, sc.database())
	return wayBack{Schema: schema, SchemaState: record.SchemaState, Since: record.Since, Previous: record.Previous}, err
}

// proveOld comes last when a promotion is taken back. Nothing of the new release runs any more, so its addresses are given
// back: by the next time others may have taken them. The old release answers everything again, and is asked whether it
// really works. The new one is remembered as bad, unless a person merely changed their mind.
func (p *Promotions) proveOld(ctx context.Context, t *run.Task, sc *scene) error {
	if err := sc.env.Forget(ctx, sc.New, sc.Old); err != nil {
		return err
	}
	reason, cancelled := t.Turned()
	if !cancelled && t.Plan.Kind == plan.Promotion && tried(t) && !turnedAway(t) {
		t.OnRecord(store.Audit{Actor: "greenroom", Action: ActionBad, Subject: string(sc.New.Digest()), Because: reason},
			func(ctx context.Context, tx *store.Tx) error {
				return tx.MarkBad(ctx, sc.env.App, sc.New.Digest(), reason)
			})
	}
	if !sc.HasOld {
		return nil
	}
	proven, err := p.journeys(ctx, t, sc, sc.Old, sc.env.URL)
	if err != nil {
		return problem.New(problem.Unavailable, "%s answers again, but its journeys fail: %w", sc.Old.Digest().Short(), err).
			WithHint("greenroom logs --environment %s; the backup of before is in %s/backups", sc.env.Name, sc.env.Folder())
	}
	if !proven {
		t.Progress("rolled back, not proven by a journey: no check is marked production: true")
	}
	if !tried(t) || sc.Old.Contents.Database == nil || t.Plan.Kind == plan.Restore { // that one's own step records what was there
		return nil
	}
	schema, err := sc.env.Fingerprint(ctx, sc.Old) // the new release may have made tables as it started
	if err != nil {
		return err
	}
	recordSchema(t, sc, schema, gate.SchemaProven)
	return nil
}

// tried says whether the new release got as far as to do anything. What fails before, a full disk during the backup for
// one, is not its fault.
func tried(t *run.Task) bool {
	return slices.ContainsFunc(t.Plan.Steps, func(s plan.Step) bool {
		return (s.Action == ActionMigrate || s.Action == ActionStart || s.Action == ActionDeploy) && t.WasBegun(s.Name)
	})
}

// turnedAway says whether the gate took its yes back: what it leaned on does not count any more, of which the release is not guilty.
func turnedAway(t *run.Task) bool {
	return slices.ContainsFunc(t.Plan.Steps, func(s plan.Step) bool {
		return s.Action == ActionGateAgain && t.WasBegun(s.Name) && !t.WasDone(s.Name)
	})
}

// journeys runs the production checks of a release at an address and says whether there were any. What fails, and what
// could not decide, is an error: a release is not proven by either.
func (p *Promotions) journeys(ctx context.Context, t *run.Task, sc *scene, r release.Release, at func(context.Context) (string, error)) (bool, error) {
	checks := ProductionChecks(r.Contents)
	if len(checks) == 0 {
		return false, nil
	}
	address, err := at(ctx)
	if err != nil {
		return false, err
	}
	for _, c := range checks {
		result, err := sc.env.Check(ctx, r, c, address, t.Run)
		if err != nil {
			return false, err
		}
		t.Progress("%s: %s", c.Name, result.Summary)
		if result.Verdict != evidence.Pass {
			return false, problem.New(problem.Fail, "journey %s of %s: %s: %s", c.Name, r.Digest().Short(), result.Verdict, result.Summary)
		}
	}
	return true, nil
}

// changed turns a record that somebody else changed into a problem. While a run owns the environment nobody does.
func changed(err error) error {
	if errors.Is(err, store.ErrChanged) {
		return problem.New(problem.Blocked, "what is live was changed while the run went on: %w", err).WithHint("greenroom status")
	}
	return err
}
