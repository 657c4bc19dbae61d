package rehearsal

import (
	"context"
	"fmt"
	"strings"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/run"
	"greenroom/internal/store"
)

// journeys runs all journeys of the old release at the stage's address as one result.
func (r *Rehearsals) journeys(ctx context.Context, t *run.Task, s *set, check string) (evidence.Result, error) {
	all := Journeys(s.Old.Contents)
	result := evidence.Result{Check: check, Started: r.World.Now()}
	if len(all) == 0 {
		result.Verdict, result.Summary = evidence.Inconclusive, fmt.Sprintf("nobody knows: no check of %s is a journey; make one live before the schema changes, or except this check in the gate", s.Old.Digest().Short())
		return result, nil
	}
	address, err := s.stage.URL(ctx)
	if err != nil {
		return result, err
	}
	var verdicts []evidence.Verdict
	var names, bad []string
	for _, c := range all {
		one, err := s.stage.Check(ctx, s.Old, c, address, t.Run)
		if err != nil {
			return result, err
		}
		t.Progress("%s: %s", c.Name, one.Summary)
		verdicts = append(verdicts, one.Verdict)
		names = append(names, c.Name)
		result.Passed, result.Failed, result.Skipped = result.Passed+one.Passed, result.Failed+one.Failed, result.Skipped+one.Skipped
		if one.Verdict != evidence.Pass {
			bad = append(bad, fmt.Sprintf("%s: %s", c.Name, one.Summary))
			result.Failures = append(result.Failures, one.Failures...)
			result.Output = one.Output
		}
	}
	result.Verdict = evidence.Worst(verdicts...)
	result.Duration = r.World.Now().Sub(result.Started)
	result.Summary = fmt.Sprintf("%s of %s passed", strings.Join(names, ", "), s.Old.Digest().Short())
	if len(bad) > 0 {
		result.Summary = strings.Join(bad, "; ")
	}
	return result, nil
}

// notRun is the result of a check that could not be tried: never a pass.
func (r *Rehearsals) notRun(check, why string) evidence.Result {
	return evidence.Result{Check: check, Verdict: evidence.Inconclusive, Summary: "not run: " + why, Started: r.World.Now()}
}

// report gathers what was found into one page, and keeps it with a statement for each check.
func (r *Rehearsals) report(ctx context.Context, t *run.Task, s *set) (any, error) {
	rep := evidence.Report{
		Run: t.Run, App: t.Plan.App, Release: t.Plan.Release, Old: t.Plan.From, Stage: Stage, Policy: t.Plan.Policy,
	}
	if _, err := t.Result("baseline", &rep.Baseline); err != nil {
		return nil, err
	}
	var err error
	if rep.Mask, err = maskAhead(t); err != nil {
		return nil, err
	}
	reason, cancelled := t.Turned()
	if err := r.gather(&rep, t, s, reason); err != nil {
		return nil, err
	}
	if rep.Isolation, err = r.isolation(ctx, t, s); err != nil {
		return nil, err
	}
	if i := rep.Isolation; i != nil && !i.Isolated && i.Accepted == "" {
		rep.Verdict = evidence.Worst(rep.Verdict, evidence.Inconclusive) // found this late: it is not what was rehearsed
	}
	if rep.Notes = notes(s, reason, cancelled); s.New.Contents.Deploy != nil {
		rep.Notes = append(rep.Notes, deployedNotes(s)...)
	} else {
		rep.Notes = append(rep.Notes, isolated(s, rep.Isolation))
	}
	if err := onData(t, &rep); err != nil {
		return nil, err
	}
	if notice, err := s.stage.ServerNotice(ctx, s.New); err == nil && notice != "" { // without the programs there is no stage at all
		rep.Notes = append(rep.Notes, notice)
	}
	record, err := r.World.Store.Run(ctx, t.Run)
	if err != nil {
		return nil, err
	}
	rep.Started = record.Started
	rep.Duration = r.World.Now().Sub(rep.Started)
	t.OnRecord(store.Audit{Action: "rehearsal reported", Subject: string(t.Plan.Release), Because: string(rep.Verdict)},
		func(ctx context.Context, tx *store.Tx) error {
			if err := tx.PutReport(ctx, rep); err != nil {
				return err
			}
			for _, st := range statements(rep, s) {
				st.At = tx.Now()
				if err := tx.PutStatement(ctx, st); err != nil {
					return err
				}
			}
			return nil
		})
	return rep.Verdict, nil
}

// onData says in the report what the stage's data was.
func onData(t *run.Task, rep *evidence.Report) error {
	var d Data
	copied, err := t.Result(stepData, &d)
	if err != nil || !copied {
		return err
	}
	rep.Snapshot = d.used()
	if note := d.note(); note != "" {
		rep.Notes = append(rep.Notes, note)
	}
	return nil
}

