package artifact

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/retry"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// registryConfig is that of Debian's docker-registry (https://distribution.github.io/distribution/about/configuration/).
const registryConfig = `version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: %s}}
http: {addr: "127.0.0.1:0"}
auth: {htpasswd: {realm: greenroom, path: %s}}
`

// The registry's one user, and the line of htpasswd -B that knows the password.
const (
	registryUser     = "greenroom:secret"
	registryPassword = "greenroom:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
)

// realRegistry starts a registry that asks for a password, in a folder, and gives its host.
func realRegistry(t *testing.T, dir string) (host string) {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv("CI") == "true" && runtime.GOOS == "linux" {
			t.Fatal("docker-registry is not installed: scripts/setup test")
		}
		t.Skip("NOT TESTED: no docker-registry on this machine (scripts/setup test installs it)")
	}
	password, config := filepath.Join(dir, "htpasswd"), filepath.Join(dir, "config.yml")
	must(t, os.WriteFile(password, []byte(registryPassword), 0o600))
	must(t, os.WriteFile(config, fmt.Appendf(nil, registryConfig, filepath.Join(dir, "data"), password), 0o600))
	cmd := exec.Command(program, "serve", config)
	log, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	drained := make(chan struct{})
	t.Cleanup(func() {
		must(t, cmd.Process.Kill())
		<-drained
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(log)
	listening := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	for host == "" && lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			host = found[1]
		}
	}
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, log)
	}()
	if host == "" {
		t.Fatal("the registry did not start")
	}
	return host
}

// login gives this process Docker's configuration with a user of a registry, or with none.
func login(t *testing.T, host, user string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	if user != "" {
		text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte(user)))
		must(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600))
	}
}

func push(t testing.TB, bundle []byte, ref string) {
	t.Helper()
	must(t, Push(t.Context(), bytes.NewReader(bundle), ref, RegistryOptions{}))
}

// pull reads all of a bundle from a registry.
func pull(t testing.TB, ref string) ([]byte, error) {
	t.Helper()
	rc, err := Pull(t.Context(), ref, RegistryOptions{})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(rc)
	must(t, rc.Close())
	return b, err
}

