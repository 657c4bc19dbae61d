package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

// Copies implements Backend.
func (c *Client) Copies(ctx context.Context, app, environment string, kind CopyKind) ([]CopyView, error) {
	return call[[]CopyView](ctx, c, http.MethodGet, inAppPath(app, "/copies"), values("environment", environment, "kind", string(kind)), nil)
}

// TakeCopy implements Backend.
func (c *Client) TakeCopy(ctx context.Context, r CopyRequest) (Stream[Event], error) {
	return follow[Event](ctx, c, http.MethodPost, "/copies", nil, r)
}

// VerifyCopy implements Backend.
func (c *Client) VerifyCopy(ctx context.Context, r CopyRequest) (Stream[Event], error) {
	return follow[Event](ctx, c, http.MethodPost, "/copies/verification", nil, r)
}

// ExportCopy implements Backend. As with Bundle, io.EOF comes only behind the last byte.
func (c *Client) ExportCopy(ctx context.Context, r CopyRequest) (io.ReadCloser, error) {
	return c.receive(ctx, inAppPath(r.App, "/copies/archive"), values("environment", r.Environment, "kind", string(r.Kind), "id", r.ID))
}

// ImportCopy implements Backend.
func (c *Client) ImportCopy(ctx context.Context, app string, archive io.Reader) (CopyView, error) {
	return upload[CopyView](ctx, c, inAppPath(app, "/copies"), tarType, func(w io.Writer) error {
		_, err := io.Copy(w, archive)
		return err
	})
}

// RemoveCopy implements Backend.
func (c *Client) RemoveCopy(ctx context.Context, r CopyRequest) error {
	return c.tell(ctx, "/copies/removal", r)
}

// Database implements Backend.
func (c *Client) Database(ctx context.Context, app, environment string) (DatabaseView, error) {
	return call[DatabaseView](ctx, c, http.MethodGet, inAppPath(app, "/database"), url.Values{"environment": {environment}}, nil)
}
