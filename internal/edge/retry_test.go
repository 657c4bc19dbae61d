package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cruel is a back end that answers the first request of a connection, waits for the first bytes of the second, and
// closes. It has read what it received: whether it acted on it, nobody can know.
type cruel struct {
	addr   string
	mu     sync.Mutex
	bodies map[string]int
	reused atomic.Int64 // connections that were used again
}

func newCruel(t *testing.T) *cruel {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &cruel{addr: ln.Addr().String(), bodies: map[string]int{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { b.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		serving.Wait()
	})
	return b
}

func (b *cruel) serve(c net.Conn) {
	defer c.Close() //nolint:errcheck // that is the point
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	b.mu.Lock()
	b.bodies[string(body)]++
	b.mu.Unlock()
	_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if _, err := r.ReadByte(); err == nil {
		b.reused.Add(1)
	}
}

func TestIdleCloseRace(t *testing.T) {
	e := start(t, Options{})
	b := newCruel(t)
	e.swap(e.route(all("r", b.addr)))
	c := client(t)
	for i := range 300 {
		if i%3 == 0 {
			if status, _ := get(t, c, e.url("/")); status != 200 {
				t.Fatalf("GET %d: %d", i, status)
			}
			continue
		}
		id := fmt.Sprint("post-", i)
		req, _ := http.NewRequest([]string{http.MethodPost, http.MethodPut}[i%2], e.url("/"), strings.NewReader(id))
		req.Header.Set("Idempotency-Key", id) // net/http would take this for leave to send twice
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 200 || string(got) != id {
			t.Fatalf("%s: %s %q", id, res.Status, got)
		}
	}
	if b.reused.Load() == 0 {
		t.Error("no connection was used again: the test proves nothing")
	}
	for id, n := range b.bodies {
		if id != "" && n != 1 {
			t.Errorf("%s was received %d times", id, n)
		}
	}
}

// A back end that takes a request and dies has perhaps acted on it: nothing is sent again, to nobody.
func TestNothingIsSentTwice(t *testing.T) {
	e := start(t, Options{})
	var received atomic.Int64
	dies := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		received.Add(1)
		panic(http.ErrAbortHandler)
	}
	e.swap(e.route(all("r", backendOf(t, dies), backendOf(t, dies), backendOf(t, dies))))
	c := client(t)
	for i, method := range []string{http.MethodPost, http.MethodGet, http.MethodPut, http.MethodDelete} {
		req, _ := http.NewRequest(method, e.url("/"), strings.NewReader("x"))
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 502 || received.Load() != int64(i+1) {
			t.Errorf("%s: %s after %d receptions", method, res.Status, received.Load())
		}
	}
	if s := e.stats("r"); s.Gateway.Bad != 4 || s.Failed() != 4 {
		t.Errorf("counted %+v", s)
	}
}

// A back end that cannot be connected to costs nobody anything as long as there is another, and is left alone.
func TestDialFailureGoesToTheNext(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("r", freeAddr(t), backendOf(t, says("well")), freeAddr(t))))
	c := client(t)
	post := func() {
		t.Helper()
		res, err := c.Post(e.url("/"), "text/plain", strings.NewReader("a body"))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatalf("POST: %s", res.Status)
		}
	}
	for range 60 {
		post()
	}
	// They are left alone for a while only: a busy machine may ask too late, and then they are tried again.
	eventually(t, "two are ejected", func() bool {
		post()
		s, err := e.Stats(t.Context())
		ejected := 0
		for _, b := range s.Backends {
			if !b.Healthy {
				ejected++
			}
		}
		return err == nil && ejected == 2
	})
	e.swap(e.route(all("r", freeAddr(t))))
	if status, _ := get(t, c, e.url("/")); status != 502 {
		t.Errorf("nobody there: %d", status)
	}
}

func TestActiveHealth(t *testing.T) {
	e := start(t, Options{})
	var well atomic.Bool
	moody := backendOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/up" && !well.Load() {
			w.WriteHeader(500)
		}
		_, _ = io.WriteString(w, "moody")
	})
	pools := all("r", moody, backendOf(t, says("steady")))
	pools[0].Health = &Health{Path: "/up", Interval: 10 * time.Millisecond, Timeout: time.Minute}
	e.swap(e.route(pools))
	healthy := func() (n int) {
		s, _ := e.Stats(t.Context())
		for _, b := range s.Backends {
			if b.Healthy {
				n++
			}
		}
		return n
	}
	eventually(t, "one is sick", func() bool { return healthy() == 1 })
	c := client(t)
	for range 20 {
		if _, b := get(t, c, e.url("/")); b != "steady" {
			t.Fatalf("%q answered", b)
		}
	}
	well.Store(true)
	eventually(t, "both are well", func() bool { return healthy() == 2 })
	// When none is well, any is better than none.
	well.Store(false)
	pools = all("r", moody)
	pools[0].Health = &Health{Path: "/up", Interval: 10 * time.Millisecond, Timeout: time.Minute}
	e.swap(e.route(pools))
	eventually(t, "it is sick", func() bool { return healthy() == 0 })
	if _, b := get(t, c, e.url("/")); b != "moody" {
		t.Errorf("%q answered", b)
	}
}

func TestResponseTimeout(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("r", backendOf(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })), func(r *Route) {
		r.Timeouts.Response = 50 * time.Millisecond
	}))
	if status, _ := get(t, client(t), e.url("/")); status != 504 {
		t.Errorf("%d", status)
	}
	if s := e.stats("r"); s.Gateway.Timeout != 1 {
		t.Errorf("counted %+v", s)
	}
}
