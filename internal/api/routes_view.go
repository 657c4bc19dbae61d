package api

import (
	"context"
	"net/http"

	"greenroom/internal/evidence"
	"greenroom/internal/mask"
)

type statusInput struct {
	App string `query:"app"`
}

type reportInput struct {
	App  string `path:"app"`
	Name string `query:"name" required:"true"`
}

type explainInput struct {
	App         string `path:"app"`
	Release     string `query:"release" required:"true"`
	Environment string `query:"environment" required:"true"`
}

type historyInput struct {
	App         string `path:"app"`
	Environment string `query:"environment"`
	Limit       int    `query:"limit" minimum:"0" maximum:"10000"`
	Before      int64  `query:"before" minimum:"0"`
}

type logsInput struct {
	App         string `path:"app"`
	Environment string `query:"environment" required:"true"`
	Service     string `query:"service"`
	Release     string `query:"release"`
	Tail        int    `query:"tail" minimum:"0"`
	Follow      bool   `query:"follow"`
}

type diffInput struct {
	App string `path:"app"`
	A   string `query:"a" required:"true"`
	B   string `query:"b" required:"true"`
}

type shapeInput struct {
	App         string `path:"app"`
	Environment string `query:"environment"`
}

func (s *server) registerViews() {
	b := s.backend
	route(s, s.operation("status", http.MethodGet, "/status", "How things stand"),
		func(ctx context.Context, in *statusInput) (StatusView, error) { return b.Status(ctx, in.App) })
	route(s, s.operation("report", http.MethodGet, "/apps/{app}/report", "The outcome of a rehearsal"),
		func(ctx context.Context, in *reportInput) (evidence.Report, error) {
			return b.Report(ctx, in.App, in.Name)
		})
	route(s, s.operation("explain", http.MethodGet, "/apps/{app}/explanation", "May it go, and if not, why not"),
		func(ctx context.Context, in *explainInput) (Explanation, error) {
			return b.Explain(ctx, in.App, in.Release, in.Environment)
		})
	route(s, s.operation("history", http.MethodGet, "/apps/{app}/history", "What was done, the newest first"),
		func(ctx context.Context, in *historyInput) ([]HistoryEntry, error) {
			return b.History(ctx, HistoryQuery{App: in.App, Environment: in.Environment, Limit: in.Limit, Before: in.Before})
		})
	stream(s, s.operation("logs", http.MethodGet, "/apps/{app}/logs", "What services printed"),
		func(ctx context.Context, in *logsInput) (Stream[LogLine], error) {
			return b.Logs(ctx, LogQuery{App: in.App, Environment: in.Environment, Service: in.Service,
				Release: in.Release, Tail: in.Tail, Follow: in.Follow})
		})
	route(s, s.operation("diff", http.MethodGet, "/apps/{app}/diff", "How two releases or environments differ"),
		func(ctx context.Context, in *diffInput) (DiffView, error) { return b.Diff(ctx, in.App, in.A, in.B) })
	route(s, s.operation("shape", http.MethodGet, "/apps/{app}/shape", "The structure of an environment's database"),
		func(ctx context.Context, in *shapeInput) (mask.Shape, error) {
			return b.Shape(ctx, in.App, in.Environment)
		})
}
