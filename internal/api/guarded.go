package api

import (
	"context"
	"io"

	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/release"
)

// Guarded is a Backend in front of b that asks g before each method, by the table rights. What g refuses, b never hears of.
func Guarded(b Backend, g Guard) Backend { return guarded{backend: b, guard: g} }

// guarded has the backend as a field and does not embed it: a method that is added to Backend must be written here too.
type guarded struct {
	backend Backend
	guard   Guard
}

// may asks about the rows of the table, in an app.
func (g guarded) may(ctx context.Context, name string, rows ...string) error {
	for _, row := range rows {
		if err := g.guard.May(ctx, right(row), name); err != nil {
			return err
		}
	}
	return nil
}

// mayRun asks about a row of the table, in a run's app.
func (g guarded) mayRun(ctx context.Context, run, row string) error {
	return g.guard.MayRun(ctx, right(row), run)
}

// allowed is a method with one result, once it may.
func allowed[T any](may error, do func() (T, error)) (out T, err error) {
	if may != nil {
		return out, may
	}
	return do()
}

func (g guarded) Version(ctx context.Context) (Version, error) {
	return allowed(g.may(ctx, "", "Version"), func() (Version, error) { return g.backend.Version(ctx) })
}

func (g guarded) Register(ctx context.Context, r Registration) (Registered, error) {
	return allowed(g.may(ctx, r.App, "Register"), func() (Registered, error) { return g.backend.Register(ctx, r) })
}

func (g guarded) Apply(ctx context.Context, r Registration, dry bool) (Applied, error) {
	row := "Apply"
	if dry {
		row = "Apply/dry"
	}
	return allowed(g.may(ctx, r.App, row), func() (Applied, error) { return g.backend.Apply(ctx, r, dry) })
}

// environmentsRow is the row for starting or stopping environments.
func environmentsRow(method string, r EnvironmentsRequest) string {
	switch {
	case r.Everything:
		return method + "/all"
	case r.Volumes:
		return method + "/data"
	}
	return method
}

func (g guarded) Up(ctx context.Context, r EnvironmentsRequest) (Stream[Event], error) {
	return allowed(g.may(ctx, r.App, environmentsRow("Up", r)), func() (Stream[Event], error) { return g.backend.Up(ctx, r) })
}

func (g guarded) Down(ctx context.Context, r EnvironmentsRequest) (Stream[Event], error) {
	return allowed(g.may(ctx, r.App, environmentsRow("Down", r)), func() (Stream[Event], error) { return g.backend.Down(ctx, r) })
}

func (g guarded) Import(ctx context.Context, info ReleaseInfo, layout io.Reader) (ReleaseView, error) {
	return allowed(g.may(ctx, info.App, "Import"), func() (ReleaseView, error) { return g.backend.Import(ctx, info, layout) })
}

func (g guarded) Packed(ctx context.Context, app, image string) (release.Artifact, error) {
	return allowed(g.may(ctx, app, "Packed"), func() (release.Artifact, error) { return g.backend.Packed(ctx, app, image) })
}

func (g guarded) Bundle(ctx context.Context, app, release string) (io.ReadCloser, error) {
	return allowed(g.may(ctx, app, "Bundle"), func() (io.ReadCloser, error) { return g.backend.Bundle(ctx, app, release) })
}

func (g guarded) Take(ctx context.Context, app string, bundle io.Reader) (Taken, error) {
	return allowed(g.may(ctx, app, "Take"), func() (Taken, error) { return g.backend.Take(ctx, app, bundle) })
}

func (g guarded) Releases(ctx context.Context, app string, limit int) ([]ReleaseView, error) {
	return allowed(g.may(ctx, app, "Releases"), func() ([]ReleaseView, error) { return g.backend.Releases(ctx, app, limit) })
}

func (g guarded) Resolve(ctx context.Context, app, name string) (ReleaseView, error) {
	return allowed(g.may(ctx, app, "Resolve"), func() (ReleaseView, error) { return g.backend.Resolve(ctx, app, name) })
}

