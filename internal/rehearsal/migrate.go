package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/migration"
	"greenroom/internal/plan"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// Migrated is what the step of the migration found.
type Migrated struct {
	evidence.Result
	Worked bool `json:"worked"` // it came to its end, whatever it did to people meanwhile
	// Mask is how the policy's rules fit what it made; nil where there is nothing to tell.
	Mask *mask.Outlook `json:"mask,omitempty"`
}

// migrate runs the new release's migration while the old one is up and its journeys use the database, and watches what
// that does to them.
func (r *Rehearsals) migrate(ctx context.Context, t *run.Task, s *set) (any, error) {
	if t.Attempt > 1 {
		if err := r.again(ctx, t, s); err != nil {
			return nil, err
		}
	}
	if s.New.Contents.Migrations.AtStart != "" {
		if err := s.stage.Route(ctx, r.both(s, 0)); err != nil {
			return nil, err
		}
	}
	if err := r.countBefore(ctx, t, s); err != nil {
		return nil, err
	}
	masking, err := r.maskBefore(ctx, s)
	if err != nil {
		return nil, err
	}
	if s.alone() {
		t.Progress("as in production, %s's %s is stopped before", s.Old.Digest().Short(), strings.Join(stopFirst(s.Old), ", "))
		if err := r.swapWorkers(ctx, t, s); err != nil {
			return nil, err
		}
	}
	started := r.World.Now()
	load := r.use(ctx, t, s)
	// Where production is empty nobody stands behind a migration, and how long it holds a lock says nothing.
	m, err := s.stage.Migrate(ctx, s.New, t.Run, environment.Migrating{Watch: s.HasOld, Load: load.says(s), Tell: say(t)})
	used := load.end()
	if err != nil {
		return nil, err
	}
	result := Migrated{Result: evidence.Result{
		Check: CheckMigration, Verdict: evidence.Pass, Started: started, Duration: m.Took, Output: m.Output,
	}, Worked: m.Failed == ""}
	if result.Worked {
		if result.Mask, err = masking.after(ctx, t, s); err != nil {
			return nil, err
		}
	}
	if m.Before != "" || m.After != "" {
		result.Schema = &evidence.SchemaChange{Before: m.Before, After: m.After}
	}
	switch {
	case m.Failed != "":
		result.Verdict, result.Summary = evidence.Fail, m.Failed
		if m.After != m.Before {
			result.Summary += "; it left the schema half-migrated"
		}
	case m.Before == m.After:
		result.Summary = "the schema stays as it is"
	default:
		result.Summary = "the schema changes"
	}
	if m.Seen != nil {
		if !used.any {
			m.Seen.Load = ""
		}
		if result.Migration, err = r.judged(ctx, t, s, *m.Seen, used); err != nil {
			return nil, err
		}
		decide(&result.Result)
	}
	if why, err := r.unlikeProduction(t, s, m); err != nil {
		return nil, err
	} else if why != "" && result.Verdict == evidence.Pass {
		result.Verdict, result.Summary = evidence.Inconclusive, why
	}
	return result, nil
}

// countBefore counts the data where a way down will be tried, which is held against it. The census lies with the stage: of
// a schema with thousands of tables it is too large for the journal, and without the stage it is good for nothing.
func (r *Rehearsals) countBefore(ctx context.Context, t *run.Task, s *set) error {
	if !s.HasOld {
		return nil
	}
	has, err := s.stage.HasWayDown(ctx, s.New, s.Old)
	if err != nil || !has {
		return err
	}
	t.Progress("counting the data")
	census, err := s.stage.Census(ctx, s.Old)
	if err != nil || census == nil {
		return err
	}
	return s.stage.KeepCensus(*census)
}

