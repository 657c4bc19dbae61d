package rehearsal

import (
	"context"

	"greenroom/internal/environment"
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
	m, err := s.stage.Migrate(ctx, left, asOld(t)+"-left", environment.Migrating{})
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

// maker is the release, other than the live one, whose migration made that schema of production; "" for none.
func (r *Rehearsals) maker(ctx context.Context, s *set, schema string) (release.Digest, error) {
	production, ok := s.Policy.Production()
	if !ok {
		return "", nil
	}
	return r.World.Store.SchemaMaker(ctx, s.Policy.App, production.Name, schema, s.Old.Digest())
}