func wantPulled(t testing.TB, ref string, want []byte) {
	t.Helper()
	got, err := pull(t, ref)
	if err != nil {
		t.Errorf("pull %s: %v", ref, err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("pulled %s: other bytes than were pushed", ref)
	}
}

func manifestOf(t testing.TB, s *Store, id release.Digest) release.Artifact {
	t.Helper()
	return artifactOf(s.mustRead(t, id))
}

// A real registry, of those that keep referrers under a tag.
func TestRegistry(t *testing.T) {
	dir := t.TempDir()
	host := realRegistry(t, dir)
	s, id := stored(t)
	evidence := envelopes(12)
	few, all := exportBundle(t, s, id, evidence[:3]), exportBundle(t, s, id, evidence)
	ref := "oci://" + host + "/team/shop:2026-11-23"
	byDigest := "oci://" + host + "/team/shop@" + string(manifestOf(t, s, id).Digest)

	login(t, host, "")
	err := Push(t.Context(), bytes.NewReader(few), ref, RegistryOptions{})
	wantProblem(t, err, problem.Unavailable, "does not let us in")
	login(t, host, "greenroom:wrong")
	err = Push(t.Context(), bytes.NewReader(few), ref, RegistryOptions{})
	wantProblem(t, err, problem.Unavailable, "does not let us in")
	if hint := problem.From(err).Hint; hint != "docker login "+host {
		t.Errorf("hint %q", hint)
	}
	login(t, host, registryUser)
	_, err = pull(t, ref)
	wantProblem(t, err, problem.NotFound, "is not in the registry")

	push(t, few, ref)
	wantPulled(t, ref, few)
	push(t, few, ref) // again is once
	wantPulled(t, ref, few)
	push(t, all, byDigest) // more evidence has come
	wantPulled(t, ref, all)
	wantPulled(t, byDigest, all)

	other := open(t)
	rc, err := Pull(t.Context(), ref, RegistryOptions{})
	must(t, err)
	got, back, err := other.ImportBundle(t.Context(), rc)
	must(t, err)
	must(t, rc.Close())
	if got != id {
		t.Errorf("pulled %s instead of %s", got, id)
	}
	wantEvidence(t, back, evidence)
	wantClean(t, other, id)

	r, err := s.Release(t.Context(), id)
	must(t, err)
	for name, d := range map[string]release.Digest{
		"an artifact": r.Files["service/web"].Digest, "the document": id, "the manifest": manifestOf(t, s, id).Digest, "evidence": release.Of(evidence[5]),
	} {
		blob := filepath.Join(dir, "data/docker/registry/v2/blobs/sha256", hexOf(d)[:2], hexOf(d), "data")
		text, err := os.ReadFile(blob)
		must(t, err)
		changed := slices.Clone(text)
		changed[len(changed)/2] ^= 1
		must(t, os.WriteFile(blob, changed, 0o600))
		if _, err := pull(t, ref); err == nil {
			t.Errorf("%s was changed in the registry, and pulled", name)
		}
		must(t, os.WriteFile(blob, text, 0o600))
	}
	wantPulled(t, ref, all)
}

// A registry with the referrers API, which lists them in an order of its own.
func TestRegistryWithReferrers(t *testing.T) {
	f := newFakeRegistry(t)
	login(t, f.host, "")
	s, id := stored(t)
	bundle := exportBundle(t, s, id, envelopes(12))
	push(t, bundle, f.ref(":v1"))
	wantPulled(t, f.ref(":v1"), bundle)
	wantPulled(t, f.ref("@"+string(manifestOf(t, s, id).Digest)), bundle)
	for tag := range f.tags {
		if tag != "v1" {
			t.Errorf("a tag %s for what the registry keeps by itself", tag)
		}
	}
	plain := exportBundle(t, s, id, nil)
	push(t, plain, f.ref(":plain"))
	wantPulled(t, f.ref(":plain"), bundle) // evidence is the release's, not the tag's
}

// Two who push the same release with evidence of their own each add theirs.
func TestRegistryKeepsTheEvidenceOfSeveral(t *testing.T) {
	f := newFakeRegistry(t)
	login(t, f.host, "")
	s, id := stored(t)
	e := envelopes(5)
	push(t, exportBundle(t, s, id, [][]byte{e[0], e[1], e[2]}), f.ref(":v1"))
	push(t, exportBundle(t, s, id, [][]byte{e[0], e[3], e[1]}), f.ref(":v1"))
	b, err := pull(t, f.ref(":v1"))
	must(t, err)
	_, got, err := s.ImportBundle(t.Context(), bytes.NewReader(b))
	must(t, err)
	second, third := [][]byte{e[1], e[3]}, [][]byte{e[2]}
	slices.SortFunc(second, func(a, b []byte) int { return strings.Compare(string(release.Of(a)), string(release.Of(b))) })
	wantEvidence(t, got, slices.Concat([][]byte{e[0]}, second, third))
}

func TestPullRefuses(t *testing.T) {
	s, id := stored(t)
	r, err := s.Release(t.Context(), id)
	must(t, err)
	man := manifestOf(t, s, id)
	envelope := envelopes(1)[0]
	ref, err := refer(man, envelope, 0)
	must(t, err)
	web := r.Files["service/web"]
	// attach puts a manifest among the referrers of the release.
	attach := func(change func(*ocispec.Manifest)) func(*fakeRegistry) {
		return func(f *fakeRegistry) { f.attach(t, ref.text, change) }
	}
	replace := func(d release.Digest, with []byte) func(*fakeRegistry) {
		return func(f *fakeRegistry) { f.content[digest.Digest(d)] = with }
	}
	cases := []struct {
		name string
		harm func(*fakeRegistry)
		code problem.Code
		want string
	}{
		{"an artifact that was changed", replace(web.Digest, make([]byte, web.Size)), problem.Invalid, "damaged"},
		{"an artifact that is shorter", replace(web.Digest, make([]byte, web.Size-1)), problem.Invalid, "Content-Length"},
		{"a document that was changed", replace(id, bytes.ToUpper(r.Bytes())), problem.Invalid, "digest"},
		{"a manifest of something else", func(f *fakeRegistry) { f.tags["v1"] = f.keep([]byte(`{"schemaVersion":2}`)) }, problem.Invalid, "no part of a release"},
		{"a manifest that is none", func(f *fakeRegistry) { f.tags["v1"] = f.keep([]byte(`hello`)) }, problem.Invalid, "manifest"},
		{"a huge manifest", func(f *fakeRegistry) { f.tags["v1"] = f.keep(make([]byte, maxManifest+1)) }, problem.Invalid, "no part of a release"},
		{"a document that is gone", func(f *fakeRegistry) { delete(f.content, digest.Digest(id)) }, problem.NotFound, "not in the registry"},
		{"evidence of another release", attach(func(m *ocispec.Manifest) { m.Subject.Size++ }), problem.Invalid, "not that of this release"},
		{"evidence without a place", attach(func(m *ocispec.Manifest) { m.Annotations = nil }), problem.Invalid, positionKey},
		{"evidence with an annotation", attach(func(m *ocispec.Manifest) { m.Annotations["a"] = "b" }), problem.Invalid, "not that of this release"},
		{"evidence of two envelopes", attach(func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }), problem.Invalid, "exactly one"},
		{"a large envelope", attach(func(m *ocispec.Manifest) { m.Layers[0].Size = maxEnvelope + 1 }), problem.Invalid, "no part of a release"},
		{"an envelope that climbs", attach(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../x" }), problem.Invalid, "no part of a release"},
		{"an envelope that was changed", replace(release.Of(envelope), bytes.ToUpper(envelope)), problem.Invalid, "digest"},
		{"an envelope that is gone", func(f *fakeRegistry) { delete(f.content, digest.Digest(ref.envelope.Digest)) }, problem.NotFound, "not in the registry"},
		{"more evidence than there may be", func(f *fakeRegistry) {
			f.onRequest("/referrers/", func(w http.ResponseWriter, r *http.Request) {
				b, _ := index(slices.Repeat([]ocispec.Descriptor{ref.descriptor()}, maxEnvelopes+1))
				w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
				_, _ = w.Write(b)
			})
		}, problem.Invalid, "more evidence than"},
		{"pages without end", func(f *fakeRegistry) {
			f.onRequest("/referrers/", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Link", "<"+r.URL.Path+`>; rel="next"`)
				w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
				_, _ = io.WriteString(w, indexHead+"]}")
			})
		}, problem.Invalid, "pages"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeRegistry(t)
			login(t, f.host, "")
			push(t, exportBundle(t, s, id, [][]byte{envelope}), f.ref(":v1"))
			c.harm(f)
			_, err := pull(t, f.ref(":v1"))
			wantProblem(t, err, c.code, c.want)
		})
	}
}

