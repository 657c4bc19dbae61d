package docker_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/problem"
)

// registry serves one image at a tag that moves, and all that it ever had by digest.
type registry struct {
	mu    sync.Mutex
	blobs map[string][]byte // by digest, manifests too
	tag   string            // the digest that it stands for
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}

// move makes the tag stand for an image, and returns its manifest's digest.
func (r *registry) move(t testing.TB, i dockertest.Image) string {
	t.Helper()
	config, layer := i.Parts(t)
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	part := func(kind string, b []byte) map[string]any {
		r.blobs[sum(b)] = b
		return map[string]any{"mediaType": "application/vnd.docker." + kind, "size": len(b), "digest": sum(b)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": part("container.image.v1+json", config),
		"layers": []any{part("image.rootfs.diff.tar.gzip", zipped.Bytes())},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.tag = sum(manifest)
	r.blobs[r.tag] = manifest
	return r.tag
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := path.Base(q.URL.Path)
	if name == "latest" {
		name = r.tag
	}
	content, ok := r.blobs[name]
	switch {
	case q.URL.Path == "/v2/":
		w.WriteHeader(http.StatusOK)
	case !ok:
		http.NotFound(w, q)
	default:
		if strings.Contains(q.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", manifestType)
		}
		w.Header().Set("Docker-Content-Digest", name)
		http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(content))
	}
}

// TestPull pulls a tag that moves: what it stood for is what runs.
func TestPull(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	r := &registry{blobs: map[string][]byte{}}
	server := httptest.NewServer(r)
	defer server.Close()
	name := strings.TrimPrefix(server.URL, "http://") + "/shop:latest"
	i := dockertest.App(t)
	i.Comment = "first"
	first := r.move(t, i)
	var said []string
	got, err := f.Pull(f.ctx, name, func(line string) { said = append(said, line) })
	if err != nil {
		t.Fatal(err)
	}
	pinned := strings.TrimSuffix(name, ":latest") + "@" + first
	if got.ID != i.ID(t) || len(got.Digests) != 1 || got.Digests[0] != pinned || len(said) == 0 {
		t.Errorf("pulled %+v, want %s; said %q", got, pinned, said)
	}
	i.Comment = "second"
	second := r.move(t, i)
	again, err := f.Pull(f.ctx, name, func(string) {})
	if err != nil || again.ID != i.ID(t) || again.ID == got.ID {
		t.Errorf("after the tag moved to %s it is %+v, %v", second, again, err)
	}
	s := f.spec("web", "stay")
	s.Container.Image = pinned
	f.startAndWait(s)
	in, err := f.stranger.ContainerInspect(f.ctx, f.nameOf("web"), client.ContainerInspectOptions{})
	if err != nil || in.Container.Image != got.ID {
		t.Errorf("pinned to %s it runs %s, %v", got.ID, in.Container.Image, err)
	}
	_, err = f.Pull(f.ctx, strings.TrimSuffix(name, "shop:latest")+"nothing:1", func(string) {})
	wantProblemNoHint(t, err, problem.Fail, "nothing:1")
}

// TestNetworkAtOnce has several drivers make the same network at the same time: there is one.
func TestNetworkAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	drivers := make([]*docker.Driver, 5)
	for i := range drivers {
		drivers[i] = openOn(t, f.engine, t.Name())
	}
	kinds := []docker.Kind{docker.Addressed, docker.Names, docker.Internal}
	for _, kind := range kinds {
		got := make([]docker.Network, len(drivers))
		var wg sync.WaitGroup
		for i, d := range drivers {
			wg.Go(func() {
				var err error
				if got[i], err = d.EnsureNetwork(f.ctx, "shop", "qa", fmt.Sprint("kind", kind), kind); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, n := range got {
			if n != got[0] {
				t.Errorf("networks of kind %d: %+v", kind, got)
			}
		}
	}
	there, err := f.stranger.NetworkList(f.ctx, client.NetworkListOptions{Filters: client.Filters{}.Add("label", "greenroom.home="+t.Name())})
	if err != nil || len(there.Items) != len(kinds) {
		t.Errorf("the Engine has %+v, %v", there.Items, err)
	}
}

// TestCancelled has nobody wait any longer than he wants to.
func TestCancelled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	f.start(f.spec("web", "stay"))
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, startErr := f.Start(ctx, f.spec("other", "stay"))
	_, waitErr := f.Wait(ctx, "web")
	_, listErr := f.List(ctx, driver.Filter{})
	for _, err := range []error{startErr, waitErr, listErr, f.Stop(ctx, "web"), f.Logs(ctx, "web", driver.LogOptions{Follow: true}, io.Discard), f.Remove(ctx, "shop", "qa", true)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after the cancelling: %v", err)
		}
	}
	if st := f.status("web"); st.PID == 0 {
		t.Errorf("status %+v", st)
	}
}

// TestNetworkTwice has two networks of one name, as a driver leaves them that was killed while another made the same one: the older one
// stays, unless the younger one is in use.
func TestNetworkTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	first := f.network("qa", "default", docker.Names)
	f.twin(first)
	if again := f.network("qa", "default", docker.Names); again != first {
		t.Errorf("it was %+v, and is %+v", first, again)
	}
	other := f.network("qa", "other", docker.Names)
	s := f.spec("web", "stay")
	s.Container.Networks = []driver.Attach{{Network: other.ID}}
	f.startAndWait(s)
	second := f.twin(first)
	if err := f.Join(f.ctx, "web", second); err != nil {
		t.Fatal(err)
	}
	if again := f.network("qa", "default", docker.Names); again.ID != second {
		t.Errorf("a container is in %s, and the network is %+v", second, again)
	}
}

// twin makes another network of the same name and labels, which the client's own call would not.
func (f *fixture) twin(of docker.Network) (id string) {
	f.Helper()
	in, err := f.stranger.NetworkInspect(f.ctx, of.ID, client.NetworkInspectOptions{})
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"Name": of.Name, "Driver": "bridge", "Labels": in.Network.Labels})
	if err != nil {
		f.Fatal(err)
	}
	req, err := http.NewRequestWithContext(f.ctx, http.MethodPost, "http://engine/v1.41/networks/create", bytes.NewReader(text))
	if err != nil {
		f.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	to := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return f.stranger.Dialer()(ctx) }}
	res, err := to.RoundTrip(req)
	if err != nil {
		f.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusConflict {
		f.Skip("SKIPPED: this Engine has never two networks of one name")
	}
	var made struct{ ID string }
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.ID == "" {
		f.Fatalf("%s: %v", res.Status, err)
	}
	return made.ID
}
