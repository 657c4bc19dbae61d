package rehearsal

import (
	"context"

	"greenroom/internal/environment"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// masking is the mask's rules and the shape that they were for, before the new release migrates; nil where the stage's data
// is no copy of anybody's.
type masking struct {
	outlook mask.Outlook
	rules   mask.Rules
	before  mask.Shape
}

// maskBefore looks at what the rules fit while nothing has changed. That it can't be read is told, and keeps nobody from
// rehearsing.
func (r *Rehearsals) maskBefore(ctx context.Context, s *set) (*masking, error) {
	from := s.stage.Settings.Data
	if from == nil || s.New.Contents.Database == nil {
		return nil, nil
	}
	m := &masking{outlook: mask.Outlook{File: from.Mask, From: from.From}, rules: from.Rules}
	if !s.HasOld || s.Old.Contents.Database == nil {
		return m, nil
	}
	var err error
	m.before, err = shapeOf(ctx, s.stage, s.Old, &m.outlook)
	return m, err
}

// after is how the rules fit what the migration made; nil where there is nothing to tell.
func (m *masking) after(ctx context.Context, t *run.Task, s *set) (*mask.Outlook, error) {
	if m == nil {
		return nil, nil
	}
	shape, err := shapeOf(ctx, s.stage, s.New, &m.outlook)
	if err != nil {
		return nil, err
	}
	o := m.outlook
	if o.Unknown == "" {
		o = mask.Ahead(m.rules, m.before, shape)
		o.File, o.From = m.outlook.File, m.outlook.From
	}
	if o.Empty() {
		return nil, nil
	}
	for _, said := range o.Says() {
		t.Progress("%s", said)
	}
	return &o, nil
}

// shapeOf reads the stage's shape, or notes why it can't be read.
func shapeOf(ctx context.Context, stage *environment.Environment, with release.Release, o *mask.Outlook) (mask.Shape, error) {
	shape, err := stage.Shape(ctx, with)
	if err != nil && ctx.Err() == nil {
		o.Unknown, err = problem.From(err).Message, nil
	}
	return shape, err
}

// maskAhead is what the step of the migration found of the mask; nil for nothing, or where it did not come to its end.
func maskAhead(t *run.Task) (*mask.Outlook, error) {
	var m Migrated
	_, err := t.Result(CheckMigration, &m)
	return m.Mask, err
}
