package api

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type copiesInput struct {
	App         string   `path:"app"`
	Environment string   `query:"environment"`
	Kind        CopyKind `query:"kind" required:"true"`
}

type archiveInput struct {
	App         string   `path:"app"`
	Environment string   `query:"environment" required:"true"`
	Kind        CopyKind `query:"kind" required:"true"`
	ID          string   `query:"id" required:"true"`
}

// importCopyInput gets hold of the request, so that the archive is read as a stream. Its signed manifest bounds it.
type importCopyInput struct {
	App     string `path:"app"`
	request *http.Request
}

// Resolve is called by huma before the handler.
func (in *importCopyInput) Resolve(ctx huma.Context) []error {
	in.request, _ = humago.Unwrap(ctx)
	return nil
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
	download(s, s.operation("export-copy", http.MethodGet, "/apps/{app}/copies/archive", "A snapshot as one file, signed"),
		func(ctx context.Context, in *archiveInput) (io.ReadCloser, error) {
			return b.ExportCopy(ctx, CopyRequest{App: in.App, Environment: in.Environment, Kind: in.Kind, ID: in.ID})
		})
	route(s, s.archiveOperation("import-copy", "/apps/{app}/copies", "Take a snapshot that another Greenroom exported", "The archive that the route export-copy gives"),
		func(ctx context.Context, in *importCopyInput) (CopyView, error) {
			return b.ImportCopy(ctx, in.App, in.request.Body)
		})
	act(s, s.operation("remove-copy", http.MethodPost, "/copies/removal", "Remove a copy"),
		func(ctx context.Context, in *body[CopyRequest]) error { return b.RemoveCopy(ctx, in.Body) })
	route(s, s.operation("database", http.MethodGet, "/apps/{app}/database", "What a database is, and what to do"),
		func(ctx context.Context, in *databaseInput) (DatabaseView, error) {
			return b.Database(ctx, in.App, in.Environment)
		})
}
