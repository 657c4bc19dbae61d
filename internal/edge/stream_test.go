package edge

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// A release that dies inside an answer: the client must see that it is not whole, with a length and without.
func TestBackendDiesInsideABody(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", "100000")
		}
		_, _ = w.Write(make([]byte, 50_000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))))
	for _, path := range []string{"/length", "/chunks"} {
		res, err := client(t).Get(e.url(path))
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: a short answer was taken for a whole one", path)
		}
	}
	eventually(t, "both are counted", func() bool { s := e.stats("r"); return s.Cut == 2 && s.Failed() == 2 && s.InFlight == 0 })
}

func TestClientGoesAway(t *testing.T) {
	e := start(t, Options{})
	reached, noticed := make(chan struct{}), make(chan struct{}) // one that went earlier is never heard of behind the edge
	e.swap(e.route(all("r", backendOf(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(noticed)
	}))))
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	await(t, "it is under way", reached)
	_ = c.Close()
	await(t, "the release notices", noticed)
	eventually(t, "it is counted", func() bool { s := e.stats("r"); return s.Gone == 1 && s.Failed() == 0 && s.InFlight == 0 })
}

// An event comes when it is sent, not when a buffer is full.
func TestEventsAreNotHeldBack(t *testing.T) {
	e := start(t, Options{})
	next := make(chan struct{})
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	}))))
	res, err := client(t).Get(e.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // a test's
	for i, r := 0, bufio.NewReader(res.Body); i < 3; i++ {
		if line, err := r.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("%q %v", line, err)
		}
		next <- struct{}{}
	}
}

func TestTrailersAndEarlyHints(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
		w.Header().Set(http.TrailerPrefix+"X-Late", "43")
	}))))
	hints := ""
	req, _ := http.NewRequest(http.MethodGet, e.url("/"), nil)
	req = req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = fmt.Sprint(code, h.Get("Link"))
			return nil
		},
	}))
	res, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if string(b) != "body" || err != nil || res.Trailer.Get("X-Sum") != "42" || res.Trailer.Get("X-Late") != "43" || hints != "103</style.css>; rel=preload" {
		t.Errorf("%q %v trailers %v hints %q", b, err, res.Trailer, hints)
	}
}

// A back end that does not want an upload is heard before the client has sent it, and one that wants it gets it.
func TestExpectContinue(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))))
	for path, want := range map[string]string{"/yes": "HTTP/1.1 100 Continue\r\n", "/no": "HTTP/1.1 403 Forbidden\r\n"} {
		c, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", path)
		r := bufio.NewReader(c)
		if line, err := r.ReadString('\n'); line != want {
			t.Errorf("%s: %q %v", path, line, err)
		}
		if path == "/yes" {
			_, _ = r.ReadString('\n')
			_, _ = io.WriteString(c, "hello")
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if string(b) != "hello" {
				t.Errorf("%q", b)
			}
		}
		_ = c.Close()
	}
}

// An early answer to an upload reaches the client although it is still sending, and the connection ends cleanly.
func TestEarlyAnswerToAnUpload(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	}))))
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n")
	_, _ = c.Write(make([]byte, 1000))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 413 || !res.Close {
		t.Fatalf("%v %v", res, err)
	}
	_ = res.Body.Close()
	_ = c.Close()
	// Later requests must not be hurt by what became of this one.
	hc := client(t)
	for range 20 {
		r, err := hc.Post(e.url("/"), "text/plain", bytes.NewReader(make([]byte, 300_000)))
		if err != nil {
			continue // net/http's client gives up on an upload whose connection ends, which is its right
		}
		if r.StatusCode != 413 {
			t.Errorf("%s", r.Status)
		}
		_ = r.Body.Close()
	}
	eventually(t, "all have ended", func() bool { return e.stats("r").InFlight == 0 })
}

// echo answers an upgrade and says back what it is told.
func echo(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "no websocket", http.StatusBadRequest)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close() //nolint:errcheck // a test's
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Mine: 1\r\n\r\n")
	_ = rw.Flush()
	_, _ = io.Copy(c, rw)
}

func openSocket(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	// The first message comes right behind the request, as some clients do it.
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("X-Mine") != "1" {
		t.Fatalf("%+v %v", res, err)
	}
	hears(t, r, "first")
	return c, r
}

func hears(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("heard %q, %v", b, err)
	}
}

func TestWebsocketOverASwitch(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("old", backendOf(t, echo))))
	c, r := openSocket(t, e.addr)
	e.swap(e.route(all("new", backendOf(t, echo))))
	_, _ = io.WriteString(c, "over the switch")
	hears(t, r, "over the switch")
	d, err := e.Drain(t.Context(), "shop/production", "old", 50*time.Millisecond)
	if err != nil || d.Closed != 1 || d.Left > 1 { // what is closed has a moment to end, which a busy machine may miss
		t.Errorf("drain: %+v %v", d, err)
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the drain: %v", err)
	}
	eventually(t, "it is counted", func() bool { s := e.stats("old"); return s.Answers.Info == 1 && s.InFlight == 0 })
}

func TestUnaskedUpgrade(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Upgrade", "websocket")
		echo(w, r)
	}))))
	if status, _ := get(t, client(t), e.url("/")); status != 502 {
		t.Errorf("%d", status)
	}
}

func TestRelay(t *testing.T) {
	e := start(t, Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // a test's
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // a test's
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	tcp := func(r *Route) { r.Protocol = TCP }
	e.swap(e.route(all("r", freeAddr(t), ln.Addr().String()), tcp))
	for range 4 { // the one that is not there is passed over
		c, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(c, "hello")
		_ = c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
			t.Errorf("%q %v", b, err)
		}
		_ = c.Close()
	}
	eventually(t, "these have left", func() bool { return e.stats("r").InFlight == 0 })
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // a test's
	eventually(t, "it is in flight", func() bool { return e.stats("r").InFlight == 1 })
	e.swap(e.route(nil, tcp))
	if d, err := e.Drain(t.Context(), "shop/production", "r", 10*time.Millisecond); err != nil || d.Closed != 1 || d.Left > 1 {
		t.Errorf("drain: %+v %v", d, err)
	}
}
