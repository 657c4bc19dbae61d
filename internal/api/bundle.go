package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"greenroom/internal/problem"
)

// A bundle travels as it is, a tar archive, and is never held in memory. Behind it come trailers (RFC 9110, section 6.5):
// its digest when it is complete, a problem when it could not be finished. Without either it was cut off.
const (
	tarType        = "application/x-tar"
	trailerDigest  = "Greenroom-Sha256"
	trailerProblem = "Greenroom-Problem"
)

// download registers an operation that sends an archive.
func download[I any](s *server, op huma.Operation, f func(context.Context, *I) (io.ReadCloser, error)) {
	op.Responses["200"] = &huma.Response{
		Description: "A tar archive; the trailer " + trailerDigest + " follows when it is complete",
		Content:     map[string]*huma.MediaType{tarType: {}},
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		bundle, err := f(ctx, in)
		if err != nil {
			return nil, s.failed(op.OperationID, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			err := sendBundle(w, bundle)
			if err = errors.Join(err, bundle.Close()); err != nil && ctx.Err() == nil {
				sendTrailerProblem(w, s.failed(op.OperationID, err))
			}
		}}, nil
	})
}

// sendBundle sends all of it, and then its digest.
func sendBundle(w http.ResponseWriter, bundle io.Reader) error {
	w.Header().Set("Content-Type", tarType)
	w.Header().Set("Trailer", trailerDigest+", "+trailerProblem)
	w.WriteHeader(http.StatusOK)
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), bundle); err != nil {
		return err
	}
	w.Header().Set(trailerDigest, hex.EncodeToString(sum.Sum(nil)))
	return nil
}

// sendTrailerProblem tells why a bundle ends here. JSON has no control characters, so it fits into a header.
func sendTrailerProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Del(trailerDigest)
	b, err := json.Marshal(p)
	if err != nil {
		return // the missing digest says enough
	}
	w.Header().Set(trailerProblem, string(b))
}

// Bundle implements Backend. Reading to its end tells whether it is complete: io.EOF comes only then.
func (c *Client) Bundle(ctx context.Context, app, release string) (io.ReadCloser, error) {
	return c.receive(ctx, inAppPath(app, "/bundle"), url.Values{"release": {release}})
}

// StateBackup implements Backend. As with Bundle, io.EOF comes only behind the last byte.
func (c *Client) StateBackup(ctx context.Context) (io.ReadCloser, error) {
	return c.receive(ctx, "/state", nil)
}

func (c *Client) receive(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	res, err := c.send(ctx, http.MethodGet, path, query, "", nil) //nolint:bodyclose // who reads the archive closes it
	if err != nil {
		return nil, err
	}
	return &received{ctx: ctx, res: res, sum: sha256.New()}, nil
}

// received is a bundle on its way in.
type received struct {
	ctx context.Context
	res *http.Response
	sum hash.Hash
}

// Read is io.Reader's. A bundle that was cut off ends with an error, never with io.EOF.
func (r *received) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, problem.From(err)
	}
	n, err := r.res.Body.Read(p)
	_, _ = r.sum.Write(p[:n]) // a hash takes everything
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF: //nolint:errorlint // io.Reader's contract
		return n, r.end()
	case r.ctx.Err() != nil:
		return n, problem.From(r.ctx.Err())
	default:
		return n, lost(err)
	}
}

// end is io.EOF when what came is all.
func (r *received) end() error {
	if told := r.res.Trailer.Get(trailerProblem); told != "" {
		var p Problem
		if err := json.Unmarshal([]byte(told), &p); err != nil {
			return unreadable(err)
		}
		return fromWire(p)
	}
	if r.res.Trailer.Get(trailerDigest) != hex.EncodeToString(r.sum.Sum(nil)) {
		return lost(io.ErrUnexpectedEOF)
	}
	return io.EOF
}

// Close is io.Closer's.
func (r *received) Close() error { return r.res.Body.Close() }

// takeInput gets hold of the request, so that the bundle is read as a stream.
type takeInput struct {
	App     string `path:"app"`
	request *http.Request
}

// Resolve is called by huma before the handler.
func (in *takeInput) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, maxInfo+maxLayout)
	in.request = r
	return nil
}

// archiveOperation describes a route that takes an archive. Its body is read by the backend; without a schema huma leaves
// it alone.
func (s *server) archiveOperation(name, path, summary, body string) huma.Operation {
	op := s.operation(name, http.MethodPost, path, summary)
	op.RequestBody = &huma.RequestBody{Description: body, Required: true, Content: map[string]*huma.MediaType{tarType: {}}}
	return op
}

// Take implements Backend.
func (c *Client) Take(ctx context.Context, app string, bundle io.Reader) (Taken, error) {
	return upload[Taken](ctx, c, inAppPath(app, "/bundles"), tarType, func(w io.Writer) error {
		_, err := io.Copy(w, bundle)
		return err
	})
}

// upload sends what write writes. When it returns, write has ended and nothing reads the caller's files any more, unless ctx
// has ended: what is read then may be a terminal or a pipe in which nothing ever comes.
func upload[T any](ctx context.Context, c *Client, path, contentType string, write func(io.Writer) error) (out T, err error) {
	body, pipe := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		pipe.CloseWithError(write(pipe))
	}()
	defer context.AfterFunc(ctx, func() { pipe.CloseWithError(ctx.Err()) })() // the request waits for what it reads, be it over or not
	res, err := c.send(ctx, http.MethodPost, path, nil, contentType, body)
	_ = body.Close() // ends the writer where the daemon did not want the rest
	select {
	case <-written:
	case <-ctx.Done():
	}
	if err != nil {
		return out, err
	}
	defer res.Body.Close() //nolint:errcheck // only read from
	return decode[T](ctx, res.Body)
}
