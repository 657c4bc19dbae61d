package edge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/internal/netns"
	"greenroom/internal/proc"
)

// childEnv makes the test program be something else: an edge of its own, or a writer that is going to be killed.
const childEnv = "GREENROOM_EDGE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "edge":
		os.Exit(childEdge())
	case "acme":
		os.Exit(childACME())
	case "broker":
		os.Exit(childBroker())
	case "writer":
		childWriter()
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"), // one for each ACME server, for ever
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),             // ends within 5 s of its lock
	)
}

// childEdge runs an edge until a signal or a successor ends it.
func childEdge() int {
	err := Run(context.Background(), Options{
		Dir: os.Args[1], TakeOver: true, Linger: 5 * time.Second,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// childBroker is the broker of a namespace.
func childBroker() int {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: os.Args[1], Net: "unix"})
	if err == nil {
		fmt.Println("ready")
		err = netns.Serve(context.Background(), l)
	}
	fmt.Println(err)
	return 1
}

// spawn starts the test program as a child of the given kind; it is killed at the latest when the test ends.
func spawn(t *testing.T, kind string, args ...string) (cmd *exec.Cmd, stdout *bufio.Reader) {
	t.Helper()
	cmd, err := proc.Command{
		Argv: append([]string{os.Args[0]}, args...), Env: append(os.Environ(), childEnv+"="+kind), Stderr: t.Output(),
	}.Cmd()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewReader(out)
}

// running is an edge inside the test, with one route at addr.
type running struct {
	*Client
	t    *testing.T
	dir  string
	addr string
	stop func()
}

func start(t *testing.T, o Options) *running {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Stop == 0 {
		o.Stop = 20 * time.Second
	}
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	var once sync.Once
	r := &running{Client: NewClient(o.Dir), t: t, dir: o.Dir, addr: freeAddr(t)}
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("edge ended with %v", err)
			}
		})
	}
	t.Cleanup(r.stop)
	r.ready()
	return r
}

func (r *running) ready() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	if err := r.Await(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// swap puts a table of these routes in force, whatever was before.
func (r *running) swap(routes ...Route) {
	r.t.Helper()
	now, err := r.Table(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.Swap(r.t.Context(), Table{Format: Format, Routes: routes}, now.Version); err != nil {
		r.t.Fatal(err)
	}
}

// route is the route at addr with these pools; change adapts it.
func (r *running) route(pools []Pool, change ...func(*Route)) Route {
	rt := Route{Name: "shop/production", Listen: []string{r.addr}, Protocol: HTTP, Pools: pools}
	for _, c := range change {
		c(&rt)
	}
	return rt
}

func (r *running) url(path string) string { return "http://" + r.addr + path }

func (r *running) stats(release string) PoolStats {
	r.t.Helper()
	s, err := r.Stats(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range s.Pools {
		if p.Release == release {
			return p
		}
	}
	r.t.Fatalf("nothing is counted for release %q: %+v", release, s.Pools)
	return PoolStats{}
}

// all is the pools of one release that has all traffic.
func all(release string, addrs ...string) []Pool { return []Pool{share(release, 100, addrs...)} }

func share(release string, weight int, addrs ...string) Pool {
	p := Pool{Release: release, Weight: weight}
	for i, a := range addrs {
		p.Backends = append(p.Backends, Backend{ID: fmt.Sprint(release, "-", i), Network: "tcp", Address: a})
	}
	return p
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it only reserved a port
	return l.Addr().String()
}

// backendOf serves h and gives its address.
func backendOf(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// client makes an HTTP client that leaves nothing behind.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

func get(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Get(url)
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

// eventually polls until ok, and fails when that takes far too long.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// await waits for what is told by closing a channel.
func await(t testing.TB, what string, told <-chan struct{}) {
	t.Helper()
	select {
	case <-told:
	case <-time.After(time.Minute):
		t.Fatalf("never happened: %s", what)
	}
}

// load sends GETs and POSTs at a rate over kept-alive connections and remembers what came of each.
type load struct {
	t        *testing.T
	c        *http.Client // nil: each worker has its own
	url      string
	sent     atomic.Int64
	failures sync.Map // what failed
	posts    sync.Map // id -> how often a back end received it
	stop     chan struct{}
	done     sync.WaitGroup
	rewinds  bool // its bodies can be sent again, where the client knows that nobody looked at the first
}

func newLoad(t *testing.T, url string) *load {
	return &load{t: t, url: url, stop: make(chan struct{})}
}

func (l *load) run(perSecond, workers int) {
	due := make(chan int64, perSecond)
	l.done.Go(func() {
		defer close(due)
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for i := int64(0); ; i++ {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				due <- i
			}
		}
	})
	for range workers {
		c := l.c
		if c == nil { // with one client for all, a connection could lie idle for long, and be wanted when the edge closes it
			c = client(l.t)
		}
		l.done.Go(func() {
			for i := range due {
				l.one(c, i)
			}
		})
	}
}

func (l *load) one(c *http.Client, i int64) {
	method, body, id := http.MethodGet, "", fmt.Sprint("r", i)
	if i%2 == 1 {
		method, body = http.MethodPost, id
	}
	req, err := http.NewRequest(method, l.url+"/?id="+id, struct{ io.Reader }{strings.NewReader(body)})
	if err != nil {
		l.t.Error(err)
		return
	}
	req.ContentLength = int64(len(body))
	if l.rewinds {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	}
	l.sent.Add(1)
	res, err := c.Do(req)
	if err != nil {
		l.failures.Store(id, err.Error())
		return
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || !strings.HasSuffix(string(b), id) {
		l.failures.Store(id, fmt.Sprint(res.Status, " ", string(b), " ", err))
	}
}

// backend answers the load and counts what it receives.
func (l *load) backend(release string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		id := r.URL.Query().Get("id")
		if r.Method == http.MethodPost {
			id = string(b)
			n, _ := l.posts.LoadOrStore(id, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		}
		_, _ = io.WriteString(w, release+" "+id)
	}
}

// end stops the load and judges it: nothing failed, every POST was received once.
func (l *load) end() {
	l.t.Helper()
	close(l.stop)
	l.done.Wait()
	l.failures.Range(func(id, why any) bool {
		l.t.Errorf("request %v failed: %v", id, why)
		return true
	})
	received := int64(0)
	l.posts.Range(func(id, n any) bool {
		received++
		if n := n.(*atomic.Int64).Load(); n != 1 {
			l.t.Errorf("POST %v was received %d times", id, n)
		}
		return true
	})
	if want := l.sent.Load() / 2; received != want {
		l.t.Errorf("%d POSTs were received of %d", received, want)
	}
}