// gather collects the results of the steps in the order of the plan, and says of what was not reached that it was not.
func (r *Rehearsals) gather(rep *evidence.Report, t *run.Task, s *set, reason string) error {
	turned := reason != ""
	if !turned {
		reason = "the rehearsal did not get there"
	}
	var verdicts []evidence.Verdict
	add := func(result evidence.Result) {
		rep.Results = append(rep.Results, result)
		verdicts = append(verdicts, result.Verdict)
	}
	for _, step := range t.Plan.Steps {
		check, ok := checkOf(step.Name, step.Action)
		if !ok {
			continue
		}
		var result evidence.Result
		done, err := t.Result(step.Name, &result)
		if err != nil {
			return err
		}
		if !done {
			result = r.notRun(check, reason)
		}
		if check == CheckMigration && done {
			if err := r.complete(t, &result); err != nil {
				return err
			}
		}
		add(result)
	}
	why, err := r.notStarted(t)
	if err != nil {
		return err
	}
	if why != "" && turned {
		why = reason // it was not even tried
	}
	for _, name := range builtin(s.New.Contents) {
		switch {
		case has(rep.Results, name):
		case why != "":
			add(r.notRun(name, why))
		default:
			add(r.nothingToCompare(name))
		}
	}
	rep.Verdict = evidence.Worst(verdicts...)
	return nil
}

// nothingToCompare is the result of a built-in check that the plan has no step for.
func (r *Rehearsals) nothingToCompare(check string) evidence.Result {
	result := evidence.Result{Check: check, Verdict: evidence.Pass, Started: r.World.Now(), Summary: "nothing to compare with: production is empty"}
	if check == CheckMigration {
		result.Summary = "the app has no migrations"
	}
	return result
}

func has(results []evidence.Result, check string) bool {
	for _, r := range results {
		if r.Check == check {
			return true
		}
	}
	return false
}

// checkOf is the name of the check whose result a step returns.
func checkOf(step, action string) (string, bool) {
	switch action {
	case ActionMigrate, ActionOldOnNew, ActionBack, ActionReturn:
		return step, true
	case ActionNew, ActionDeployNew:
		return "start", true
	case ActionCheck:
		return strings.TrimPrefix(step, "check-"), true
	default:
		return "", false
	}
}

// notes are what a reader should know beside the verdicts.
func notes(s *set, reason string, cancelled bool) []string {
	var out []string
	if cancelled || reason != "" {
		out = append(out, "it did not come to its end: "+reason)
	}
	if !s.HasOld {
		out = append(out, "production is empty: this is a first release, and there was nothing to compare it with")
	}
	if s.New.Contents.Database != nil && s.stage.Settings.Data == nil && (s.New.Contents.Migrations == nil || s.New.Contents.Migrations.Seed == "") {
		out = append(out, "the stage's database held no data but what the migrations put there")
	}
	if len(Journeys(s.New.Contents)) == 0 {
		out = append(out, "no check of this release is a journey: nobody tried whether a user can do anything with it")
	}
	if s.HasOld && len(Journeys(s.Old.Contents)) == 0 {
		out = append(out, "no check of production's release is a journey: a green health check proves nothing")
	}
	return append(out, s.stage.Isolation(s.New)...)
}

// isolation is what the stage could reach: tried once more where its services run, and as it was found before. It is nil
// where nobody asked, and where the rehearsal did not get there.
func (r *Rehearsals) isolation(ctx context.Context, t *run.Task, s *set) (*evidence.Isolation, error) {
	why, err := r.notStarted(t)
	if err != nil {
		return nil, err
	}
	var before evidence.Isolation
	if s.stage.Deployed() { // deployedNotes says it
		return nil, nil
	}
	done, err := t.Result("stage", &before)
	if err != nil {
		return nil, err
	}
	if why == "" {
		proof, asked, err := s.stage.Prove(ctx, s.New)
		if p := problem.From(err); !asked || err != nil && (p == nil || p.Code != problem.Blocked) {
			return nil, err
		}
		proof = proof.With(before)
		return &proof, nil
	}
	if !done || s.stage.Settings.Data == nil {
		return nil, nil
	}
	return &before, nil
}

// isolated is the note about what the stage could reach.
func isolated(s *set, i *evidence.Isolation) string {
	switch {
	case i != nil:
		return i.String()
	case s.stage.Settings.Data != nil:
		return "not isolated: the rehearsal did not get there"
	}
	return "not isolated: what runs on the stage can reach the network"
}

// statements are the evidence of a report. "start" is no check that a gate could demand, so it is in the report alone.
func statements(rep evidence.Report, s *set) []evidence.Statement {
	var out []evidence.Statement
	for _, result := range rep.Results {
		if result.Check == "start" {
			continue
		}
		if result.Migration != nil { // the report has all of it
			brief := result.Migration.Brief()
			result.Migration = &brief
		}
		out = append(out, evidence.Statement{
			ID: rep.Run + "/" + result.Check, App: rep.App, Release: rep.Release, Environment: rep.Stage, Run: rep.Run,
			Policy: rep.Policy, Baseline: rep.Baseline, DependsOn: dependsOn(s, result.Check), Snapshot: rep.Snapshot, Result: result,
		})
	}
	return out
}

func dependsOn(s *set, check string) []release.Part {
	for _, c := range s.New.Contents.Checks {
		if c.Name != check || len(c.DependsOn) == 0 {
			continue
		}
		parts := make([]release.Part, len(c.DependsOn))
		for i, p := range c.DependsOn {
			parts[i] = release.Part(p)
		}
		return parts
	}
	return release.Parts
}
