package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"greenroom/internal/problem"
)

// answerTime is how long the client waits for the beginning of an answer once its request is sent.
const answerTime = 2 * time.Minute

// Client is the daemon, seen from another process. Its errors are problems, with the codes that the daemon gave them.
// A daemon that is not there is Unavailable. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	version string
}

var _ Backend = (*Client)(nil)

// Dial connects to the daemon on that socket and makes sure that both speak the same protocol. version is this
// program's. Close lets go of the connections.
func Dial(ctx context.Context, socket, version string) (*Client, error) {
	c := newClient(socket, version)
	if _, err := c.Version(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// newClient is a client that has not spoken yet.
func newClient(socket, version string) *Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &Client{version: version, http: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
			DisableCompression:    true,
			ResponseHeaderTimeout: answerTime,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close lets go of the client's idle connections. Streams that are being read go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// send makes a request and returns the answer when it is a good one. The caller closes its body.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, contentType string, body io.Reader) (*http.Response, error) {
	u := "http://greenroom/v1" + path // the host is only a form: the transport dials the socket
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, problem.New(problem.Invalid, "the request could not be made: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set(headerAPI, strconv.Itoa(Protocol))
	req.Header.Set(headerVersion, c.version)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	if err := checkProtocol(res.Header, "the Greenroom that runs", "this command"); err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	if res.StatusCode/100 != 2 {
		p := readProblem(res.StatusCode, res.Body)
		_ = res.Body.Close() // read to its end already
		return nil, p
	}
	return res, nil
}

// unreachable says why there is no answer.
func unreachable(ctx context.Context, err error) error {
	var p *problem.Error
	var timeout net.Error
	switch {
	case errors.As(err, &p): // the body of the request could not be produced
		return p
	case ctx.Err() != nil:
		return problem.From(ctx.Err())
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return notRunning(err)
	case errors.Is(err, fs.ErrPermission):
		return &problem.Error{Code: problem.Blocked, Message: "you may not use the Greenroom that runs here", Err: err,
			Hint: "ask its owner, or start your own: greenroom --home FOLDER up"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &problem.Error{Code: problem.Unavailable, Message: "Greenroom did not answer in time", Hint: "greenroom status", Err: err}
	default:
		return lost(err)
	}
}

// notRunning says that no daemon is there.
func notRunning(err error) error {
	return &problem.Error{Code: problem.Unavailable, Message: "Greenroom is not running here", Hint: "greenroom up",
		Err: errors.Join(ErrNotRunning, err)}
}

// ErrNotRunning is in the chain of the error that says that no daemon is there.
var ErrNotRunning = errors.New("no daemon")

// call asks with in as JSON (nil: no body) and reads the answer into a T.
func call[T any](ctx context.Context, c *Client, method, path string, query url.Values, in any) (out T, err error) {
	res, err := c.sendJSON(ctx, method, path, query, in)
	if err != nil {
		return out, err
	}
	defer res.Body.Close() //nolint:errcheck // only read from
	return decode[T](ctx, res.Body)
}

func decode[T any](ctx context.Context, body io.Reader) (out T, err error) {
	if err := json.NewDecoder(body).Decode(&out); err != nil {
		if ctx.Err() != nil {
			return out, problem.From(ctx.Err())
		}
		return out, unreadable(err)
	}
	return out, nil
}

// do asks and expects no answer but that it was done.
func (c *Client) do(ctx context.Context, method, path string) error {
	res, err := c.send(ctx, method, path, nil, "", nil)
	if err != nil {
		return err
	}
	_ = res.Body.Close() // empty
	return nil
}

// tell asks for something that is answered with nothing.
func (c *Client) tell(ctx context.Context, path string, in any) error {
	res, err := c.sendJSON(ctx, http.MethodPost, path, nil, in)
	if err != nil {
		return err
	}
	_ = res.Body.Close() // empty
	return nil
}

// follow asks and reads a stream.
func follow[T any](ctx context.Context, c *Client, method, path string, query url.Values, in any) (Stream[T], error) {
	res, err := c.sendJSON(ctx, method, path, query, in) //nolint:bodyclose // the stream closes it at its end
	if err != nil {
		return nil, err
	}
	return readStream[T](res.Body), nil
}

func (c *Client) sendJSON(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	if in == nil {
		return c.send(ctx, method, path, query, "", nil)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil, problem.New(problem.Invalid, "the request could not be made: %w", err)
	}
	return c.send(ctx, method, path, query, "application/json", bytes.NewReader(b))
}

// values are query parameters of pairs, without the empty ones.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

// number is n as a parameter; 0 is left out, which means the default.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