// What comes in half is not imported.
func TestPullThatBreaksOff(t *testing.T) {
	f, s, bundle, web := pushed(t)
	f.onRequest(string(web.Digest), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(web.Size))
		_, _ = w.Write(make([]byte, 1000))
		panic(http.ErrAbortHandler)
	})
	rc, err := Pull(t.Context(), f.ref(":v1"), RegistryOptions{})
	must(t, err)
	_, _, err = s.ImportBundle(t.Context(), rc)
	wantProblem(t, err, problem.Unavailable, "can't be used")
	must(t, rc.Close())
	if entries, err := s.all(); err != nil || len(entries) != 0 {
		t.Errorf("%d releases, %v", len(entries), err)
	}
	f.onRequest("nothing", nil)
	wantPulled(t, f.ref(":v1"), bundle)
}

// pushed is a registry with one release, and a store without it.
func pushed(t *testing.T) (f *fakeRegistry, empty *Store, bundle []byte, web release.Artifact) {
	t.Helper()
	f = newFakeRegistry(t)
	login(t, f.host, "")
	s, id := stored(t)
	bundle = exportBundle(t, s, id, envelopes(2))
	push(t, bundle, f.ref(":v1"))
	r, err := s.Release(t.Context(), id)
	must(t, err)
	return f, open(t), bundle, r.Files["service/web"]
}