func (g guarded) Plan(ctx context.Context, r RunRequest) (PlanView, error) {
	return allowed(g.may(ctx, r.App, "Plan"), func() (PlanView, error) { return g.backend.Plan(ctx, r) })
}

func (g guarded) Start(ctx context.Context, r RunRequest) (RunView, error) {
	return allowed(g.may(ctx, r.App, startRows(r)...), func() (RunView, error) { return g.backend.Start(ctx, r) })
}

func (g guarded) Run(ctx context.Context, id string) (RunView, error) {
	return allowed(g.mayRun(ctx, id, "Run"), func() (RunView, error) { return g.backend.Run(ctx, id) })
}

func (g guarded) Events(ctx context.Context, id string, after int64) (Stream[Event], error) {
	return allowed(g.mayRun(ctx, id, "Events"), func() (Stream[Event], error) { return g.backend.Events(ctx, id, after) })
}

func (g guarded) Cancel(ctx context.Context, id string) error {
	if err := g.mayRun(ctx, id, "Cancel"); err != nil {
		return err
	}
	return g.backend.Cancel(ctx, id)
}

func (g guarded) Report(ctx context.Context, app, name string) (evidence.Report, error) {
	return allowed(g.may(ctx, app, "Report"), func() (evidence.Report, error) { return g.backend.Report(ctx, app, name) })
}

func (g guarded) Explain(ctx context.Context, app, release, environment string) (Explanation, error) {
	return allowed(g.may(ctx, app, "Explain"), func() (Explanation, error) { return g.backend.Explain(ctx, app, release, environment) })
}

func (g guarded) Evidence(ctx context.Context, app, release string) (EvidenceList, error) {
	return allowed(g.may(ctx, app, "Evidence"), func() (EvidenceList, error) { return g.backend.Evidence(ctx, app, release) })
}

func (g guarded) Standing(ctx context.Context, app, environment string) ([]byte, error) {
	return allowed(g.may(ctx, app, "Standing"), func() ([]byte, error) { return g.backend.Standing(ctx, app, environment) })
}

func (g guarded) TakeStanding(ctx context.Context, app string, envelope []byte) (StandingView, error) {
	return allowed(g.may(ctx, app, "TakeStanding"), func() (StandingView, error) { return g.backend.TakeStanding(ctx, app, envelope) })
}

func (g guarded) Keys(ctx context.Context, app string) ([]KeyView, error) {
	return allowed(g.may(ctx, app, "Keys"), func() ([]KeyView, error) { return g.backend.Keys(ctx, app) })
}

func (g guarded) RotateKey(ctx context.Context, because string) (KeyView, error) {
	return allowed(g.may(ctx, "", "RotateKey"), func() (KeyView, error) { return g.backend.RotateKey(ctx, because) })
}

func (g guarded) RevokeKey(ctx context.Context, id evidence.KeyID, because string) (Revoked, error) {
	return allowed(g.may(ctx, "", "RevokeKey"), func() (Revoked, error) { return g.backend.RevokeKey(ctx, id, because) })
}

func (g guarded) Log(ctx context.Context, after int64) (Stream[evidence.Entry], error) {
	return allowed(g.may(ctx, "", "Log"), func() (Stream[evidence.Entry], error) { return g.backend.Log(ctx, after) })
}

func (g guarded) Anchor(ctx context.Context) (Anchor, error) {
	return allowed(g.may(ctx, "", "Anchor"), func() (Anchor, error) { return g.backend.Anchor(ctx) })
}

func (g guarded) Review(ctx context.Context, run, because string) error {
	if err := g.mayRun(ctx, run, "Review"); err != nil {
		return err
	}
	return g.backend.Review(ctx, run, because)
}

func (g guarded) Status(ctx context.Context, app string) (StatusView, error) {
	return allowed(g.may(ctx, app, "Status"), func() (StatusView, error) { return g.backend.Status(ctx, app) })
}

