package edge

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/netns"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// inner is a network namespace with its broker.
type inner struct {
	t      *testing.T
	n      netns.Network
	broker *exec.Cmd
}

// newInner makes a namespace; its folder lies so deep that the broker's path is too long for a socket.
func newInner(t *testing.T) *inner {
	t.Helper()
	in := &inner{t: t, n: netns.At(filepath.Join(t.TempDir(), strings.Repeat("deep/", 30), "stage"))}
	t.Cleanup(func() { in.must(in.n.Remove()) })
	if err := in.n.Make(); err != nil {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	in.start()
	return in
}

func (in *inner) start() {
	in.t.Helper()
	_ = os.Remove(in.n.Broker()) // of one that was killed
	r, w, err := os.Pipe()
	in.must(err)
	defer r.Close()
	cmd, err := proc.Command{
		Argv: []string{os.Args[0], netns.SocketFile}, Env: append(os.Environ(), childEnv+"=broker"), Dir: in.n.Dir(), Stdout: w,
	}.Cmd()
	in.must(err)
	in.must(errors.Join(proc.StartIn(in.n.File(), cmd), w.Close()))
	in.t.Cleanup(in.kill)
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		in.t.Fatalf("the broker does not start: %v, %s", err, line)
	}
	in.broker = cmd
}

// kill kills the broker.
func (in *inner) kill() {
	if in.broker != nil {
		_ = in.broker.Process.Kill()
		_ = in.broker.Wait()
		in.broker = nil
	}
}

func (in *inner) must(err error) {
	in.t.Helper()
	if err != nil {
		in.t.Fatal(err)
	}
}

// backend serves h inside and gives its address there.
func (in *inner) backend(h http.Handler) Backend {
	in.t.Helper()
	l, err := listenInside(in.n.Broker(), "127.0.0.1:0", 0)
	in.must(err)
	s := httptest.NewUnstartedServer(h)
	in.must(s.Listener.Close())
	s.Listener = l
	s.Start()
	in.t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return Backend{ID: l.Addr().String(), Network: "tcp", Address: l.Addr().String(), Broker: in.n.Broker()}
}

// client asks from inside.
func (in *inner) client() *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
		return dialInside(ctx, in.n.Broker(), address, 20*time.Second)
	}}
	in.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// stage is a route to who is inside, that can be asked there and outside.
func (in *inner) stage(address string, b Backend) Route {
	return Route{
		Name: "shop/rehearsal", Protocol: HTTP, Listen: []string{address}, Inside: &Inside{Broker: in.n.Broker(), Listen: []string{address}},
		Pools: []Pool{{Release: "stage", Weight: 100, Backends: []Backend{b}}},
		// On a busy machine a broker that is started anew takes its time.
		Timeouts: Timeouts{Dial: 30 * time.Second},
	}
}

// One edge serves production, and a stage that lives in a network of its own: from outside it is reached, from inside
// nothing but itself.
func TestInside(t *testing.T) {
	in := newInner(t)
	e := start(t, Options{})
	production := e.route(all("production", backendOf(t, says("production"))), func(r *Route) { r.Hosts = []string{"shop.example"} })
	there := in.backend(says("stage"))
	address := freeAddr(t)
	stage := in.stage(address, there)
	relay := Route{
		Name: "shop/rehearsal/db", Protocol: TCP, Inside: &Inside{Broker: in.n.Broker(), Listen: []string{"127.0.0.1:5432"}},
		Pools: []Pool{{Release: "stage", Weight: 100, Backends: []Backend{there}}},
	}
	e.swap(production, stage, relay)
	outside, inside := client(t), in.client()
	wantStage := func(when string) {
		t.Helper()
		for where, ask := range map[string]func() (int, string){
			"outside":           func() (int, string) { return get(t, outside, "http://"+address) },
			"inside":            func() (int, string) { return get(t, inside, "http://"+address) },
			"inside, by a name": func() (int, string) { return getAs(t, inside, "http://"+address, "shop.example") },
			"inside, by tcp":    func() (int, string) { return get(t, inside, "http://127.0.0.1:5432") },
		} {
			if status, body := ask(); status != 200 || body != "stage" {
				t.Errorf("%s, asked %s, it answers %d %q", when, where, status, body)
			}
		}
		if c, err := dialInside(t.Context(), in.n.Broker(), e.addr, 20*time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s, production is reached from inside: %v, %v", when, c, err)
		}
	}
	wantStage("first")
	if c, err := net.Dial("tcp", "127.0.0.1:5432"); err == nil {
		t.Errorf("what listens inside alone is reached from outside: %v", c.Close())
	}

	before, err := e.Stats(t.Context())
	in.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, Options{Dir: e.dir, TakeOver: true, Stop: 20 * time.Second}) }()
	eventually(t, "the successor answers", func() bool {
		s, err := e.Stats(t.Context())
		return err == nil && s.Instance != before.Instance
	})
	wantStage("handed over")

	// The connection from inside is kept. Its route is gone then, and the name leads nowhere.
	e.swap(production)
	res, err := askAs(t, inside, "http://"+address, "shop.example")
	if err == nil {
		defer res.Body.Close() //nolint:errcheck // read to its end
		if b, _ := io.ReadAll(res.Body); string(b) == "production" {
			t.Error("from inside, production answers by its name")
		}
	}
	outside.CloseIdleConnections()
	inside.CloseIdleConnections()
	cancel()
	in.must(<-ended)
}