// judged is what was seen of a migration, and what it means.
func (r *Rehearsals) judged(ctx context.Context, t *run.Task, s *set, seen migration.Observation, used usage) (*migration.Report, error) {
	budget := s.Policy.Migrating.Budget.Default()
	report := &migration.Report{
		Observation: seen, Budget: budget, Findings: migration.Judge(seen, budget), Advice: migration.Advise(seen), Data: "the seed",
	}
	if s.New.Contents.Migrations.Seed == "" {
		report.Data = "what the migrations put there"
	}
	var d Data
	copied, err := t.Result(stepData, &d)
	if err != nil {
		return nil, err
	}
	if copied {
		report.Data = d.Says
	}
	disturbed, err := r.errorsOf(ctx, t, s, used)
	if err != nil {
		return nil, err
	}
	report.Findings = append(report.Findings, disturbed...)
	if report.Forecast, err = r.forecast(ctx, t, s, seen); err != nil {
		return nil, err
	}
	if !copied && report.Forecast != nil {
		report.Findings = append(report.Findings, migration.JudgeForecast(*report.Forecast, budget)...)
	}
	report.Observation = seen.Bounded() // it is kept, and was judged as a whole
	return report, nil
}

// errorsOf are what people would have seen because the migration ran: journeys that failed meanwhile, and pass now that it
// is over. That others can't live on what it made is not its doing, and what old-on-new finds.
func (r *Rehearsals) errorsOf(ctx context.Context, t *run.Task, s *set, used usage) (found []migration.Finding, err error) {
	if len(used.failed) == 0 {
		return nil, nil
	}
	address, err := s.stage.URL(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range used.failed {
		now, err := s.stage.Check(ctx, s.Old, f.Check, address, t.Run)
		if err != nil {
			return nil, err
		}
		if now.Verdict != evidence.Fail {
			found = append(found, migration.Finding{Verdict: string(evidence.Fail), Statement: -1,
				Text: fmt.Sprintf("while it ran, people would have seen errors: %s of %s: %s", f.Name, s.Old.Digest().Short(), f.why)})
		}
	}
	return found, nil
}

// forecast is what production will see of a migration; nil where its sizes can't be known from here. Where production can't
// be asked, its newest snapshot tells how large it was.
func (r *Rehearsals) forecast(ctx context.Context, t *run.Task, s *set, seen migration.Observation) (*migration.Forecast, error) {
	production, ok := s.Policy.Production()
	if !ok || !s.HasOld {
		return nil, nil
	}
	e, ok := r.World.Open(s.Policy, production.Name)
	if !ok {
		return nil, nil
	}
	if !r.World.Elsewhere(s.Policy, production.Name) {
		shape, err := e.Shape(ctx, s.Old)
		if err == nil {
			return migration.Predict(seen, sizesOf(shape)), nil
		}
		t.Progress("production's sizes could not be read: %v", err)
	}
	snapshot, found, err := e.Vouched(ctx, s.Policy)
	if err != nil || !found {
		return nil, err
	}
	f := migration.Predict(seen, snapshot.Sizes())
	if f != nil {
		f.SizedAt(snapshot.Data.Taken)
	}
	return f, nil
}

func sizesOf(shape mask.Shape) []migration.Size {
	sizes := make([]migration.Size, len(shape.Tables))
	for i, table := range shape.Tables {
		sizes[i] = migration.Size{Table: table.Name, Rows: table.Rows, Bytes: table.Bytes, Index: table.Index}
	}
	return sizes
}

// decide makes the verdict of a migration that worked that of its findings, and its summary the worst of them.
func decide(result *evidence.Result) {
	if result.Verdict == evidence.Fail {
		return
	}
	verdict := evidence.Verdict(migration.Verdict(result.Migration.Findings))
	if verdict == evidence.Pass {
		return
	}
	result.Verdict = evidence.Worst(result.Verdict, verdict)
	var texts []string
	for _, f := range result.Migration.Findings {
		if f.Verdict == string(verdict) {
			texts = append(texts, f.Text)
		}
	}
	result.Summary = strings.Join(texts, "; ")
}

// load is the old release's journeys, run again and again.
type load struct {
	stop context.CancelFunc
	done chan usage
	any  bool
}

// usage is what came of it.
type usage struct {
	any    bool     // a journey ran, be it until it was cut off
	failed []failed // the first of each journey
}

// failed is a journey that failed, and why.
type failed struct {
	app.Check
	why string
}

// alone says whether the old release's part that must not run twice is stopped before the new one's migrates as it starts, as
// a promotion does it: two programs at one SQLite file are what never is.
func (s *set) alone() bool {
	m := s.New.Contents.Migrations
	return s.HasOld && m != nil && m.AtStart != "" && slices.Contains(stopFirst(s.New), m.AtStart)
}

// held says whether nobody can use the stage while the new release migrates: in production requests wait at the edge.
func (s *set) held() bool {
	public, ok := s.Old.Contents.Public()
	return s.alone() && ok && public.Order == app.StopFirst
}

// use has the old release's journeys use the stage until end is called, so that whoever waits behind a migration is seen
// and not guessed. Without journeys nobody does.
func (r *Rehearsals) use(ctx context.Context, t *run.Task, s *set) load {
	ctx, stop := context.WithCancel(ctx)
	l := load{stop: stop, done: make(chan usage, 1)}
	if s.HasOld && !s.held() {
		l.any = len(Journeys(s.Old.Contents)) > 0
	}
	if !l.any {
		l.done <- usage{}
		return l
	}
	var first sync.Once
	begun := make(chan struct{})
	go func() { l.done <- r.useOn(ctx, t, s, func() { first.Do(func() { close(begun) }) }) }()
	select { // until somebody really uses it
	case <-begun:
	case <-ctx.Done():
	}
	return l
}

// useOn runs the journeys one after the other until ctx ends. One that was cut off says nothing.
func (r *Rehearsals) useOn(ctx context.Context, t *run.Task, s *set, begun func()) (u usage) {
	defer begun()
	address, err := s.stage.URL(ctx)
	if err != nil {
		return u
	}
	for ctx.Err() == nil {
		for _, c := range Journeys(s.Old.Contents) {
			begun()
			one, err := s.stage.Check(ctx, s.Old, c, address, t.Run)
			u.any = u.any || err == nil || ctx.Err() != nil
			if err != nil || ctx.Err() != nil {
				return u
			}
			if one.Verdict == evidence.Fail && !slices.ContainsFunc(u.failed, func(f failed) bool { return f.Name == c.Name }) {
				u.failed = append(u.failed, failed{c, one.Summary})
			}
		}
	}
	return u
}

func (l load) says(s *set) string {
	if !l.any {
		return ""
	}
	return "journeys of " + s.Old.Digest().Short()
}

func (l load) end() usage {
	l.stop()
	return <-l.done
}

// unlikeProduction says how the schema that the migration began with differs from production's.
func (r *Rehearsals) unlikeProduction(t *run.Task, s *set, m environment.Migration) (string, error) {
	var b release.Baseline
	if _, err := t.Result("baseline", &b); err != nil {
		return "", err
	}
	want := b[release.PartSchema]
	var d Data
	if copied, err := t.Result(stepData, &d); err != nil {
		return "", err
	} else if copied && d.Schema == want {
		want = d.Masked // texts in the schema itself are masked too
	}
	if !s.HasOld || want == "" || want == m.Before {
		return "", nil
	}
	why := "was production's changed by hand?"
	if d.Found {
		why = "was production's changed by hand, or migrated since the snapshot was taken?"
	}
	return fmt.Sprintf("the stage's schema (%s) is not production's (%s): %s",
		release.Digest(m.Before).Short(), release.Digest(b[release.PartSchema]).Short(), why), nil
}

// Again is what the step of that name found: what the migration does to the data.
type Again struct {
	Lost    []migration.Loss    `json:"lost,omitempty"`
	Changed []migration.Loss    `json:"changed,omitempty"`
	Broken  []migration.Finding `json:"broken,omitempty"` // invariants that do not hold after it, and did before
	Took    time.Duration       `json:"took"`
	Why     string              `json:"why,omitempty"` // it could not be tried
}

// migrateAgain goes back to the pristine copy and migrates once more, while nobody else writes: so what is different
// afterwards is the migration's doing. It is also the proof that one can roll back and try again.
func (r *Rehearsals) migrateAgain(ctx context.Context, t *run.Task, s *set) (any, error) {
	var first Migrated
	done, err := t.Result(CheckMigration, &first)
	if err != nil {
		return nil, err
	}
	if !done || !first.Worked {
		return Again{Why: "the migration did not come to its end"}, nil
	}
	if err := r.reset(ctx, t, s); err != nil {
		return nil, err
	}
	if s.New.Contents.Migrations.AtStart != "" {
		if err := s.stage.Route(ctx, r.both(s, 0)); err != nil {
			return nil, err
		}
	}
	before, err := r.look(ctx, t, s, s.Old)
	if err != nil {
		return nil, err
	}
	m, err := s.stage.Migrate(ctx, s.New, t.Run, environment.Migrating{Tell: say(t)})
	if err != nil {
		return nil, err
	}
	if m.Failed != "" {
		return Again{Took: m.Took, Why: "it failed the second time: " + m.Failed}, nil
	}
	after, err := r.look(ctx, t, s, s.New)
	if err != nil {
		return nil, err
	}
	a := Again{Took: m.Took, Broken: brokenBy(before.invariants, after.invariants)}
	if before.census != nil && after.census != nil {
		lost, changed := migration.Compare(*before.census, *after.census)
		a.Lost, a.Changed = migration.BoundedLosses(lost), migration.BoundedLosses(changed)
	}
	return a, nil
}

// looked is what the stage's data is at one moment.
type looked struct {
	census     *migration.Census // nil where the engine can't count
	invariants map[string]string // name -> what its query found; "" for nothing
}

// look counts the data and asks the team's invariants.
func (r *Rehearsals) look(ctx context.Context, t *run.Task, s *set, with release.Release) (looked, error) {
	t.Progress("counting the data")
	var l looked
	var err error
	if l.census, err = s.stage.Census(ctx, with); err != nil {
		return l, err
	}
	l.invariants, err = s.stage.Invariants(ctx, with)
	return l, err
}

// brokenBy are the invariants that held before and do not hold after.
func brokenBy(before, after map[string]string) (out []migration.Finding) {
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if after[name] != "" && before[name] == "" {
			out = append(out, migration.Finding{
				Verdict: string(evidence.Fail), Statement: -1,
				Text: fmt.Sprintf("the invariant %s does not hold after it: %s", name, after[name]),
			})
		}
	}
	return out
}

