package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"greenroom/internal/driver"
	"greenroom/internal/human"
	"greenroom/internal/problem"
)

// How long the Engine may take. Its restart is waited for, and so is one that is busy; nobody waits for ever.
const (
	patience   = time.Minute      // while it is away
	answerTime = 30 * time.Second // for one answer that is no stream
	firstPause = 20 * time.Millisecond
	mostPause  = 500 * time.Millisecond
)

// engine is the Engine's API. What is asked with ask is asked again while the Engine is away, so all of it is idempotent.
type engine struct {
	*client.Client
	host  string
	ssh   *sshDialer // nil for one that is reached without
	log   *slog.Logger
	hurry time.Duration // all waiting is that much shorter: 1, but in tests
}

// dial makes a client for an Engine, and asks whether it is there.
func dial(host string, log *slog.Logger) (*engine, error) {
	e := &engine{host: host, log: log, hurry: 1}
	var options []client.Opt
	switch {
	case strings.HasPrefix(host, "ssh://"):
		var err error
		if e.ssh, err = newSSHDialer(host); err != nil {
			return nil, err
		}
		options = []client.Opt{client.WithHost("tcp://localhost"), client.WithDialContext(e.ssh.dial)} // a host for which no proxy is asked
	case strings.HasPrefix(host, "tcp://"): // DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say with whom
		options = []client.Opt{client.WithTLSClientConfigFromEnv(), client.WithHost(host)}
	case host != "":
		options = []client.Opt{client.WithHost(host)}
	}
	var err error
	if e.Client, err = client.New(options...); err != nil {
		return nil, problem.New(problem.Invalid, "%q is no address of an Engine: %w", host, err).
			WithHint("write it as in DOCKER_HOST: unix:///var/run/docker.sock, tcp://127.0.0.1:2375 or ssh://USER@HOST")
	}
	if e.ssh == nil {
		e.host = e.DaemonHost()
	}
	if err := e.there(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close gives back the connections.
func (e *engine) Close() error {
	err := e.Client.Close()
	if e.ssh != nil {
		e.ssh.close()
	}
	return err
}

// there says why there is no Engine that runs Linux containers.
func (e *engine) there() error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	ping, err := e.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return problem.New(problem.Unavailable, "the Docker Engine at %s does not answer", e.host).WithHint("look at it: systemctl status docker")
	case err != nil:
		return e.none(err)
	case ping.OSType != "" && ping.OSType != "linux":
		return problem.New(problem.Invalid, "the Engine at %s runs %s containers, and Greenroom runs Linux ones", e.host, ping.OSType)
	}
	return nil
}

// elsewhere says whether the Engine is asked at an address that is not this machine's. One that is asked here may be elsewhere all
// the same.
func (e *engine) elsewhere() bool {
	u, err := url.Parse(e.host)
	if err != nil || u.Scheme != "tcp" && u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ssh" {
		return false
	}
	address, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !address.IsLoopback())
}

// knows says whether the Engine speaks that version of its API.
func (e *engine) knows(version string) bool {
	return versions.GreaterThanOrEqualTo(e.ClientVersion(), version)
}

// none says that no Engine answers, in the words of the error that the client had.
func (e *engine) none(err error) error {
	var ssh *sshError
	if errors.As(err, &ssh) {
		return ssh.problem()
	}
	if strings.Contains(err.Error(), "permission denied") {
		return problem.New(problem.Unavailable, "this user may not speak to the Docker Engine at %s: %w", e.host, err).
			WithHint("run Greenroom as a user that may: as root, or as one of the group docker (which is as good as root)")
	}
	return problem.New(problem.Unavailable, "no Docker Engine answers at %s: %w", e.host, err).
		WithHint("start it: systemctl start docker; or name another: DOCKER_HOST=unix:///path/to/docker.sock")
}

// errHung says that the Engine took a question and did not answer it.
var errHung = silent{}

type silent struct{}

func (silent) Error() string { return "" }

// ask asks the Engine, within ctx and answerTime. While the Engine is away it waits for it as long as its patience lasts.
func (e *engine) ask(ctx context.Context, f func(context.Context) error) error {
	return e.within(ctx, answerTime, f)
}

func (e *engine) within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	began, pause := time.Now(), firstPause
	limit /= e.hurry
	for {
		one, cancel := context.WithTimeout(ctx, limit)
		err := f(one)
		hung := one.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case hung && errors.Is(err, context.DeadlineExceeded):
			return problem.New(problem.Unavailable, "the Docker Engine at %s did not answer within %s%w", e.host, human.Duration(limit), errHung).
				WithHint("look at it: systemctl status docker; older ones hang in the check of a container's health until they are restarted")
		case !away(err):
			return err
		case time.Since(began) > patience/e.hurry:
			return e.none(err)
		}
		if pause == firstPause {
			e.log.Warn("the Docker Engine is away, waiting for it", "host", e.host, "error", err)
		}
		if err := driver.Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, mostPause)
	}
}

// away says whether an error is that of an Engine that is not there now, or went in the midst of its answer.
func away(err error) bool {
	for _, cut := range []error{errGoing, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED} {
		if errors.Is(err, cut) {
			return true
		}
	}
	var ssh *sshError
	if errors.As(err, &ssh) {
		return true
	}
	if client.IsErrConnectionFailed(err) {
		return !strings.Contains(err.Error(), "permission denied")
	}
	// An Engine that is going down still answers, and what it says then is about itself.
	text := err.Error()
	return errdefs.IsUnavailable(err) || strings.Contains(text, "context canceled") || strings.Contains(text, "containerd: connection") ||
		strings.Contains(text, "transport is closing")
}

// errGoing says that the Engine goes down, and still answers those who were connected.
var errGoing = errors.New("it goes down")

// stayTime is how long an Engine that stays may take to answer somebody new.
const stayTime = 5 * time.Second

// stays is nil when the Engine takes up somebody new, which one that goes down does not. It has ended its containers by then,
// and that these have ended is not all there is to say of those that it starts again when it is back.
func (e *engine) stays(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stayTime/e.hurry)
	defer cancel()
	conn, err := e.Dialer()(ctx)
	if err != nil {
		return errGoing
	}
	defer conn.Close() //nolint:errcheck // it was asked
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, "HEAD /_ping HTTP/1.0\r\n\r\n"); err != nil {
		return errGoing
	}
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/"))); err != nil {
		return errGoing
	}
	return nil
}

// said is the Engine's own sentence, without what the client puts before it.
func said(err error) string {
	text := err.Error()
	for _, prefix := range []string{"Error response from daemon: ", "OCI runtime create failed: "} {
		if _, rest, ok := strings.Cut(text, prefix); ok {
			text = rest
		}
	}
	return driver.Printable(text, 500)
}

// failed is a problem for what the Engine refused.
func failed(err error, format string, args ...any) error {
	var p *problem.Error
	if errors.As(err, &p) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	what := fmt.Sprintf(format, args...)
	if strings.Contains(err.Error(), "no space left on device") {
		return problem.New(problem.Unavailable, "%s: the disk of the Docker Engine is full", what).
			WithHint("make room: docker system df shows what takes it")
	}
	return &problem.Error{Code: problem.Fail, Message: what + ": " + said(err), Err: err}
}
