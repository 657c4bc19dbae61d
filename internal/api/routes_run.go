package api

import (
	"context"
	"net/http"
)

type inRun struct {
	ID string `path:"id"`
}

type eventsInput struct {
	ID    string `path:"id"`
	After int64  `query:"after" minimum:"0"`
}

func (s *server) registerRuns() {
	b := s.backend
	route(s, s.operation("plan", http.MethodPost, "/plans", "What a run would do; writes nothing"),
		func(ctx context.Context, in *body[RunRequest]) (PlanView, error) { return b.Plan(ctx, in.Body) })
	route(s, s.operation("start", http.MethodPost, "/runs", "Queue a run"),
		func(ctx context.Context, in *body[RunRequest]) (RunView, error) { return b.Start(ctx, in.Body) })
	route(s, s.operation("run", http.MethodGet, "/runs/{id}", "A run, under way or ended"),
		func(ctx context.Context, in *inRun) (RunView, error) { return b.Run(ctx, in.ID) })
	stream(s, s.operation("events", http.MethodGet, "/runs/{id}/events", "What happens in a run, until its end"),
		func(ctx context.Context, in *eventsInput) (Stream[Event], error) {
			return b.Events(ctx, in.ID, in.After)
		})
	act(s, s.operation("cancel", http.MethodPost, "/runs/{id}/cancel", "Stop a run and take back what it did"),
		func(ctx context.Context, in *inRun) error { return b.Cancel(ctx, in.ID) })
}