// A context that ends, or a reader that is closed, ends the transfer in the middle; nothing goes on behind it.
func TestPullIsEnded(t *testing.T) {
	for name, end := range map[string]func(context.CancelFunc, io.ReadCloser) error{
		"cancelled": func(cancel context.CancelFunc, rc io.ReadCloser) error {
			cancel()
			_, err := io.ReadAll(rc)
			return errors.Join(err, rc.Close())
		},
		"closed": func(_ context.CancelFunc, rc io.ReadCloser) error { return rc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			f, _, _, web := pushed(t)
			asked, over := make(chan struct{}), make(chan struct{})
			f.onRequest(string(web.Digest), func(w http.ResponseWriter, r *http.Request) {
				close(asked)
				<-r.Context().Done()
				close(over)
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			rc, err := Pull(ctx, f.ref(":v1"), RegistryOptions{})
			must(t, err)
			_, err = io.ReadFull(rc, make([]byte, 512))
			must(t, err)
			go func() { _, _ = io.Copy(io.Discard, rc) }()
			<-asked
			err = end(cancel, rc)
			if name == "cancelled" {
				wantProblem(t, err, problem.Interrupted, "interrupted")
			}
			<-over
		})
	}
}

func TestPushIsCancelled(t *testing.T) {
	f, _, bundle, _ := pushed(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.onRequest("/blobs/", func(w http.ResponseWriter, r *http.Request) {
		cancel()
		w.WriteHeader(http.StatusServiceUnavailable) // to be tried again
	})
	err := Push(ctx, bytes.NewReader(bundle), f.ref(":v2"), RegistryOptions{})
	wantProblem(t, err, problem.Interrupted, "interrupted")
}

// What fails in passing is tried again, also an upload, which begins anew; not for ever.
func TestRegistryIsTriedAgain(t *testing.T) {
	f := newFakeRegistry(t)
	login(t, f.host, "")
	s, id := stored(t)
	bundle := exportBundle(t, s, id, envelopes(1))
	failed := map[string]bool{}
	once := func(w http.ResponseWriter, r *http.Request) bool { // each kind of request fails once
		path, _, _ := strings.Cut(r.URL.Path, "sha256:")
		kind := r.Method + " " + path
		if failed[kind] {
			return false
		}
		failed[kind] = true
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	f.fault = once
	o := RegistryOptions{policy: &retry.GenericPolicy{Retryable: retry.DefaultPredicate, Backoff: retry.DefaultBackoff, MaxRetry: 5}}
	must(t, Push(t.Context(), bytes.NewReader(bundle), f.ref(":v1"), o))
	rc, err := Pull(t.Context(), f.ref(":v1"), o)
	must(t, err)
	got, err := io.ReadAll(rc)
	must(t, errors.Join(err, rc.Close()))
	if !bytes.Equal(got, bundle) {
		t.Error("pulled other bytes than were pushed")
	}
	if !failed["PUT /v2/shop/upload"] || len(failed) < 9 {
		t.Errorf("failed %v", failed)
	}

	tries := 0
	f.onRequest("/manifests/", func(w http.ResponseWriter, r *http.Request) {
		tries++
		w.Header().Set("Retry-After", "3600") // no longer than we think fit
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, err = Pull(t.Context(), f.ref(":v1"), o)
	wantProblem(t, err, problem.Unavailable, "can't be used")
	if tries != 6 {
		t.Errorf("tried %d times instead of 6", tries)
	}
}

// A registry can send us elsewhere, but not without TLS, and our password does not go along.
func TestRegistryThatSendsUsOn(t *testing.T) {
	f, _, bundle, web := pushed(t)
	f.onRequest(string(web.Digest), func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://registry.example.com/blob", http.StatusTemporaryRedirect)
	})
	_, err := pull(t, f.ref(":v1"))
	wantProblem(t, err, problem.Unavailable, "without TLS")

	store := newFakeRegistry(t) // large blobs often come from elsewhere
	store.keep(f.content[digest.Digest(web.Digest)])
	login(t, f.host, registryUser)
	f.onRequest(string(web.Digest), func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+store.host+"/v2/shop/blobs/"+string(web.Digest), http.StatusTemporaryRedirect)
	})
	leaked := false
	store.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		leaked = leaked || r.Header.Get("Authorization") != ""
		return false
	}
	wantPulled(t, f.ref(":v1"), bundle)
	if leaked {
		t.Error("the password went along")
	}
}

func TestPushRefuses(t *testing.T) {
	f, _, bundle, _ := pushed(t)
	other := release.Of([]byte("other"))
	err := Push(t.Context(), bytes.NewReader(bundle), f.ref("@"+string(other)), RegistryOptions{})
	wantProblem(t, err, problem.Invalid, "manifest is")
	err = Push(t.Context(), strings.NewReader("no bundle"), f.ref(":v2"), RegistryOptions{})
	wantProblem(t, err, problem.Invalid, "not a release")
	changed := bytes.Replace(bundle, []byte("body {}"), []byte("body []"), 1)
	err = Push(t.Context(), bytes.NewReader(changed), f.ref(":v2"), RegistryOptions{})
	wantProblem(t, err, problem.Invalid, "not what its digest says")
	if len(f.tags) != 1 {
		t.Errorf("tags %v", f.tags)
	}
	must(t, os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte("{"), 0o600))
	err = Push(t.Context(), bytes.NewReader(bundle), f.ref(":v2"), RegistryOptions{})
	wantProblem(t, err, problem.Invalid, "Docker's configuration")
}