// complete puts what later steps found about the migration into its result: what it did to the data, and the way back.
func (r *Rehearsals) complete(t *run.Task, result *evidence.Result) error {
	if result.Migration == nil {
		return nil
	}
	var a Again
	done, err := t.Result(stepAgain, &a)
	if err != nil {
		return err
	}
	if !done && planned(t, stepAgain) { // or whoever cancels it there could destroy data unseen
		a.Why = "the rehearsal did not get there"
	}
	r.completeData(result, a)
	var back Back
	if done, err := t.Result(CheckRollback, &back); err != nil || !done {
		return err
	}
	result.Migration.Back = back.Back
	return nil
}

// planned says whether the run's plan has a step of that name.
func planned(t *run.Task, step string) bool {
	return slices.ContainsFunc(t.Plan.Steps, func(s plan.Step) bool { return s.Name == step })
}

func (r *Rehearsals) completeData(result *evidence.Result, a Again) {
	m := result.Migration
	m.Lost, m.Changed = a.Lost, a.Changed
	m.Findings = append(m.Findings, a.Broken...)
	m.Findings = append(m.Findings, migration.JudgeLost(a.Lost, m.Budget)...)
	if a.Why != "" {
		m.Findings = append(m.Findings, migration.Finding{Verdict: string(evidence.Inconclusive), Statement: -1,
			Text: "what it does to the data is not known: " + a.Why})
	}
	decide(result)
}
