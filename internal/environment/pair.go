package environment

import (
	"context"

	"greenroom/internal/app"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// Pair is what a run is about: the policy in force, the release that comes, and the one that was there when the plan was
// made.
type Pair struct {
	Policy app.Policy
	New    release.Release
	Old    release.Release
	HasOld bool
}

// Pair reads what a plan is about.
func (w *World) Pair(ctx context.Context, p plan.Plan) (Pair, error) {
	a, err := w.Store.App(ctx, p.App)
	if err != nil {
		return Pair{}, err
	}
	out := Pair{Policy: a.Policy, HasOld: p.From != ""}
	if out.New, err = w.Release(ctx, p.Release); err != nil || !out.HasOld {
		return out, err
	}
	out.Old, err = w.Release(ctx, p.From)
	return out, err
}
