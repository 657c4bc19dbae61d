package promotion

import (
	"context"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/data"
	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
	"greenroom/internal/run"
	"greenroom/internal/store"
)

// Migrated is what the migration of a promotion did, and how that compares with what its rehearsal foretold.
type Migrated struct {
	environment.Migration
	Forecast *migration.Forecast `json:"forecast,omitempty"` // with Actual; nil where nothing was foretold
	Says     string              `json:"says,omitempty"`     // both in a sentence
}

// lockRetries is how often a migration is tried again that did not get its lock: with the pauses between, for about a
// minute and a half.
const lockRetries = 10

// manner is how a migration is carried out where people use the database: it waits for a lock only as long as reads or
// writes may stand still, lets everybody pass, and tries again; and it is stopped when it takes far longer than it was
// foretold.
func manner(m app.Migrating, rehearsed *migration.Report) environment.Migrating {
	budget := m.Budget.Default()
	how := environment.Migrating{
		Watch: true, Load: "the people who use it", LockTimeout: m.LockTimeout, Retries: lockRetries, EndBlockers: m.EndBlockers,
	}
	if how.LockTimeout == 0 {
		how.LockTimeout = min(budget.BlockedReads, budget.BlockedWrites)
	}
	// Sizes that production had some time ago tell roughly how long it takes, and not that one which takes longer is ill.
	if rehearsed != nil && rehearsed.Forecast != nil && rehearsed.Forecast.Sized.IsZero() {
		how.Limit = farLonger(rehearsed.Forecast.High)
		how.Statement = how.Limit
	}
	return how
}

// foretoldAndLimit is a forecast's range in words, with when it is over.
func foretoldAndLimit(f migration.Forecast, limit time.Duration) string {
	if limit == 0 {
		return foretold(f)
	}
	return foretold(f) + "; it is stopped after " + migration.Human(limit)
}

// foretold is a forecast's range in words.
func foretold(f migration.Forecast) string {
	if migration.Human(f.Low) == migration.Human(f.High) {
		return "about " + migration.Human(f.High)
	}
	return migration.Human(f.Low) + " to " + migration.Human(f.High)
}

// farLonger is when a migration has taken so much longer than the most that was foretold that something is wrong. Two
// minutes more let a short one ask for its locks as often as lockRetries says, so that whoever is in its way gets named.
func farLonger(high time.Duration) time.Duration { return 3*high + 2*time.Minute }

// rehearsed is what the newest rehearsal of the release that counts measured of its migration; nil without one, and where
// the environment is not production, whose size it foretells.
func (p *Promotions) rehearsed(ctx context.Context, sc *scene) (*migration.Report, error) {
	if production, ok := sc.Policy.Production(); !ok || production.Name != sc.env.Name {
		return nil, nil
	}
	statements, err := p.World.Statements(ctx, sc.Policy, sc.New.Digest())
	if err != nil {
		return nil, err
	}
	var found *migration.Report
	for _, s := range statements {
		if s.Result.Migration != nil && s.Policy == sc.Policy.Conditions() { // else it was on another stage
			found = s.Result.Migration
		}
	}
	return found, nil
}

// waitedFor is how much of a migration's time went by because somebody else held what it needed: no forecast knows of that.
// Attempts that did not get their lock are statements of their own, and what lies between them is waiting too.
func waitedFor(m environment.Migration) (waited time.Duration) {
	if m.Seen == nil {
		return 0
	}
	var worked time.Duration
	for _, s := range m.Seen.Statements {
		waited += s.Waited
		if s.Error == "" {
			worked += s.Took - s.Waited
		}
	}
	if m.Attempts > 1 {
		waited = m.Took - worked
	}
	return min(max(waited, 0), m.Took)
}

