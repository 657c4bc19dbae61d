package artifact

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fakeRegistry is not a registry but what a test needs of one: the calls of the OCI distribution specification that Push
// and Pull make, with the referrers API, which Debian's registry does not have, and with faults that a real one has only
// on bad days. What it claims of registries, TestRegistry asks a real one.
type fakeRegistry struct {
	host      string
	mu        sync.Mutex
	content   map[digest.Digest][]byte // blobs and manifests
	tags      map[string]digest.Digest
	referrers map[digest.Digest][]ocispec.Descriptor
	// fault answers a request in the registry's stead, if it returns true.
	fault func(w http.ResponseWriter, r *http.Request) bool
}

func newFakeRegistry(t *testing.T) *fakeRegistry {
	f := &fakeRegistry{content: map[digest.Digest][]byte{}, tags: map[string]digest.Digest{}, referrers: map[digest.Digest][]ocispec.Descriptor{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/shop/blobs/{name}", f.get)
	mux.HandleFunc("GET /v2/shop/manifests/{name}", f.get)
	mux.HandleFunc("PUT /v2/shop/manifests/{name}", f.putManifest)
	mux.HandleFunc("GET /v2/shop/referrers/{name}", f.list)
	mux.HandleFunc("POST /v2/shop/blobs/uploads/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/v2/shop/upload")
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("PUT /v2/shop/upload", func(w http.ResponseWriter, r *http.Request) {
		f.put(w, r, r.URL.Query().Get("digest"))
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		fault := f.fault
		f.mu.Unlock()
		if fault == nil || !fault(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	f.host = strings.TrimPrefix(server.URL, "http://")
	return f
}

func (f *fakeRegistry) ref(reference string) string { return "oci://" + f.host + "/shop" + reference }

func (f *fakeRegistry) get(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := digest.Digest(r.PathValue("name"))
	if tagged, ok := f.tags[string(d)]; ok {
		d = tagged
	}
	content, ok := f.content[d]
	if !ok {
		http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Docker-Content-Digest", string(d))
	w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

func (f *fakeRegistry) putManifest(w http.ResponseWriter, r *http.Request) {
	body, d := f.put(w, r, r.PathValue("name"))
	var m ocispec.Manifest
	if json.Unmarshal(body, &m) != nil || m.Subject == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, known := range f.referrers[m.Subject.Digest] {
		if known.Digest == d {
			return
		}
	}
	f.referrers[m.Subject.Digest] = append([]ocispec.Descriptor{{
		MediaType: m.MediaType, Digest: d, Size: int64(len(body)), ArtifactType: m.ArtifactType, Annotations: m.Annotations,
	}}, f.referrers[m.Subject.Digest]...) // the newest first: a registry's order says nothing
}

// put keeps a body under its digest, and under the name that it was given, where that is a tag.
func (f *fakeRegistry) put(w http.ResponseWriter, r *http.Request, name string) ([]byte, digest.Digest) {
	body, err := io.ReadAll(r.Body)
	d := digest.FromBytes(body)
	if err != nil || strings.HasPrefix(name, "sha256:") && name != string(d) {
		http.Error(w, `{"errors":[{"code":"DIGEST_INVALID"}]}`, http.StatusBadRequest)
		return nil, ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content[d] = body
	if !strings.HasPrefix(name, "sha256:") {
		f.tags[name] = d
	}
	var m ocispec.Manifest
	if json.Unmarshal(body, &m) == nil && m.Subject != nil {
		w.Header().Set("OCI-Subject", string(m.Subject.Digest))
	}
	w.Header().Set("Docker-Content-Digest", string(d))
	w.WriteHeader(http.StatusCreated)
	return body, d
}

// list answers the referrers API. It does not filter, as many registries don't.
func (f *fakeRegistry) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, _ := index(append([]ocispec.Descriptor{}, f.referrers[digest.Digest(r.PathValue("name"))]...))
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_, _ = w.Write(b)
}

// keep puts content there, past all checks.
func (f *fakeRegistry) keep(content []byte) digest.Digest {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := digest.FromBytes(content)
	f.content[d] = content
	return d
}

// attach makes a changed manifest the first of the referrers of its subject.
func (f *fakeRegistry) attach(t *testing.T, text []byte, change func(*ocispec.Manifest)) {
	t.Helper()
	var m ocispec.Manifest
	must(t, json.Unmarshal(text, &m))
	subject := m.Subject.Digest
	change(&m)
	text, err := json.Marshal(m)
	must(t, err)
	d := descriptor(ocispec.MediaTypeImageManifest, artifactOf(text))
	d.ArtifactType = EnvelopeType
	f.keep(text)
	f.referrers[subject] = append([]ocispec.Descriptor{d}, f.referrers[subject]...)
}

// onRequest lets a test answer the requests whose path has part in it.
func (f *fakeRegistry) onRequest(part string, answer http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, part) {
			return false
		}
		answer(w, r)
		return true
	}
}
