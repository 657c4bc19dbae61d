package edge

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// framed is a client of HTTP/2 that says what no client would.
type framed struct {
	*http2.Framer
	t    *testing.T
	conn *tls.Conn
	head bytes.Buffer
	enc  *hpack.Encoder
}

func (s *site) framed() *framed {
	s.t.Helper()
	// A small buffer, so that what is not read soon stands in the edge's way. Set later it would lose what is under way.
	small := func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10) })
	}
	raw, err := (&net.Dialer{Control: small}).Dial("tcp", s.https)
	if err != nil {
		s.t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{ServerName: shop, RootCAs: s.acme.root, NextProtos: []string{"h2"}})
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	f := &framed{t: s.t, conn: c, Framer: http2.NewFramer(c, c)}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.enc = hpack.NewEncoder(&f.head)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		s.t.Fatal(err)
	}
	if err := f.WriteSettings(); err != nil {
		s.t.Fatal(err)
	}
	return f
}

// fields encodes a header: pairs of name and value.
func (f *framed) fields(pairs ...string) []byte {
	f.head.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = f.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(f.head.Bytes())
}

// ask sends a header on a stream.
func (f *framed) ask(stream uint32, end bool, pairs ...string) error {
	return f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: f.fields(pairs...), EndStream: end, EndHeaders: true,
	})
}

// answer is the status on a stream; 0 where the stream was reset or the connection ended.
func (f *framed) answer(stream uint32) int {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return 0
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream {
				status, _ := strconv.Atoi(frame.PseudoValue("status"))
				return status
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return 0
			}
		}
	}
}

// ended reads until the edge closes the connection, and is false when it never does.
func (f *framed) ended() bool {
	for {
		_, err := f.ReadFrame()
		var se http2.StreamError
		if err != nil && !errors.As(err, &se) {
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}

// What HTTP/2 can say and HTTP/1 would read otherwise does not reach the back end, or reaches it in one form only.
func TestHTTP2ThatTurnsIntoSomethingElse(t *testing.T) {
	e := newSite(t, 0)
	e.swap(e.route(nil, hosted(shop)))
	e.certified(shop)
	get := []string{":method", "GET", ":scheme", "https", ":authority", shop, ":path", "/"}
	with := func(more ...string) []string { return append(append([]string{}, get...), more...) }
	replaced := func(name, value string) []string {
		out := append([]string{}, get...)
		for i := 0; i < len(out); i += 2 {
			if out[i] == name {
				out[i+1] = value
			}
		}
		return out
	}
	const smuggled = "GET /smuggled"
	tests := []struct {
		name   string
		fields []string
		body   string
		status []int    // any of these; 0: the stream or the connection is reset
		got    []string // what the back end must have got; without, it must have got nothing
		never  []string
	}{
		{name: "as it should be", fields: get, status: []int{200}, got: []string{"GET / HTTP/1.1\r\nHost: " + shop + "\r\n"}},
		{name: "a line in the method", fields: replaced(":method", "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\nGET"), status: []int{0, 400}},
		{name: "a space in the method", fields: replaced(":method", "GET /smuggled HTTP/1.1"), status: []int{0, 400}},
		{name: "a space in the path", fields: replaced(":path", "/x HTTP/1.1"), status: []int{400}},
		{name: "a space in the query", fields: replaced(":path", "/?x HTTP/1.1"), status: []int{400}},
		{name: "a line in the path", fields: replaced(":path", "/ HTTP/1.1\r\nX: y"), status: []int{0, 400}},
		{name: "a tab in the path", fields: replaced(":path", "/?a\tb"), status: []int{0, 400}},
		{name: "a line in the authority", fields: replaced(":authority", shop+"\r\nX: y"), status: []int{0, 400, 421}},
		{name: "another authority", fields: replaced(":authority", "other.example"), status: []int{421}},
		{name: "a line in a value", fields: with("x-a", "1\r\nX-B: 2"), status: []int{0, 400}},
		{name: "a NUL in a value", fields: with("x-a", "1\x002"), status: []int{0, 400}},
		{name: "a colon in a name", fields: with("x-a: 1", "2"), status: []int{0, 400}},
		{name: "a name in upper case", fields: with("X-Upper", "1"), status: []int{0, 400}},
		{name: "an encoding of transfer", fields: with("transfer-encoding", "chunked"), status: []int{0, 400}},
		{name: "a connection header", fields: with("connection", "x-a"), status: []int{0, 400}},
		{name: "an upgrade", fields: with("upgrade", "h2c"), status: []int{0, 400}},
		{name: "a second host", fields: with("host", "other.example"), status: []int{200, 0, 400}, got: []string{"Host: " + shop}, never: []string{"other.example"}},
		{name: "a length that is too short", fields: with("content-length", "0"), body: smuggled, status: []int{0, 400, 200}, never: []string{"smuggled"}},
		{name: "a length that is too long", fields: with("content-length", "100"), body: "abc", status: []int{0, 400, 502}, never: []string{"\r\n\r\nabcGET"}},
		{name: "two lengths", fields: with("content-length", "3", "content-length", "4"), body: "abcd", status: []int{0, 400}},
		{name: "a length with a sign", fields: with("content-length", "+3"), body: "abc", status: []int{0, 400, 200}, never: []string{"+3"}},
		{name: "CONNECT", fields: []string{":method", "CONNECT", ":authority", "evil.example:443"}, status: []int{405}},
		{name: "extended CONNECT", fields: with(":protocol", "websocket"), status: []int{0, 400}},
		{name: "TRACE", fields: replaced(":method", "TRACE"), status: []int{405}},
		{name: "no path", fields: replaced(":path", ""), status: []int{0, 400}},
		{name: "a path that is an address", fields: replaced(":path", "http://other.example/x"), status: []int{0, 400, 200}, never: []string{"Host: other.example"}},
		{name: "two paths", fields: with(":path", "/smuggled"), status: []int{0, 400}},
		{name: "a forged address", fields: with("x-forwarded-for", "6.6.6.6", "x_forwarded_for", "6.6.6.6"), status: []int{200}, got: []string{"X-Forwarded-Proto: https"}, never: []string{"6.6.6.6"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := newRawBackend(t)
			e.swap(e.route(all("r", raw.addr), hosted(shop)))
			defer e.swap(e.route(nil, hosted(shop))) // idle connections to the raw back end end here
			f := e.framed()
			if err := f.ask(1, tt.body == "", tt.fields...); err != nil {
				t.Fatal(err)
			}
			if tt.body != "" {
				_ = f.WriteData(1, true, []byte(tt.body)) // it may have been reset already
			}
			status := f.answer(1)
			ok := false
			for _, s := range tt.status {
				ok = ok || s == status
			}
			if !ok {
				t.Errorf("answered %d, want one of %v", status, tt.status)
			}
			sent := raw.take()
			for _, w := range tt.got {
				if status == 200 && !strings.Contains(sent, w) {
					t.Errorf("the back end did not get %q but %q", w, sent)
				}
			}
			if len(tt.got)+len(tt.never) == 0 && sent != "" {
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

// Whoever floods a connection loses it, or waits; others do not notice.
func TestHTTP2Floods(t *testing.T) {
	e := newSite(t, 0)
	arrived := make(chan struct{}, 1<<16)
	e.swap(e.route(all("r", backendOf(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-r.Context().Done()
		}
	})), hosted(shop)))
	e.certified(shop)
	good := visitor(t, e.https, e.acme.root, true)
	others := func(t *testing.T) {
		t.Helper()
		if status, _ := get(t, good, "https://"+shop+"/"); status != 200 {
			t.Errorf("others get %d", status)
		}
	}
	slow := []string{":method", "GET", ":scheme", "https", ":authority", shop, ":path", "/slow"}

	t.Run("rapid reset", func(t *testing.T) {
		f := e.framed()
		go func() { _ = f.ended() }()
		for i := range uint32(5000) {
			if f.ask(2*i+1, true, slow...) != nil || f.WriteRSTStream(2*i+1, http2.ErrCodeCancel) != nil {
				break // closed, which is what is wanted
			}
		}
		others(t)
		if s := e.stats("r"); s.InFlight > maxStreams {
			t.Errorf("%d requests are under way", s.InFlight)
		}
	})
	t.Run("more streams than allowed", func(t *testing.T) {
		f := e.framed()
		for i := range uint32(3 * maxStreams) {
			if err := f.ask(2*i+1, true, slow...); err != nil {
				break
			}
		}
		others(t)
		eventually(t, "no more than allowed are under way", func() bool { return e.stats("r").InFlight <= maxStreams })
	})
	t.Run("settings", func(t *testing.T) {
		f := e.framed()
		f.flood(100, func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 16})
		})
		others(t)
	})
	t.Run("continuations", func(t *testing.T) {
		f := e.framed()
		block := f.fields(slow...)
		err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true})
		more := f.fields("x-more", strings.Repeat("a", 8<<10))
		for n := 0; err == nil && n < 10_000; n++ {
			err = f.WriteContinuation(1, false, more)
		}
		if err == nil {
			t.Error("80 MB of header were taken")
		}
		others(t)
	})
	t.Run("pings", func(t *testing.T) {
		f := e.framed()
		_ = f.conn.SetDeadline(time.Now().Add(5 * time.Minute)) // a busy machine takes a while to fill what the kernel keeps
		if !f.flood(2000, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{1}) }) {
			t.Error("the connection goes on, though no answer is read")
		}
		others(t)
	})
}

