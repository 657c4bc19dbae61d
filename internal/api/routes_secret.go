package api

import (
	"bytes"
	"context"
	"net/http"
)

type inSecret struct {
	App         string `path:"app"`
	Environment string `path:"environment"`
	Name        string `path:"name"`
}

// secretInput has the value as raw bytes: huma neither parses nor validates it, so no error can echo it.
type secretInput struct {
	App         string `path:"app"`
	Environment string `path:"environment"`
	Name        string `path:"name"`
	RawBody     []byte `contentType:"application/octet-stream"`
}

type secretsInput struct {
	App         string `path:"app"`
	Environment string `query:"environment"`
}

func (s *server) registerSecrets() {
	b := s.backend
	const path = "/apps/{app}/environments/{environment}/secrets/{name}"
	act(s, s.operation("set-secret", http.MethodPut, path, "Keep a secret's value, the body"),
		func(ctx context.Context, in *secretInput) error {
			defer clear(in.RawBody) // huma uses the buffer again, for somebody else's request
			return b.SecretSet(ctx, SecretName{App: in.App, Environment: in.Environment, Name: in.Name}, bytes.Clone(in.RawBody))
		})
	route(s, s.operation("secrets", http.MethodGet, "/apps/{app}/secrets", "Which secrets there are, without values"),
		func(ctx context.Context, in *secretsInput) ([]SecretView, error) {
			return b.SecretList(ctx, in.App, in.Environment)
		})
	act(s, s.operation("remove-secret", http.MethodDelete, path, "Forget a secret's value"),
		func(ctx context.Context, in *inSecret) error {
			return b.SecretRemove(ctx, SecretName{App: in.App, Environment: in.Environment, Name: in.Name})
		})
}
