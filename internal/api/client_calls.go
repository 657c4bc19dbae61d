package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"

	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/release"
)

func inAppPath(app, rest string) string { return "/apps/" + url.PathEscape(app) + rest }

// Version implements Backend.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return call[Version](ctx, c, http.MethodGet, "/version", nil, nil)
}

// Register implements Backend.
func (c *Client) Register(ctx context.Context, r Registration) (Registered, error) {
	return call[Registered](ctx, c, http.MethodPut, "/policy", nil, r)
}

// Up implements Backend.
func (c *Client) Up(ctx context.Context, r EnvironmentsRequest) (Stream[Event], error) {
	return follow[Event](ctx, c, http.MethodPost, "/up", nil, r)
}

// Down implements Backend.
func (c *Client) Down(ctx context.Context, r EnvironmentsRequest) (Stream[Event], error) {
	return follow[Event](ctx, c, http.MethodPost, "/down", nil, r)
}

// Import implements Backend.
func (c *Client) Import(ctx context.Context, info ReleaseInfo, layout io.Reader) (ReleaseView, error) {
	boundary := multipart.NewWriter(nil).Boundary()
	return upload[ReleaseView](ctx, c, "/releases", "multipart/form-data; boundary="+boundary, func(w io.Writer) error {
		form := multipart.NewWriter(w)
		return errors.Join(form.SetBoundary(boundary), writeImport(form, info, layout))
	})
}

// Packed implements Backend.
func (c *Client) Packed(ctx context.Context, app, image string) (release.Artifact, error) {
	return call[release.Artifact](ctx, c, http.MethodGet, inAppPath(app, "/packed"), url.Values{"image": {image}}, nil)
}

// Releases implements Backend.
func (c *Client) Releases(ctx context.Context, app string, limit int) ([]ReleaseView, error) {
	return call[[]ReleaseView](ctx, c, http.MethodGet, inAppPath(app, "/releases"), values("limit", number(int64(limit))), nil)
}

// Resolve implements Backend.
func (c *Client) Resolve(ctx context.Context, app, name string) (ReleaseView, error) {
	return call[ReleaseView](ctx, c, http.MethodGet, inAppPath(app, "/release"), url.Values{"name": {name}}, nil)
}

// Plan implements Backend.
func (c *Client) Plan(ctx context.Context, r RunRequest) (PlanView, error) {
	return call[PlanView](ctx, c, http.MethodPost, "/plans", nil, r)
}

// Start implements Backend.
func (c *Client) Start(ctx context.Context, r RunRequest) (RunView, error) {
	return call[RunView](ctx, c, http.MethodPost, "/runs", nil, r)
}

// Run implements Backend.
func (c *Client) Run(ctx context.Context, id string) (RunView, error) {
	return call[RunView](ctx, c, http.MethodGet, "/runs/"+url.PathEscape(id), nil, nil)
}

// Events implements Backend.
func (c *Client) Events(ctx context.Context, id string, after int64) (Stream[Event], error) {
	return follow[Event](ctx, c, http.MethodGet, "/runs/"+url.PathEscape(id)+"/events",
		values("after", number(after)), nil)
}

// Cancel implements Backend.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "/runs/"+url.PathEscape(id)+"/cancel")
}

// Report implements Backend.
func (c *Client) Report(ctx context.Context, app, name string) (evidence.Report, error) {
	return call[evidence.Report](ctx, c, http.MethodGet, inAppPath(app, "/report"), url.Values{"name": {name}}, nil)
}

// Explain implements Backend.
func (c *Client) Explain(ctx context.Context, app, release, environment string) (Explanation, error) {
	return call[Explanation](ctx, c, http.MethodGet, inAppPath(app, "/explanation"),
		url.Values{"release": {release}, "environment": {environment}}, nil)
}

// Status implements Backend.
func (c *Client) Status(ctx context.Context, app string) (StatusView, error) {
	return call[StatusView](ctx, c, http.MethodGet, "/status", values("app", app), nil)
}

// History implements Backend.
func (c *Client) History(ctx context.Context, q HistoryQuery) ([]HistoryEntry, error) {
	return call[[]HistoryEntry](ctx, c, http.MethodGet, inAppPath(q.App, "/history"), values("environment", q.Environment,
		"limit", number(int64(q.Limit)), "before", number(q.Before)), nil)
}

// Logs implements Backend.
func (c *Client) Logs(ctx context.Context, q LogQuery) (Stream[LogLine], error) {
	return follow[LogLine](ctx, c, http.MethodGet, inAppPath(q.App, "/logs"), values("environment", q.Environment,
		"service", q.Service, "release", q.Release, "tail", number(int64(q.Tail)), "follow", strconv.FormatBool(q.Follow)), nil)
}

// Diff implements Backend.
func (c *Client) Diff(ctx context.Context, app, a, b string) (DiffView, error) {
	return call[DiffView](ctx, c, http.MethodGet, inAppPath(app, "/diff"), url.Values{"a": {a}, "b": {b}}, nil)
}

// Shape implements Backend.
func (c *Client) Shape(ctx context.Context, app, environment string) (mask.Shape, error) {
	return call[mask.Shape](ctx, c, http.MethodGet, inAppPath(app, "/shape"), values("environment", environment), nil)
}

func secretPath(s SecretName) string {
	return inAppPath(s.App, "/environments/"+url.PathEscape(s.Environment)+"/secrets/"+url.PathEscape(s.Name))
}

// SecretSet implements Backend.
func (c *Client) SecretSet(ctx context.Context, s SecretName, value []byte) error {
	res, err := c.send(ctx, http.MethodPut, secretPath(s), nil, "application/octet-stream", bytes.NewReader(value))
	if err != nil {
		return err
	}
	_ = res.Body.Close() // empty
	return nil
}

// SecretList implements Backend.
func (c *Client) SecretList(ctx context.Context, app, environment string) ([]SecretView, error) {
	return call[[]SecretView](ctx, c, http.MethodGet, inAppPath(app, "/secrets"), values("environment", environment), nil)
}

// SecretRemove implements Backend.
func (c *Client) SecretRemove(ctx context.Context, s SecretName) error {
	return c.do(ctx, http.MethodDelete, secretPath(s))
}

// Shutdown implements Backend.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/shutdown")
}
