package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"greenroom/internal/problem"
)

// scheme is how a reference to a registry begins.
const scheme = "oci://"

// maxPages bounds how often a registry may say that there are more referrers.
const maxPages = 256

// target is a place in a registry.
type target struct {
	*remote.Repository
	transport *http.Transport
	policy    retry.Policy
}

// parseTarget reads a reference to a registry.
func parseTarget(ref string, o RegistryOptions) (*target, error) {
	wrong := func(err error) error {
		return problem.New(problem.Invalid, "%q names no place in a registry: %w", ref, err).
			WithHint("write oci://HOST[:PORT]/REPOSITORY:TAG, or @sha256:… of the manifest")
	}
	rest, ok := strings.CutPrefix(ref, scheme)
	if !ok {
		return nil, wrong(errors.New("it does not begin with " + scheme))
	}
	place, err := registry.ParseReference(rest)
	if err != nil {
		return nil, wrong(err)
	}
	if place.Reference == "" {
		return nil, wrong(errors.New("it has neither a tag nor a digest"))
	}
	credential, err := dockerCredentials()
	if err != nil {
		return nil, problem.New(problem.Invalid, "Docker's configuration can't be read: %w", err).
			WithHint("docker login %s", place.Registry)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() // that is what net/http says it is
	policy := o.policy
	if policy == nil {
		policy = retry.DefaultPolicy
	}
	client := &http.Client{Transport: &retry.Transport{
		Base: guarded{transport, o.PlainHTTP}, Policy: func() retry.Policy { return policy },
	}}
	return &target{transport: transport, policy: policy, Repository: &remote.Repository{
		Reference:            place,
		PlainHTTP:            o.PlainHTTP || loopback(place.Registry),
		Client:               &auth.Client{Client: client, Cache: auth.NewCache(), Credential: credential},
		ReferrerListMaxPages: maxPages,
		SkipReferrersGC:      true, // many registries refuse to delete
	}}, nil
}

// dockerCredentials gives what "docker login" of this user has kept: in config.json, or with the programs that it names,
// docker-credential-…, which oras runs. A user without a home folder has none.
func dockerCredentials() (auth.CredentialFunc, error) {
	if _, err := os.UserHomeDir(); err != nil && os.Getenv("DOCKER_CONFIG") == "" {
		return nil, nil
	}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, err
	}
	return credentials.Credential(store), nil
}

func (t *target) close() { t.transport.CloseIdleConnections() }

func (t *target) reference() string { return t.Reference.Reference }

func (t *target) byTag() bool { return t.Reference.ValidateReferenceAsDigest() != nil }

// loopback says whether a registry is on this machine.
func loopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// guarded refuses requests without TLS to other machines, unless they were asked for: a registry may answer with an
// address to go on at, or one to fetch a token from, and the credentials would go there in plain sight.
type guarded struct {
	http.RoundTripper
	plain bool
}

// RoundTrip is http.RoundTripper's.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !g.plain && !loopback(r.URL.Host) {
		return nil, fmt.Errorf("the registry sends us on to %s, without TLS", r.URL.Redacted())
	}
	return g.RoundTripper.RoundTrip(r)
}

// again does something until it succeeds or fails for good, as the client does with each request that it can repeat.
func (t *target) again(ctx context.Context, do func() error) error {
	for attempt := 0; ; attempt++ {
		err := do()
		if err == nil || ctx.Err() != nil {
			return err
		}
		var answer *errcode.ErrorResponse
		var response *http.Response
		failed := err
		if errors.As(err, &answer) {
			response, failed = &http.Response{StatusCode: answer.StatusCode}, nil
		}
		wait, bad := t.policy.Retry(attempt, response, failed)
		if bad != nil || wait < 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// problem tells why a registry did not take or give something. It returns nil for nil.
func (t *target) problem(ctx context.Context, err error) error {
	var known *problem.Error
	var answer *errcode.ErrorResponse
	var network *url.Error
	host, name := t.Reference.Registry, scheme+t.Reference.String()
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return problem.New(problem.Interrupted, "the transfer was interrupted: %w", err)
	case errors.Is(err, errdef.ErrNotFound):
		return problem.New(problem.NotFound, "%s is not in the registry: %w", name, err).
			WithHint("greenroom release export RELEASE %s", name)
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden),
		errors.Is(err, auth.ErrBasicCredentialNotFound):
		return problem.New(problem.Unavailable, "the registry %s does not let us in: %w", host, err).WithHint("docker login %s", host)
	case errors.As(err, &answer), errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF):
		return problem.New(problem.Unavailable, "the registry %s can't be used: %w", host, err).WithHint("see that %s answers, then do it again", host)
	}
	return problem.New(problem.Invalid, "%s is not a release: %w", name, err).WithHint("greenroom release export RELEASE %s", name)
}