// noteActual puts the fact beside the forecast in the report of the rehearsal, for whoever reads that later.
func noteActual(ctx context.Context, tx *store.Tx, sc *scene, took time.Duration) error {
	report, err := tx.LatestReport(ctx, sc.env.App, sc.New.Digest())
	if err != nil {
		if problem.From(err).Code == problem.NotFound { // it came with its evidence from another machine
			return nil
		}
		return err
	}
	m := report.Migration()
	if m == nil || m.Forecast == nil {
		return nil
	}
	m.Forecast.Actual = took
	return tx.PutReport(ctx, report)
}

// compared tells the forecast and the fact side by side.
func compared(t *run.Task, m environment.Migration, rehearsed *migration.Report) Migrated {
	out := Migrated{Migration: m}
	if rehearsed == nil || rehearsed.Forecast == nil {
		return out
	}
	f := *rehearsed.Forecast
	waited := waitedFor(m)
	f.Actual = m.Took - waited
	out.Forecast, out.Says = &f, f.Compare(f.Actual)
	if waited > 0 {
		out.Says += "; it waited " + migration.Human(waited) + " for locks beside that"
	}
	t.Progress("%s", out.Says)
	return out
}

// migrate changes the schema and believes no exit code alone: what counts as well is that the schema is the one that
// the rehearsal ended with.
func (p *Promotions) migrate(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	if t.Attempt > 1 {
		if err := p.recordLostEndings(ctx, t, sc); err != nil {
			return nil, err
		}
		// The migrator of the attempt before may still be at work in the server.
		if _, err := sc.env.Settle(ctx, sc.New, t.Run); err != nil {
			return nil, err
		}
	}
	if at, err := after(t.Plan, t.Step.Name); err != nil {
		return nil, err
	} else if sc.New.Contents.Migrations.AtStart != "" {
		at.started = true // the replica that migrates needs its addresses
		if err := sc.env.Route(ctx, at.traffic(sc, p.World.Now())); err != nil {
			return nil, err
		}
	}
	rehearsed, err := p.rehearsed(ctx, sc)
	if err != nil {
		return nil, err
	}
	how := manner(sc.Policy.Migrating, rehearsed)
	how.Tell = say(t)
	how.Ending = func(ctx context.Context, b migration.Blocker) error { return p.recordEnding(ctx, t, sc, b) }
	how.Fate = func(ctx context.Context, b migration.Blocker, fate data.Fate, why string) error {
		return p.recordFate(ctx, t, sc, b, fate, why)
	}
	if rehearsed != nil && rehearsed.Forecast != nil {
		t.Progress("the rehearsal foretells %s", foretoldAndLimit(*rehearsed.Forecast, how.Limit))
	}
	m, err := sc.env.Migrate(ctx, sc.New, t.Run, how)
	if err != nil {
		return nil, err
	}
	if err := p.recordLostEndings(ctx, t, sc); err != nil { // what was migrated is no less so
		p.Log.Warn("what came of sessions in a migration's way could not be recorded", "run", t.Run, "error", err)
	}
	if m.Failed != "" {
		return nil, p.migrationFailed(ctx, t, sc, m)
	}
	if err := p.asRehearsed(ctx, sc, t, m); err != nil {
		return nil, err
	}
	recordSchema(t, sc, m.After, readState(sc.New))
	out := compared(t, m, rehearsed)
	if out.Forecast != nil {
		t.OnRecord(store.Audit{Action: "forecast met", Subject: string(sc.New.Digest()), Because: out.Says}, func(ctx context.Context, tx *store.Tx) error {
			return noteActual(ctx, tx, sc, out.Forecast.Actual)
		})
	}
	return out, nil
}

