package edge

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// Upgrades under load: every edge is a process of its own, as in life.
func TestHandOverUnderLoad(t *testing.T) {
	dir := t.TempDir()
	spawn(t, "edge", dir)
	e := &running{Client: NewClient(dir), t: t, dir: dir, addr: freeAddr(t)}
	e.ready()
	l := newLoad(t, e.url(""))
	first, second := backendOf(t, l.backend("first")), backendOf(t, l.backend("second"))
	e.swap(e.route(all("first", first)))
	l.run(500, 32)
	instance := func() string {
		s, err := e.Stats(t.Context())
		if err != nil {
			return ""
		}
		return s.Instance
	}
	for i := range 4 {
		before := instance()
		spawn(t, "edge", dir)
		eventually(t, "the successor answers", func() bool { now := instance(); return now != "" && now != before })
		// While the predecessor still has connections, a switch counts for it too.
		if i%2 == 0 {
			e.swap(e.route(all("second", second)))
		} else {
			e.swap(e.route(all("first", first)))
		}
		eventually(t, "the predecessor is gone", func() bool { s, err := e.Stats(t.Context()); return err == nil && !s.Predecessor })
	}
	l.end()
	if l.sent.Load() < 500 {
		t.Errorf("only %d requests were sent", l.sent.Load())
	}
}

// A connection that stays with the predecessor goes where the successor's table says, and its requests are waited for.
func TestPredecessorFollows(t *testing.T) {
	old := start(t, Options{Linger: time.Minute})
	release := make(chan struct{})
	old.swap(old.route(all("a", backendOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		_, _ = io.WriteString(w, "a")
	}))))
	c, slow := client(t), client(t)
	get(t, c, old.url("/"))
	answered := make(chan string, 1)
	go func() {
		res, err := slow.Get(old.url("/slow"))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		b, _ := io.ReadAll(res.Body)
		answered <- string(b)
	}()
	eventually(t, "a request is under way", func() bool { return old.stats("a").InFlight == 1 })

	next := &running{Client: NewClient(old.dir), t: t, dir: old.dir, addr: old.addr}
	before, _ := next.Stats(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, Options{Dir: old.dir, TakeOver: true, Stop: 20 * time.Second}) }()
	eventually(t, "the successor answers", func() bool {
		s, err := next.Stats(t.Context())
		return err == nil && s.Instance != before.Instance && s.Predecessor
	})
	next.swap(next.route(all("b", backendOf(t, says("b")))))
	if _, b := get(t, c, old.url("/")); b != "b" {
		t.Errorf("a connection of the predecessor's got %q", b)
	}
	if d, err := next.Drain(t.Context(), "shop/production", "a", time.Millisecond); err != nil || !d.Predecessor {
		t.Errorf("drain: %+v %v", d, err)
	}
	close(release)
	if a := <-answered; a != "a" {
		t.Errorf("the request under way got %q", a)
	}
	c.CloseIdleConnections()
	slow.CloseIdleConnections()
	if d, err := next.Drain(t.Context(), "shop/production", "a", time.Minute); err != nil || d != (Drained{}) {
		t.Errorf("drain: %+v %v", d, err)
	}
	old.stop()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A successor that dies in the middle of taking over changes nothing.
func TestSuccessorDies(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("a", backendOf(t, says("a")))))
	for _, read := range []int64{-1, 0, 100} { // -1: not even the byte that asks for the descriptors is sent
		c, err := dialAdmin(t.Context(), e.dir)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "POST /handover HTTP/1.1\r\nHost: edge\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		if read >= 0 {
			_, _ = c.Write([]byte{1})
			_, _ = io.CopyN(io.Discard, c, read)
		}
		_ = c.Close()
	}
	e.swap(e.route(all("b", backendOf(t, says("b")))))
	if _, b := get(t, client(t), e.url("/")); b != "b" {
		t.Errorf("%q answered", b)
	}
}