func getAs(t *testing.T, c *http.Client, url, host string) (int, string) {
	t.Helper()
	res, err := askAs(t, c, url, host)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func askAs(t *testing.T, c *http.Client, url, host string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	return c.Do(req)
}

// A broker that is gone takes nothing with it but its own stage: what was handed out goes on, others' tables come into
// force, and an edge that was started anew serves the others and the stage as soon as its broker is back.
func TestBrokerGone(t *testing.T) {
	in := newInner(t)
	e := start(t, Options{})
	production := e.route(all("production", backendOf(t, says("production"))))
	address := freeAddr(t)
	stage := in.stage(address, in.backend(says("stage")))
	e.swap(production, stage)
	outside, inside := client(t), in.client()
	get(t, outside, "http://"+address)
	get(t, inside, "http://"+address)

	in.kill()
	for _, c := range []*http.Client{outside, inside} {
		if _, body := get(t, c, "http://"+address); body != "stage" {
			t.Errorf("over a connection from before, it answers %q", body)
		}
	}
	outside.CloseIdleConnections()
	other := in.stage(freeAddr(t), stage.Pools[0].Backends[0])
	other.Name = "shop/other"
	now, err := e.Table(t.Context())
	in.must(err)
	_, err = e.Swap(t.Context(), Table{Format: Format, Routes: []Route{production, stage, other}}, now.Version)
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable {
		t.Errorf("with an address that can't be had, a table came into force: %v", err)
	}
	began := time.Now()
	started := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { // as its supervisor would
		defer close(started)
		in.start()
	})
	res, err := outside.Post("http://"+address, "text/plain", strings.NewReader("goes over no connection that was kept"))
	if err != nil || res.StatusCode != 200 || res.Body.Close() != nil {
		t.Errorf("a request that met a broker just being started: %+v, %v", res, err)
	}
	<-started
	if waited := time.Since(began); waited < 200*time.Millisecond {
		t.Fatalf("nobody waited for the broker, only %s went by: nothing is tested", waited)
	}

	in.kill()
	e.stop()
	next := start(t, Options{Dir: e.dir})
	next.addr = e.addr
	if _, body := get(t, client(t), next.url("/")); body != "production" {
		t.Errorf("production answers %q", body)
	}
	stats, err := next.Stats(t.Context())
	in.must(err)
	if !slices.Equal(stats.Unbound, []string{insideKey(in.n.Broker(), address)}) {
		t.Errorf("not to be had are %v", stats.Unbound)
	}
	next.swap(next.route(all("next", backendOf(t, says("next")))), stage)
	if _, body := get(t, client(t), next.url("/")); body != "next" {
		t.Errorf("production answers %q", body)
	}
	in.start()
	eventually(t, "the stage is reached from inside", func() bool {
		res, err := askAs(t, in.client(), "http://"+address, "")
		return err == nil && res.Body.Close() == nil
	})
	next.swap(next.route(nil))
	next.stop()
}
