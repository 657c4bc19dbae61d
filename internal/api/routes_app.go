package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"greenroom/internal/release"
)

type releasesInput struct {
	App   string `path:"app"`
	Limit int    `query:"limit" minimum:"0" maximum:"10000"`
}

type packedInput struct {
	App   string `path:"app"`
	Image string `query:"image" required:"true"`
}

type resolveInput struct {
	App  string `path:"app"`
	Name string `query:"name" required:"true"`
}

func (s *server) registerApps() {
	b := s.backend
	route(s, s.operation("version", http.MethodGet, "/version", "Who answers"),
		func(ctx context.Context, _ *none) (Version, error) { return b.Version(ctx) })
	route(s, s.operation("register", http.MethodPut, "/policy", "Make the policy of a definition the one in force"),
		func(ctx context.Context, in *body[Registration]) (Registered, error) { return b.Register(ctx, in.Body) })
	stream(s, s.operation("up", http.MethodPost, "/up", "Start environments"),
		func(ctx context.Context, in *body[EnvironmentsRequest]) (Stream[Event], error) {
			return b.Up(ctx, in.Body)
		})
	stream(s, s.operation("down", http.MethodPost, "/down", "Stop environments"),
		func(ctx context.Context, in *body[EnvironmentsRequest]) (Stream[Event], error) {
			return b.Down(ctx, in.Body)
		})
	act(s, s.operation("shutdown", http.MethodPost, "/shutdown", "End the control plane; environments go on"),
		func(ctx context.Context, _ *none) error { return b.Shutdown(ctx) })

	route(s, s.importOperation(),
		func(ctx context.Context, in *importInput) (ReleaseView, error) { return in.run(ctx, b) })
	route(s, s.operation("packed", http.MethodGet, "/apps/{app}/packed", "What a container's image became in an earlier release"),
		func(ctx context.Context, in *packedInput) (release.Artifact, error) {
			return b.Packed(ctx, in.App, in.Image)
		})
	route(s, s.operation("releases", http.MethodGet, "/apps/{app}/releases", "An app's releases, the newest first"),
		func(ctx context.Context, in *releasesInput) ([]ReleaseView, error) {
			return b.Releases(ctx, in.App, in.Limit)
		})
	route(s, s.operation("resolve", http.MethodGet, "/apps/{app}/release", "The release that a name means"),
		func(ctx context.Context, in *resolveInput) (ReleaseView, error) {
			return b.Resolve(ctx, in.App, in.Name)
		})
}

// importOperation describes the route that takes a release. Its body is read by importInput, not by huma, which would
// hold all of it in memory; without a schema huma leaves it alone.
func (s *server) importOperation() huma.Operation {
	op := s.operation("import", http.MethodPost, "/releases", "Take a finished release")
	op.RequestBody = &huma.RequestBody{
		Description: `Two parts: "info", a ReleaseInfo, then "layout", an OCI image layout as a tar archive`,
		Required:    true,
		Content:     map[string]*huma.MediaType{"multipart/form-data": {}},
	}
	return op
}
