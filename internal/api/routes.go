package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// output is an answer with a body of JSON.
type output[T any] struct{ Body T }

// none is an input without parameters, and an answer without a body.
type none struct{}

// body is an input that is JSON.
type body[T any] struct{ Body T }

// operation describes a route. Its name is its id in the OpenAPI document and in the log.
func (s *server) operation(name, method, path, summary string) huma.Operation {
	problems := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	return huma.Operation{
		OperationID: name, Method: method, Path: "/v1" + path, Summary: summary,
		MaxBodyBytes:    maxBody,
		BodyReadTimeout: -1, // patientBody does it; huma would leave its deadline behind
		Responses: map[string]*huma.Response{"default": {
			Description: "A problem",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problems}},
		}},
	}
}

// route registers an operation that answers with one value.
func route[I, T any](s *server, op huma.Operation, f func(context.Context, *I) (T, error)) {
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*output[T], error) {
		v, err := f(ctx, in)
		if err != nil {
			return nil, s.failed(op.OperationID, err)
		}
		return &output[T]{Body: v}, nil
	})
}

// act registers an operation that answers with nothing.
func act[I any](s *server, op huma.Operation, f func(context.Context, *I) error) {
	op.DefaultStatus = http.StatusNoContent
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*none, error) {
		if err := f(ctx, in); err != nil {
			return nil, s.failed(op.OperationID, err)
		}
		return nil, nil
	})
}

// stream registers an operation that answers with a stream, each item of which goes out when it comes.
func stream[I, T any](s *server, op huma.Operation, f func(context.Context, *I) (Stream[T], error)) {
	streamAt(s, op, f, atOnce)
}

// bulk registers an operation that answers with a stream of what is there already: it goes out in large pieces.
func bulk[I, T any](s *server, op huma.Operation, f func(context.Context, *I) (Stream[T], error)) {
	streamAt(s, op, f, inPieces)
}

func streamAt[I, T any](s *server, op huma.Operation, f func(context.Context, *I) (Stream[T], error), p pace) {
	item := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "Item")
	op.Responses["200"] = &huma.Response{
		Description: `Server-sent events: "item" with one of these as data, "problem" with a problem, "end" at the end`,
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: item}},
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		items, err := f(ctx, in)
		if err != nil {
			return nil, s.failed(op.OperationID, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			writeStream(hc.Context(), w, items, p)
		}}, nil
	})
}
