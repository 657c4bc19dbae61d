package api

import (
	"context"
	"net/http"
)

type copiesInput struct {
	App         string   `path:"app"`
	Environment string   `query:"environment"`
	Kind        CopyKind `query:"kind" required:"true"`
}

type databaseInput struct {
	App         string `path:"app"`
	Environment string `query:"environment" required:"true"`
}

func (s *server) registerData() {
	b := s.backend
	route(s, s.operation("copies", http.MethodGet, "/apps/{app}/copies", "Snapshots or backups, the newest first"),
		func(ctx context.Context, in *copiesInput) ([]CopyView, error) {
			return b.Copies(ctx, in.App, in.Environment, in.Kind)
		})
	stream(s, s.operation("take-copy", http.MethodPost, "/copies", "Take a snapshot or a backup"),
		func(ctx context.Context, in *body[CopyRequest]) (Stream[Event], error) {
			return b.TakeCopy(ctx, in.Body)
		})
	stream(s, s.operation("verify-copy", http.MethodPost, "/copies/verification", "Restore a copy and count it"),
		func(ctx context.Context, in *body[CopyRequest]) (Stream[Event], error) {
			return b.VerifyCopy(ctx, in.Body)
		})
	act(s, s.operation("remove-copy", http.MethodPost, "/copies/removal", "Remove a copy"),
		func(ctx context.Context, in *body[CopyRequest]) error { return b.RemoveCopy(ctx, in.Body) })
	route(s, s.operation("database", http.MethodGet, "/apps/{app}/database", "What a database is, and what to do"),
		func(ctx context.Context, in *databaseInput) (DatabaseView, error) {
			return b.Database(ctx, in.App, in.Environment)
		})
}
