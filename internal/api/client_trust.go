package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"greenroom/internal/evidence"
)

// Apply implements Backend.
func (c *Client) Apply(ctx context.Context, r Registration, dry bool) (Applied, error) {
	return call[Applied](ctx, c, http.MethodPost, "/policy", url.Values{"dry": {strconv.FormatBool(dry)}}, r)
}

// Evidence implements Backend.
func (c *Client) Evidence(ctx context.Context, app, release string) (EvidenceList, error) {
	return call[EvidenceList](ctx, c, http.MethodGet, inAppPath(app, "/evidence"), url.Values{"release": {release}}, nil)
}

// Standing implements Backend.
func (c *Client) Standing(ctx context.Context, app, environment string) ([]byte, error) {
	s, err := call[sealed](ctx, c, http.MethodGet, inAppPath(app, "/standing"), url.Values{"environment": {environment}}, nil)
	return s.Envelope, err
}

// TakeStanding implements Backend.
func (c *Client) TakeStanding(ctx context.Context, app string, envelope []byte) (StandingView, error) {
	return call[StandingView](ctx, c, http.MethodPost, inAppPath(app, "/standings"), nil, sealed{envelope})
}

// Keys implements Backend.
func (c *Client) Keys(ctx context.Context, app string) ([]KeyView, error) {
	return call[[]KeyView](ctx, c, http.MethodGet, "/keys", values("app", app), nil)
}

// RotateKey implements Backend.
func (c *Client) RotateKey(ctx context.Context, because string) (KeyView, error) {
	return call[KeyView](ctx, c, http.MethodPost, "/keys", nil, reason{because})
}

// RevokeKey implements Backend.
func (c *Client) RevokeKey(ctx context.Context, id evidence.KeyID, because string) (Revoked, error) {
	return call[Revoked](ctx, c, http.MethodPost, "/revocations", nil, revocation{id, because})
}

// Log implements Backend.
func (c *Client) Log(ctx context.Context, after int64) (Stream[evidence.Entry], error) {
	return follow[evidence.Entry](ctx, c, http.MethodGet, "/log", values("after", number(after)), nil)
}

// Anchor implements Backend.
func (c *Client) Anchor(ctx context.Context) (Anchor, error) {
	return call[Anchor](ctx, c, http.MethodGet, "/anchor", nil, nil)
}

// Review implements Backend.
func (c *Client) Review(ctx context.Context, run, because string) error {
	return c.tell(ctx, "/runs/"+url.PathEscape(run)+"/review", reason{because})
}
