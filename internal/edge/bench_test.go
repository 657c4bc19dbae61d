package edge

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"
)

// benchEdge is an edge without listeners before a real back end.
func benchEdge(b *testing.B) *edge {
	e := newEdge(Options{Dir: b.TempDir()}.withDefaults())
	to := backendOf(b, says("hello"))
	e.live.Store(e.keep.ready(Table{Format: Format, Routes: []Route{{
		Name: "r", Listen: []string{"127.0.0.1:1"}, Protocol: HTTP, Pools: all("r", to),
	}}}))
	b.Cleanup(e.keep.close)
	return e
}

func browserRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://shop.example/cart?id=1", nil)
	r.RemoteAddr = "192.0.2.1:40000"
	for k, v := range map[string]string{
		"Accept": "text/html", "Accept-Encoding": "gzip", "Accept-Language": "en", "Cookie": "session=abcdef", "User-Agent": "a browser", "X-Request-Id": "1",
	} {
		r.Header.Set(k, v)
	}
	return r
}

func serveMany(b *testing.B, h http.Handler) {
	b.Helper()
	b.ReportAllocs()
	r := browserRequest()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}

func BenchmarkEdge(b *testing.B) { serveMany(b, benchEdge(b).handler("127.0.0.1:1")) }

func BenchmarkBareReverseProxy(b *testing.B) {
	to, err := url.Parse("http://" + backendOf(b, says("hello")))
	if err != nil {
		b.Fatal(err)
	}
	tr := &http.Transport{MaxIdleConnsPerHost: maxIdle, DisableCompression: true}
	b.Cleanup(tr.CloseIdleConnections)
	serveMany(b, &httputil.ReverseProxy{Transport: tr, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() }})
}

// BenchmarkOwnPart is what the edge does to a request before and after the round trip.
func BenchmarkOwnPart(b *testing.B) {
	e := benchEdge(b)
	b.ReportAllocs()
	r := browserRequest()
	for b.Loop() {
		x := &exchange{edge: e, in: r, start: time.Now()}
		a := e.admit(r.Context(), "127.0.0.1:1", r.Host, r)
		x.route, x.pool = a.route, a.pool
		if out := x.outgoing(); out.Body != nil {
			b.Fatal("a body")
		}
		a.pool.next(nil)
		a.pool.counts.leave()
		a.pool.counts.record(ending{status: 200, head: time.Since(x.start)})
		a.route.marks.record(time.Now(), ending{status: 200})
	}
}

func BenchmarkSwap(b *testing.B) {
	e := benchEdge(b)
	t := e.live.Load().table
	t.Routes[0].Listen = nil // no sockets: what is measured is the making ready and the keeping on disk
	for b.Loop() {
		if _, err := e.swap(t, e.live.Load().table.Version); err != nil {
			b.Fatal(err)
		}
	}
}