func TestReferencesToRegistries(t *testing.T) {
	sum := string(release.Of(nil))
	for ref, want := range map[string]string{
		"oci://registry.example.com/team/shop:v1":      "https registry.example.com team/shop v1",
		"oci://registry.example.com:5000/shop@" + sum:  "https registry.example.com:5000 shop " + sum,
		"oci://registry.example.com/shop:v1@" + sum:    "https registry.example.com shop " + sum,
		"oci://127.0.0.1:5000/shop:v1":                 "http 127.0.0.1:5000 shop v1",
		"oci://[::1]:5000/shop:v1":                     "http [::1]:5000 shop v1",
		"oci://localhost/shop:v1":                      "http localhost shop v1",
		"oci://localhost.example.com/shop:v1":          "https localhost.example.com shop v1",
		"oci://127.0.0.1.example.com/shop:v1":          "https 127.0.0.1.example.com shop v1",
		"oci://192.168.1.1:5000/shop:v1":               "https 192.168.1.1:5000 shop v1",
		"registry.example.com/shop:v1":                 "",
		"https://registry.example.com/shop:v1":         "",
		"oci://registry.example.com/shop":              "",
		"oci://registry.example.com":                   "",
		"oci://registry.example.com/Shop:v1":           "",
		"oci://registry.example.com/../shop:v1":        "",
		"oci://registry.example.com/shop:v1/x":         "",
		"oci://registry.example.com/shop@sha256:1":     "",
		"oci://user:secret@registry.example.com/s:v1":  "",
		"oci://registry.example.com?x=/shop:v1":        "",
		"oci://registry.example.com/shop:" + sum + "0": "",
	} {
		got, err := parseTarget(ref, RegistryOptions{})
		if want == "" {
			wantProblem(t, err, problem.Invalid, "names no place")
			continue
		}
		must(t, err)
		protocol := map[bool]string{true: "http", false: "https"}[got.PlainHTTP]
		if text := strings.Join([]string{protocol, got.Reference.Registry, got.Reference.Repository, got.reference()}, " "); text != want {
			t.Errorf("%s: got %s", ref, text)
		}
	}
	explicit, err := parseTarget("oci://192.168.1.1:5000/shop:v1", RegistryOptions{PlainHTTP: true})
	must(t, err)
	if !explicit.PlainHTTP {
		t.Error("plain HTTP was asked for")
	}
}
