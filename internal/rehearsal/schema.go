package rehearsal

import (
	"context"
	"encoding/json"

	"greenroom/internal/environment"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// catchUp brings the stage's schema, which the live release built, to production's. After a rollback that is further than
// the live release's own migrations go: the schema stays that of the release that was left, and its migration is run here
// as well. Where that does not help, the check `migration` says so.
func (r *Rehearsals) catchUp(ctx context.Context, t *run.Task, s *set) error {
	var b release.Baseline
	if _, err := t.Result("baseline", &b); err != nil {
		return err
	}
	now, err := s.stage.Fingerprint(ctx, s.Old)
	if err != nil || b[release.PartSchema] == "" || now == b[release.PartSchema] {
		return err
	}
	maker, err := r.maker(ctx, s, b[release.PartSchema])
	if err != nil || maker == "" {
		return err
	}
	left, err := r.World.Release(ctx, maker)
	if err != nil {
		return err
	}
	t.Progress("the migration of %s, which production was rolled back from", maker.Short())
	return r.migrateAs(ctx, t, s, left)
}

// migrateAs migrates the stage with a release that is not started there.
func (r *Rehearsals) migrateAs(ctx context.Context, t *run.Task, s *set, left release.Release) error {
	traffic := environment.All(s.Old)
	traffic.Running = append(traffic.Running, left) // a replica that migrates as it starts needs its addresses
	if err := s.stage.Route(ctx, traffic); err != nil {
		return err
	}
	m, err := s.stage.Migrate(ctx, left, t.Run, environment.Migrating{})
	if err != nil {
		return err
	}
	if migrations := left.Contents.Migrations; migrations != nil && migrations.AtStart != "" {
		if err := s.stage.Stop(ctx, left, []string{migrations.AtStart}); err != nil {
			return err
		}
	}
	if m.Failed != "" {
		return problem.New(problem.Inconclusive, "the migration that made production's schema, of %s, fails on a stage: %s\n%s",
			left.Digest().Short(), m.Failed, m.Output)
	}
	return s.stage.Route(ctx, environment.All(s.Old))
}

// history is how many of production's runs are searched for the one that made its schema.
const history = 1000

// maker is the release, other than the live one, whose migration made that schema of production; "" for none.
func (r *Rehearsals) maker(ctx context.Context, s *set, schema string) (maker release.Digest, err error) {
	production, ok := s.Policy.Production()
	if !ok {
		return "", nil
	}
	runs, err := r.World.Store.Runs(ctx, s.Policy.App, production.Name, history)
	if err != nil {
		return "", err
	}
	for _, candidate := range runs { // the newest first
		if candidate.Plan.Kind != plan.Promotion || candidate.Plan.Release == s.Old.Digest() {
			continue
		}
		m, err := r.migrated(ctx, candidate.ID)
		switch {
		case err != nil:
			return "", err
		case m.After != schema:
		case m.Before != schema:
			return candidate.Plan.Release, nil
		case maker == "":
			maker = candidate.Plan.Release // it found the schema as it left it; or was killed in between, and did it before
		}
	}
	return maker, nil
}

// migrated is what a promotion's migration did to the schema; zero when it had none that worked.
func (r *Rehearsals) migrated(ctx context.Context, run string) (m environment.Migration, err error) {
	full, err := r.World.Store.Run(ctx, run)
	for _, e := range full.Journal {
		if e.Step == "migrate" && e.State == plan.Done && len(e.Result) > 0 {
			return m, json.Unmarshal(e.Result, &m)
		}
	}
	return m, err
}