func (g guarded) History(ctx context.Context, q HistoryQuery) ([]HistoryEntry, error) {
	return allowed(g.may(ctx, q.App, "History"), func() ([]HistoryEntry, error) { return g.backend.History(ctx, q) })
}

func (g guarded) Logs(ctx context.Context, q LogQuery) (Stream[LogLine], error) {
	return allowed(g.may(ctx, q.App, "Logs"), func() (Stream[LogLine], error) { return g.backend.Logs(ctx, q) })
}

func (g guarded) Diff(ctx context.Context, app, a, b string) (DiffView, error) {
	return allowed(g.may(ctx, app, "Diff"), func() (DiffView, error) { return g.backend.Diff(ctx, app, a, b) })
}

func (g guarded) Shape(ctx context.Context, app, environment string) (mask.Shape, error) {
	return allowed(g.may(ctx, app, "Shape"), func() (mask.Shape, error) { return g.backend.Shape(ctx, app, environment) })
}

func (g guarded) SecretSet(ctx context.Context, s SecretName, value []byte) error {
	if err := g.may(ctx, s.App, "SecretSet"); err != nil {
		return err
	}
	return g.backend.SecretSet(ctx, s, value)
}

func (g guarded) SecretList(ctx context.Context, app, environment string) ([]SecretView, error) {
	return allowed(g.may(ctx, app, "SecretList"), func() ([]SecretView, error) { return g.backend.SecretList(ctx, app, environment) })
}

func (g guarded) SecretRemove(ctx context.Context, s SecretName) error {
	if err := g.may(ctx, s.App, "SecretRemove"); err != nil {
		return err
	}
	return g.backend.SecretRemove(ctx, s)
}

func (g guarded) Copies(ctx context.Context, app, environment string, kind CopyKind) ([]CopyView, error) {
	return allowed(g.may(ctx, app, "Copies"), func() ([]CopyView, error) { return g.backend.Copies(ctx, app, environment, kind) })
}

func (g guarded) TakeCopy(ctx context.Context, r CopyRequest) (Stream[Event], error) {
	return allowed(g.may(ctx, r.App, "TakeCopy"), func() (Stream[Event], error) { return g.backend.TakeCopy(ctx, r) })
}

func (g guarded) VerifyCopy(ctx context.Context, r CopyRequest) (Stream[Event], error) {
	return allowed(g.may(ctx, r.App, "VerifyCopy"), func() (Stream[Event], error) { return g.backend.VerifyCopy(ctx, r) })
}

func (g guarded) ExportCopy(ctx context.Context, r CopyRequest) (io.ReadCloser, error) {
	return allowed(g.may(ctx, r.App, "ExportCopy"), func() (io.ReadCloser, error) { return g.backend.ExportCopy(ctx, r) })
}

func (g guarded) ImportCopy(ctx context.Context, app string, archive io.Reader) (CopyView, error) {
	return allowed(g.may(ctx, app, "ImportCopy"), func() (CopyView, error) { return g.backend.ImportCopy(ctx, app, archive) })
}

func (g guarded) RemoveCopy(ctx context.Context, r CopyRequest) error {
	if err := g.may(ctx, r.App, "RemoveCopy"); err != nil {
		return err
	}
	return g.backend.RemoveCopy(ctx, r)
}

func (g guarded) Database(ctx context.Context, app, environment string) (DatabaseView, error) {
	return allowed(g.may(ctx, app, "Database"), func() (DatabaseView, error) { return g.backend.Database(ctx, app, environment) })
}

func (g guarded) StateBackup(ctx context.Context) (io.ReadCloser, error) {
	return allowed(g.may(ctx, "", "StateBackup"), func() (io.ReadCloser, error) { return g.backend.StateBackup(ctx) })
}

func (g guarded) Shutdown(ctx context.Context) error {
	if err := g.may(ctx, "", "Shutdown"); err != nil {
		return err
	}
	return g.backend.Shutdown(ctx)
}
