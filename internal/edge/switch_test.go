package edge

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/internal/problem"
)

// The promise of the whole thing: twenty switches under load, the old back end stopped after each drain.
func TestTwentySwitches(t *testing.T) {
	e := start(t, Options{})
	l := newLoad(t, e.url(""))
	old := httptest.NewServer(l.backend("release-0"))
	e.swap(e.route(all("release-0", old.Listener.Addr().String())))
	if err := e.Mark(t.Context(), "shop/production", "switches"); err != nil {
		t.Fatal(err)
	}
	l.run(500, 32)
	for i := range 20 {
		name, before := fmt.Sprint("release-", i+1), fmt.Sprint("release-", i)
		next := httptest.NewServer(l.backend(name))
		e.swap(e.route(all(name, next.Listener.Addr().String())))
		left, err := e.Drain(t.Context(), "shop/production", before, time.Minute)
		if err != nil || left != (Drained{}) {
			t.Errorf("drain of %s: %+v %v", before, left, err)
		}
		old.CloseClientConnections() // whoever is still there would notice
		old.Close()
		old = next
		eventually(t, name+" serves", func() bool { return e.stats(name).Requests > 50 })
	}
	l.end()
	m, err := e.Unmark(t.Context(), "shop/production", "switches")
	if err != nil || m.Failed != 0 || m.Gone != 0 || m.Requests != uint64(l.sent.Load()) {
		t.Errorf("measured %+v, %v; sent %d", m, err, l.sent.Load())
	}
	old.CloseClientConnections()
	old.Close()
}

func TestHoldAcrossStopFirst(t *testing.T) {
	e := start(t, Options{})
	hold := func(r *Route) { r.Hold = time.Minute }
	e.swap(e.route(all("old", backendOf(t, says("old"))), hold))
	c := client(t)
	get(t, c, e.url("/"))
	e.swap(e.route(nil, hold)) // the old one stops, the new one is not there yet
	answers := make(chan string, 50)
	var asking sync.WaitGroup
	for i := range cap(answers) {
		asking.Go(func() {
			res, err := c.Post(e.url("/"), "text/plain", strings.NewReader(fmt.Sprint(i)))
			if err != nil {
				answers <- err.Error()
				return
			}
			defer res.Body.Close() //nolint:errcheck // read to its end
			b, _ := io.ReadAll(res.Body)
			answers <- string(b)
		})
	}
	eventually(t, "requests wait", func() bool { s, err := e.Stats(t.Context()); return err == nil && s.Connections >= 50 })
	e.swap(e.route(all("new", backendOf(t, says("new"))), hold))
	asking.Wait()
	for range cap(answers) {
		if a := <-answers; a != "new" {
			t.Errorf("a held request got %q", a)
		}
	}
}

func TestHoldEnds(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(nil, func(r *Route) { r.Hold = 20 * time.Millisecond }))
	res, err := client(t).Get(e.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %s with Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	if s := e.stats(""); s.Gateway.Unavailable != 1 || s.Failed() != 1 {
		t.Errorf("counted %+v", s)
	}
}

