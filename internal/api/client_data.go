package api

import (
	"context"
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

// RemoveCopy implements Backend.
func (c *Client) RemoveCopy(ctx context.Context, r CopyRequest) error {
	return c.tell(ctx, "/copies/removal", r)
}

// Database implements Backend.
func (c *Client) Database(ctx context.Context, app, environment string) (DatabaseView, error) {
	return call[DatabaseView](ctx, c, http.MethodGet, inAppPath(app, "/database"), url.Values{"environment": {environment}}, nil)
}