// migrationFailed tells whether the failed migration left the schema as it was.
func (p *Promotions) migrationFailed(ctx context.Context, t *run.Task, sc *scene, m environment.Migration) error {
	var back wayBack
	if _, err := t.Result("way-back", &back); err != nil {
		return err
	}
	if m.After == back.Schema { // not m.Before: an attempt that was killed may have come half the way
		return problem.New(problem.Fail, "the migration failed and left the schema as it was: %s\n%s", m.Failed, m.Output)
	}
	if err := p.recordHalfMigrated(ctx, t, sc); err != nil {
		return err
	}
	return problem.New(problem.Fail, "the migration failed and left the schema half-migrated: %s\n%s", m.Failed, m.Output)
}

// asRehearsed compares the schema with the one that the rehearsal's migration ended with, where it began with the same.
func (p *Promotions) asRehearsed(ctx context.Context, sc *scene, t *run.Task, m environment.Migration) error {
	var back wayBack
	if _, err := t.Result("way-back", &back); err != nil {
		return err
	}
	rehearsed, err := p.rehearsedSchema(ctx, sc)
	if err != nil || rehearsed == nil || rehearsed.Before != back.Schema || rehearsed.After == m.After {
		return err
	}
	return problem.New(problem.Fail, "the migration says that it worked, but the schema (%s) is not the one that it made in the rehearsal (%s)",
		short(m.After), short(rehearsed.After))
}

// rehearsedSchema is what the newest rehearsal of the release saw its migration do; nil without one.
func (p *Promotions) rehearsedSchema(ctx context.Context, sc *scene) (*evidence.SchemaChange, error) {
	statements, err := p.World.Statements(ctx, sc.Policy, sc.New.Digest())
	if err != nil {
		return nil, err
	}
	var found *evidence.SchemaChange
	for _, s := range statements {
		if s.Result.Schema != nil && s.Result.Verdict == evidence.Pass {
			found = s.Result.Schema
		}
	}
	return found, nil
}

// unmigrate takes a migration back where that loses nothing. A schema that was changed whole stays as it is: the
// rehearsal proved that the old release lives on it, and its journeys prove it again when the run ends. A half-migrated
// one stops everything: neither release is known to run on it.
func (p *Promotions) unmigrate(ctx context.Context, t *run.Task, sc *scene) error {
	if err := p.endMigrating(ctx, t, sc); err != nil {
		return err
	}
	if err := p.recordLostEndings(ctx, t, sc); err != nil {
		return err
	}
	now, err := sc.env.Settle(ctx, sc.New, t.Run)
	if err != nil {
		return err
	}
	var back wayBack
	if _, err := t.Result("way-back", &back); err != nil {
		return err
	}
	at, err := before(t.Plan, t.Step.Name)
	if err != nil {
		return err
	}
	switch {
	case at.pause != nil && at.pause.Maintenance && t.WasDone("backup"):
		// Nobody wrote since the backup was taken: the page was shown all the time. A migration that changed nothing but
		// rows leaves the schema as it was, so that is no reason not to.
		t.Progress("restoring the backup")
		if err := sc.env.Restore(ctx, sc.database(), sc.env.BackupFile(t.Run)); err != nil {
			return err
		}
		now = back.Schema
	case now == back.Schema:
	case !t.WasDone(t.Step.Name):
		if err := p.recordHalfMigrated(ctx, t, sc); err != nil {
			return err
		}
		return problem.New(problem.Blocked, "the schema is half-migrated: it is neither what it was nor what the migration makes").
			WithHint("look at it; the backup of before is %s; then greenroom promote again, or restore", sc.env.BackupFile(t.Run))
	default:
		t.Progress("the schema stays migrated, and the old release goes on with it")
	}
	recordSchema(t, sc, now, readState(sc.database()))
	return nil
}

// endMigrating stops the replica that migrates when it starts: it would be started again and again, and try each time.
func (p *Promotions) endMigrating(ctx context.Context, t *run.Task, sc *scene) error {
	service := sc.New.Contents.Migrations.AtStart
	if service == "" {
		return nil
	}
	if err := sc.env.Stop(ctx, sc.New, []string{service}); err != nil {
		return err
	}
	return p.routeBack(ctx, t, sc)
}
