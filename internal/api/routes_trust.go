package api

import (
	"context"
	"io"
	"net/http"

	"greenroom/internal/evidence"
)

type applyInput struct {
	Dry  bool `query:"dry"`
	Body Registration
}

type evidenceInput struct {
	App     string `path:"app"`
	Release string `query:"release" required:"true"`
}

type standingInput struct {
	App         string `path:"app"`
	Environment string `query:"environment" required:"true"`
}

type takeStandingInput struct {
	App  string `path:"app"`
	Body sealed
}

// sealed is an envelope on its way: byte for byte, so not as the JSON that it is.
type sealed struct {
	Envelope []byte `json:"envelope"`
}

type keysInput struct {
	App string `query:"app"`
}

// reason is why somebody does what he asks for.
type reason struct {
	Because string `json:"because"`
}

type revocation struct {
	Key     evidence.KeyID `json:"key"`
	Because string         `json:"because"`
}

type logInput struct {
	After int64 `query:"after" minimum:"0"`
}

type reviewInput struct {
	ID   string `path:"id"`
	Body reason
}

func (s *server) registerTrust() {
	b := s.backend
	route(s, s.operation("apply", http.MethodPost, "/policy", "Make the policy of a definition the one in force, or tell what that would change"),
		func(ctx context.Context, in *applyInput) (Applied, error) { return b.Apply(ctx, in.Body, in.Dry) })
	route(s, s.operation("evidence", http.MethodGet, "/apps/{app}/evidence", "Everything that is signed about a release"),
		func(ctx context.Context, in *evidenceInput) (EvidenceList, error) {
			return b.Evidence(ctx, in.App, in.Release)
		})
	route(s, s.operation("standing", http.MethodGet, "/apps/{app}/standing", "What an environment is, signed"),
		func(ctx context.Context, in *standingInput) (sealed, error) {
			envelope, err := b.Standing(ctx, in.App, in.Environment)
			return sealed{envelope}, err
		})
	route(s, s.operation("take-standing", http.MethodPost, "/apps/{app}/standings", "Take what another Greenroom says of an environment"),
		func(ctx context.Context, in *takeStandingInput) (StandingView, error) {
			return b.TakeStanding(ctx, in.App, in.Body.Envelope)
		})
	route(s, s.operation("keys", http.MethodGet, "/keys", "The keys that are known"),
		func(ctx context.Context, in *keysInput) ([]KeyView, error) { return b.Keys(ctx, in.App) })
	route(s, s.operation("rotate-key", http.MethodPost, "/keys", "Make a new key this Greenroom's own"),
		func(ctx context.Context, in *body[reason]) (KeyView, error) { return b.RotateKey(ctx, in.Body.Because) })
	route(s, s.operation("revoke-key", http.MethodPost, "/revocations", "Let nothing of a key count any more"),
		func(ctx context.Context, in *body[revocation]) (Revoked, error) {
			return b.RevokeKey(ctx, in.Body.Key, in.Body.Because)
		})
	bulk(s, s.operation("log", http.MethodGet, "/log", "All entries of the log, as they were signed"),
		func(ctx context.Context, in *logInput) (Stream[evidence.Entry], error) { return b.Log(ctx, in.After) })
	route(s, s.operation("anchor", http.MethodGet, "/anchor", "The log's head, signed"),
		func(ctx context.Context, _ *none) (Anchor, error) { return b.Anchor(ctx) })
	act(s, s.operation("review", http.MethodPost, "/runs/{id}/review", "Say that somebody has looked at a gate's no that was overridden"),
		func(ctx context.Context, in *reviewInput) error { return b.Review(ctx, in.ID, in.Body.Because) })

	download(s, s.operation("bundle", http.MethodGet, "/apps/{app}/bundle", "A release with its artifacts and its evidence"),
		func(ctx context.Context, in *evidenceInput) (io.ReadCloser, error) {
			return b.Bundle(ctx, in.App, in.Release)
		})
	download(s, s.operation("state-backup", http.MethodGet, "/state", "Everything with which another machine can take over"),
		func(ctx context.Context, _ *none) (io.ReadCloser, error) { return b.StateBackup(ctx) })
	route(s, s.archiveOperation("take", "/apps/{app}/bundles", "Take a release with its evidence",
		"An OCI image layout as a tar archive, as the route bundle gives it"),
		func(ctx context.Context, in *takeInput) (Taken, error) { return b.Take(ctx, in.App, in.request.Body) })
}
