package edge

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawBackend records every byte that it gets and answers each request head that net/http would read.
type rawBackend struct {
	addr string
	mu   sync.Mutex
	got  bytes.Buffer
}

func newRawBackend(t *testing.T) *rawBackend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &rawBackend{addr: ln.Addr().String()}
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

func (b *rawBackend) serve(c net.Conn) {
	defer c.Close() //nolint:errcheck // a test's
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(io.TeeReader(c, b))
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

func (b *rawBackend) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got.Write(p)
}

// take gives what was received.
func (b *rawBackend) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got.String()
}

// say sends bytes to the edge and gives the status of the first answer; 0 when there is none.
func say(t *testing.T, addr, bytes string) int {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // a test's
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, bytes); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
	return res.StatusCode
}

// Everything here is either refused, or reaches the back end in one form that cannot be read in two ways.
func TestRequestsThatCanBeReadInTwoWays(t *testing.T) {
	e := start(t, Options{})
	tests := []struct {
		name, send string
		status     int      // of the first answer; 0: none
		backend    []string // what the back end must have got
		never      []string // what it must not have got; with neither, it must have got nothing
	}{
		{name: "two lengths", send: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", status: 400},
		{name: "two lengths in one", send: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 4\r\n\r\nabcd", status: 400},
		{name: "signed length", send: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", status: 400},
		{name: "hexadecimal length", send: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc", status: 400},
		{name: "length before the colon", send: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc", status: 400},
		{
			name:   "length and chunks",
			send:   "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			status: 200, backend: []string{"Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"}, never: []string{"Content-Length"},
		},
		{name: "unknown encoding", send: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", status: 501},
		{name: "two encodings", send: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", status: 501},
		{name: "encoding list", send: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", status: 501},
		{name: "encoding behind a vertical tab", send: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", status: 400},
		{
			name: "bare line feeds", send: "GET /a HTTP/1.1\nHost: h\nX-A: 1\n\n",
			status: 200, backend: []string{"GET /a HTTP/1.1\r\n", "X-A: 1\r\n"},
		},
		{name: "bare carriage return", send: "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\rX-B: 2\r\n\r\n", status: 400},
		{name: "NUL in a value", send: "GET / HTTP/1.1\r\nHost: h\r\nX-A: a\x00b\r\n\r\n", status: 400},
		{name: "NUL in a key", send: "GET / HTTP/1.1\r\nHost: h\r\nX-\x00A: a\r\n\r\n", status: 400},
		{name: "space in a key", send: "GET / HTTP/1.1\r\nHost: h\r\nX A: a\r\n\r\n", status: 400},
		{
			name: "folded line", send: "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n Content-Length: 9\r\n\r\n",
			status: 200, backend: []string{"X-A: 1 Content-Length: 9\r\n"}, never: []string{"\r\nContent-Length"},
		},
		{name: "bad chunk length", send: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", status: 400, never: []string{"abc"}},
		{name: "bare line feed behind a chunk length", send: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", status: 400, never: []string{"abc\r\n0\r\n"}},
		{name: "no host", send: "GET / HTTP/1.1\r\n\r\n", status: 400},
		{name: "two hosts", send: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", status: 400},
		{name: "a host that is none", send: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", status: 400},
		{
			name:   "a host in three places",
			send:   "GET http://one.example/p HTTP/1.1\r\nHost: two.example\r\nX-Forwarded-Host: three.example\r\nForwarded: host=four.example\r\n\r\n",
			status: 200, backend: []string{"GET /p HTTP/1.1\r\nHost: one.example\r\n", "X-Forwarded-Host: one.example\r\n"},
			never: []string{"two.example", "three.example", "four.example"},
		},
		{name: "CONNECT", send: "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", status: 405},
		{name: "TRACE", send: "TRACE / HTTP/1.1\r\nHost: h\r\nCookie: secret\r\n\r\n", status: 405},
		{
			name:   "HTTP/2 by upgrade",
			send:   "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
			status: 200, backend: []string{"GET / "}, never: []string{"h2c", "Upgrade", "ttp2-Settings"},
		},
		{name: "HTTP/2 by knowledge", send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: 505},
		{name: "HTTP/0.9", send: "GET /\r\n\r\n", status: 400},
		{
			name: "a second request inside the first", send: "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 29\r\n\r\nGET /smuggled HTTP/1.1\r\nX: y\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n",
			status: 200, backend: []string{"Content-Length: 29\r\n"},
		},
		{
			name: "a path that tries to leave", send: "GET /a/..%2f..//../b%00?x;y=%zz HTTP/1.1\r\nHost: h\r\n\r\n",
			status: 200, backend: []string{"GET /a/..%2f..//../b%00?x;y=%zz HTTP/1.1\r\n"},
		},
		{name: "a line feed in the path", send: "GET /a\nX-B: c HTTP/1.1\r\nHost: h\r\n\r\n", status: 400},
		{name: "a head without end", send: "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 80<<10) + "\r\n\r\n", status: 431},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := newRawBackend(t)
			e.swap(e.route(all("r", raw.addr)))
			defer e.swap() // idle connections to the raw back end end here
			if got := say(t, e.addr, tt.send); got != tt.status {
				t.Errorf("answered %d, want %d", got, tt.status)
			}
			sent := raw.take()
			for _, w := range tt.backend {
				if !strings.Contains(sent, w) {
					t.Errorf("the back end did not get %q but %q", w, sent)
				}
			}
			if len(tt.backend)+len(tt.never) == 0 && sent != "" {
				t.Errorf("the back end got %q", sent)
			}
			for _, w := range tt.never {
				if strings.Contains(sent, w) {
					t.Errorf("the back end got %q", sent)
				}
			}
		})
	}
}

// What an application sees of headers that anybody can send.
func TestForgedHeaders(t *testing.T) {
	e := start(t, Options{})
	seen := make(chan http.Header, 1)
	to := backendOf(t, func(_ http.ResponseWriter, r *http.Request) {
		r.Header.Set("Host", r.Host)
		seen <- r.Header
	})
	e.swap(e.route(all("r", to)))
	send := func(headers string) http.Header {
		if got := say(t, e.addr, "GET / HTTP/1.1\r\nHost: shop.example\r\n"+headers+"\r\n"); got != 200 {
			t.Fatalf("answered %d", got)
		}
		return <-seen
	}
	for _, k := range []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded",
		"X-Forwarded-Prefix", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "Remote-User", "Remote-Groups", "X-Remote-User", "X-Remote-Groups",
		"X-Auth-Request-User", "X-Auth-Request-Email", "X-Authenticated-User", "X-Webauth-User", "X-Original-URL", "X-Rewrite-URL", "X-SSL-Client-Verify",
		"Proxy", "X_Forwarded_For", "Remote_User", "x-forwarded_for", "Keep-Alive", "Proxy-Authorization", "TE",
	} {
		h := send(k + ": forged\r\n")
		for name, vs := range h {
			if strings.Contains(strings.Join(vs, ","), "forged") {
				t.Errorf("%s reached the application as %s: %v", k, name, vs)
			}
		}
		want := http.Header{"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"shop.example"}, "X-Forwarded-Proto": {"http"}}
		for name, v := range want {
			if got := h[name]; len(got) != 1 || got[0] != v[0] {
				t.Errorf("with %s forged, %s is %q", k, name, got)
			}
		}
	}
	h := send("Connection: X-Forwarded-For, x-mine, close, Host, X-Forwarded-Host\r\nX-Mine: 1\r\nX-Other: 2\r\n")
	if h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Mine") != "" || h.Get("X-Other") != "2" || h.Get("Host") != "shop.example" {
		t.Errorf("hop-by-hop abuse: %v", h)
	}
	if _, told := h["User-Agent"]; told {
		t.Errorf("the edge named itself: %v", h["User-Agent"])
	}
	e.swap(e.route(all("r", to), func(r *Route) { r.Internal = true }))
	h = send("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: outside.example\r\nX-Remote-User: kim\r\n")
	if h.Get("X-Forwarded-For") != "192.0.2.1, 127.0.0.1" || h.Get("X-Forwarded-Host") != "outside.example" || h.Get("X-Remote-User") != "kim" {
		t.Errorf("an internal route: %v", h)
	}
}

// Clients that send their head for ever are let go, and others do not notice them.
func TestSlowHeads(t *testing.T) {
	e := start(t, Options{ReadHeader: 2 * time.Second})
	e.swap(e.route(all("r", backendOf(t, says("ok")))))
	const slow = 500
	var conns []net.Conn
	for range slow {
		c, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // a test's
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if status, body := get(t, client(t), e.url("/")); status != 200 || body != "ok" {
		t.Errorf("meanwhile: %d %q", status, body)
	}
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Fatalf("not let go: %v", err)
		}
	}
	if s := e.stats("r"); s.Requests != 1 {
		t.Errorf("the release got %d requests", s.Requests)
	}
}

// Headers that applications answer with lose what speaks of their connection, and nothing else.
func TestAnswerHeaders(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Keep-Alive", "timeout=5")
		h.Set("X-End", "2")
		h["Set-Cookie"] = []string{"a=1", "b=2"}
		h["Content-Type"] = nil
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "<html>")
	}))))
	res, err := client(t).Get(e.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	h := textproto.MIMEHeader(res.Header)
	if res.StatusCode != 418 || h.Get("X-Hop") != "" || h.Get("Keep-Alive") != "" || h.Get("X-End") != "2" || len(h["Set-Cookie"]) != 2 || h.Get("Content-Type") != "" {
		t.Errorf("%s %v", res.Status, h)
	}
}