// flood sends a frame a thousand times for each batch, and reads no answer. It says whether the edge closed the connection.
func (f *framed) flood(batches int, write func(*http2.Framer) error) bool {
	var batch bytes.Buffer
	to := http2.NewFramer(&batch, nil)
	for range 1000 {
		_ = write(to) // into memory
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var err error
	for n := 0; err == nil && n < batches; n++ {
		_, err = f.conn.Write(batch.Bytes())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		f.t.Errorf("the edge holds %d MB more", grown>>20)
	}
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// HTTP/2 without TLS is not spoken, at any entrance.
func TestNoHTTP2WithoutTLS(t *testing.T) {
	e := newSite(t, 0)
	e.swap(e.route(all("r", backendOf(t, says("ok"))), hosted(shop)))
	e.certified(shop)
	if got := say(t, e.http, http2.ClientPreface); got == 200 || got == 101 {
		t.Errorf("by knowledge: %d", got)
	}
	if got := say(t, e.http, "GET / HTTP/1.1\r\nHost: "+shop+"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"); got != 308 {
		t.Errorf("by upgrade: %d", got)
	}
}

// A back end that answers before it has read the body ends that request, and not the connection with all others.
func TestEarlyAnswerOverHTTP2(t *testing.T) {
	e := newSite(t, 0)
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})), hosted(shop)))
	e.certified(shop)
	f := e.framed()
	post := []string{":method", "POST", ":scheme", "https", ":authority", shop, ":path", "/"}
	for i := range uint32(20) {
		stream := 2*i + 1
		if err := f.ask(stream, false, post...); err != nil {
			t.Fatal(err)
		}
		if err := f.WriteData(stream, false, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if status := f.answer(stream); status != http.StatusRequestEntityTooLarge {
			t.Fatalf("request %d was answered %d", i, status)
		}
	}
}