// Answers that take long, up and down, are whole across a switch, and the drain waits for them by event.
func TestLongTransfersAcrossASwitch(t *testing.T) {
	e := start(t, Options{})
	const pieces = 20
	goOn := make(chan struct{}) // each transfer stops half way, until the drain has seen all of them
	release := sync.OnceFunc(func() { close(goOn) })
	slow := backendOf(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(pieces*1024))
		for i := range pieces {
			if i == pieces/2 {
				<-goOn
			}
			_, _ = w.Write(make([]byte, 1024))
			_ = http.NewResponseController(w).Flush()
		}
	})
	t.Cleanup(release)
	e.swap(e.route(all("old", slow)))
	var transfers sync.WaitGroup
	c := client(t)
	for i := range 10 {
		transfers.Go(func() {
			var body io.Reader
			if i%2 == 0 {
				body = &trickle{left: pieces, goOn: goOn}
			}
			res, err := c.Post(e.url("/"), "application/octet-stream", body)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close() //nolint:errcheck // read to its end
			if n, err := io.Copy(io.Discard, res.Body); err != nil || n != pieces*1024 {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
	eventually(t, "all are under way", func() bool { return e.stats("old").InFlight == 10 })
	e.swap(e.route(all("new", backendOf(t, says("new")))))
	if _, b := get(t, c, e.url("/")); b != "new" {
		t.Errorf("after the switch %q answered", b)
	}
	if d, err := e.Drain(t.Context(), "shop/production", "old", time.Nanosecond); err != nil || d.Left != 10 {
		t.Errorf("a drain without patience: %+v %v", d, err)
	}
	release()
	if d, err := e.Drain(t.Context(), "shop/production", "old", time.Minute); err != nil || d != (Drained{}) {
		t.Errorf("drain: %+v %v", d, err)
	}
	transfers.Wait()
	if s := e.stats("old"); s.InFlight != 0 || s.Live || s.Answers.OK != 10 {
		t.Errorf("the old release: %+v", s)
	}
}

// trickle is a body that comes in small pieces, half of them when it may go on.
type trickle struct {
	left int
	goOn <-chan struct{}
}

func (t *trickle) Read(p []byte) (int, error) {
	if t.left == 0 {
		return 0, io.EOF
	}
	if t.left--; t.left == 10 {
		<-t.goOn
	}
	return copy(p, "a piece of an upload"), nil
}

func TestSwapIsCompareAndSwap(t *testing.T) {
	e := start(t, Options{})
	var won, lost int
	var mu sync.Mutex
	var racing sync.WaitGroup
	for range 8 {
		racing.Go(func() {
			v, err := e.Swap(t.Context(), Table{Format: Format}, 0)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && v == 1:
				won++
			case problem.From(err).Code == problem.Blocked:
				lost++
			default:
				t.Errorf("version %d, %v", v, err)
			}
		})
	}
	racing.Wait()
	if won != 1 || lost != 7 {
		t.Errorf("%d won, %d lost", won, lost)
	}
}

func TestFailedBindLeavesTheOldTable(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("old", backendOf(t, says("old")))))
	taken := backendOf(t, says("somebody else"))
	fresh := freeAddr(t)
	bad := e.route(all("new", backendOf(t, says("new"))), func(r *Route) { r.Listen = append(r.Listen, fresh, taken) })
	_, err := e.Swap(t.Context(), Table{Format: Format, Routes: []Route{bad}}, 1)
	p := problem.From(err)
	if p == nil || p.Code != problem.Unavailable || !strings.Contains(p.Message, taken) || !strings.Contains(p.Message, "(pid ") {
		t.Errorf("the problem is %+v", p)
	}
	if _, b := get(t, client(t), e.url("/")); b != "old" {
		t.Errorf("%q answered", b)
	}
	if now, _ := e.Table(t.Context()); now.Version != 1 {
		t.Errorf("version %d", now.Version)
	}
	if _, err := client(t).Get("http://" + fresh); err == nil {
		t.Error("an address of the refused table is served")
	}
	s, _ := e.Stats(t.Context())
	for _, p := range s.Pools {
		if p.Release == "new" && p.Live {
			t.Error("the refused release counts as live")
		}
	}
}

// An address that changes what it speaks keeps its socket, one that is not wanted any more is closed.
func TestListenersFollowTheTable(t *testing.T) {
	e := start(t, Options{})
	to := backendOf(t, says("hello"))
	e.swap(e.route(all("a", to)))
	get(t, client(t), e.url("/"))
	e.swap(e.route(all("a", to), func(r *Route) { r.Protocol = TCP }))
	if _, b := get(t, client(t), e.url("/")); b != "hello" {
		t.Errorf("relayed: %q", b)
	}
	e.swap()
	eventually(t, "the address is free", func() bool {
		_, err := client(t).Get(e.url("/"))
		return err != nil
	})
}

func TestHostsOnSharedAddresses(t *testing.T) {
	e := start(t, Options{})
	front := freeAddr(t)
	shop := Route{Name: "shop/production", Hosts: []string{"shop.example.com"}, Protocol: HTTP, Pools: all("r", backendOf(t, says("shop")))}
	blog := Route{Name: "blog/production", Hosts: []string{"blog.example.com"}, Protocol: HTTP, Pools: all("r", backendOf(t, says("blog")))}
	if _, err := e.Swap(t.Context(), Table{Format: Format, Front: []string{front}, Routes: []Route{shop, blog}}, 0); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"shop.example.com": "shop", "BLOG.example.com:80": "blog", "shop.example.com.": "shop", "evil.example.com": "nothing is served under this name\n",
	} {
		req, _ := http.NewRequest(http.MethodGet, "http://"+front+"/", nil)
		req.Host = host
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if string(b) != want {
			t.Errorf("host %s: %q", host, b)
		}
	}
}

func TestMaintenance(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("r", backendOf(t, says("never"))), func(r *Route) {
		r.Maintenance = &Maintenance{Message: "<Moving> house", RetryAfter: 90 * time.Second}
	}))
	req, _ := http.NewRequest(http.MethodGet, e.url("/"), nil)
	req.Header.Set("Accept", "text/html")
	res, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") != "90" || !strings.Contains(string(b), "&lt;Moving&gt; house") {
		t.Errorf("%s %v %s", res.Status, res.Header, b)
	}
}
