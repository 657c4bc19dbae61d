package rehearsal

import (
	"context"
	"fmt"
	"strings"

	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/run"
)

// Back is what the step of the way back found.
type Back struct {
	evidence.Result
	Back *migration.Back `json:"back,omitempty"`
}

// back gives the stage back to the old release and runs its journeys once more, now that the new one was used. Where the
// release brings a way down, that is tried as well, and the way up again after it.
func (r *Rehearsals) back(ctx context.Context, t *run.Task, s *set) (any, error) {
	if why, err := r.notStarted(t); err != nil || why != "" {
		return r.notRun(CheckRollback, why), err
	}
	if t.Attempt > 1 { // it may have been on its way down
		if m, err := s.stage.Migrate(ctx, s.New, t.Run, environment.Migrating{Tell: say(t)}); err != nil {
			return nil, err
		} else if m.Failed != "" {
			return r.notRun(CheckRollback, "the stage could not be made what it was before the interruption: "+m.Failed), nil
		}
	}
	if err := s.stage.Stop(ctx, s.New, s.own(s.New, stopFirst)); err != nil {
		return nil, err
	}
	if err := s.stage.Start(ctx, s.Old, stopFirst(s.Old), say(t)); err != nil {
		return nil, err
	}
	if err := s.stage.Route(ctx, r.both(s, 0)); err != nil {
		return nil, err
	}
	result, err := r.wentBack(ctx, t, s)
	if err != nil {
		return nil, err
	}
	known, possible := result.GoBack != nil, result.GoBack != nil && *result.GoBack
	back, err := r.wayBack(ctx, t, s, possible)
	if err != nil {
		return nil, err
	}
	if back != nil && known && !possible && back.How == wayDown && back.Possible {
		result.Summary += "; its way down works"
	}
	return Back{result, back}, nil
}

// wentBack runs the old release's journeys, now that it answers again, and records whether one can go back.
func (r *Rehearsals) wentBack(ctx context.Context, t *run.Task, s *set) (evidence.Result, error) {
	result, err := r.journeys(ctx, t, s, CheckRollback)
	if err != nil {
		return result, err
	}
	known := len(Journeys(s.Old.Contents)) > 0
	possible := result.Verdict == evidence.Pass
	switch {
	case !known:
		result.Summary = "not known: no check of the old release is a journey"
	case possible:
		result.Summary = "one can go back: the old release's journeys pass after the new one was used"
	default:
		result.Summary = "one can't go back: " + result.Summary
	}
	if result.Verdict = evidence.Pass; known {
		result.GoBack = &possible
	}
	return result, nil
}

// The ways back.
const (
	wayAsItIs  = "the old release lives on the new schema"
	wayDown    = "the release's own way down"
	wayRestore = "the backup of before"
)

// wayBack finds out how one gets back, what that loses, and until when. It is nil where the schema stays as it is.
func (r *Rehearsals) wayBack(ctx context.Context, t *run.Task, s *set, lives bool) (*migration.Back, error) {
	changed, broken, err := r.schemaChanged(t)
	if err != nil || !changed || broken != "" {
		return nil, err
	}
	has, err := s.stage.HasWayDown(ctx, s.New, s.Old)
	if err != nil {
		return nil, err
	}
	back := &migration.Back{Possible: lives, How: wayAsItIs, Until: "until a later release changes the schema again"}
	if !lives {
		back.How, back.Until = wayRestore, "until its migration runs: after that a restore loses everything that was written since the backup"
	}
	if !has {
		return back, nil
	}
	down, err := r.goDown(ctx, t, s)
	if err != nil {
		return nil, err
	}
	if lives { // that is the better way; what the way down loses is told beside it
		back.Lost, back.Up = down.Lost, down.Up
		return back, nil
	}
	return down, nil
}

// goDown migrates down, has the old release's journeys run, and migrates up again.
func (r *Rehearsals) goDown(ctx context.Context, t *run.Task, s *set) (*migration.Back, error) {
	back := &migration.Back{How: wayDown}
	if err := s.stage.Stop(ctx, s.New, s.own(s.New, processes)); err != nil { // it can't live on what comes now
		return nil, err
	}
	used, err := s.stage.Census(ctx, s.New)
	if err != nil {
		return nil, err
	}
	t.Progress("the way down")
	m, err := s.stage.Migrate(ctx, s.New, t.Run, environment.Migrating{Back: &s.Old, Tell: say(t)})
	if err != nil {
		return nil, err
	}
	if m.Failed != "" {
		back.Until = "until its migration runs: its way down fails: " + m.Failed
		return back, nil
	}
	after, err := s.stage.Census(ctx, s.Old)
	if err != nil {
		return nil, err
	}
	before, err := s.stage.KeptCensus()
	if err != nil {
		return nil, err
	}
	loss := ", and what it loses is not known: the data could not be counted"
	if before != nil && used != nil && after != nil {
		back.Lost = migration.BoundedLosses(migration.CompareBack(*before, *used, *after))
		loss = loses(back.Lost)
	}
	journeys, err := r.journeys(ctx, t, s, CheckRollback)
	if err != nil {
		return nil, err
	}
	back.Possible = journeys.Verdict == evidence.Pass
	back.Until = "at any time" + loss
	if !back.Possible {
		back.Until = "until its migration runs: after its way down the old release's journeys do not pass: " + journeys.Summary
	}
	t.Progress("up again")
	up, err := s.stage.Migrate(ctx, s.New, t.Run, environment.Migrating{Tell: say(t)})
	if err != nil {
		return nil, err
	}
	back.Up = up.Failed == "" && up.After == m.Before
	return back, nil
}

func loses(lost []migration.Loss) string {
	if len(lost) == 0 {
		return ", and nothing is lost"
	}
	const most = 5
	words := make([]string, min(len(lost), most))
	for i := range words {
		words[i] = fmt.Sprintf("%s: %s", lost[i].Table, lost[i].Text)
	}
	if n := len(lost) - most; n > 0 {
		words = append(words, fmt.Sprintf("and %d more", n))
	}
	return ", and it loses what the new release wrote: " + strings.Join(words, "; ")
}
