package edge

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/internal/edge/acmetest"
)

const (
	shop = "shop.example.com"
	blog = "blog.example.com"
)

// Hosts come and go with the table; each has a certificate of its own, and nobody else's name is answered for.
func TestHostsAndCertificates(t *testing.T) {
	e := newSite(t, 0)
	seen := make(chan http.Header, 1)
	to := backendOf(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		_, _ = io.WriteString(w, "shop")
	})
	e.swap(e.route(all("r", to), hosted(shop)))
	e.certified(shop)

	for proto, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		res, err := visitor(t, e.https, e.acme.root, two).Get("https://" + shop + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		h := <-seen
		if res.StatusCode != 200 || res.Proto != proto || h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Forwarded-Host") != shop {
			t.Errorf("%s by %s, the release saw %v", res.Status, res.Proto, h)
		}
	}

	_, err := handshake(e.https, blog, e.acme.root)
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a handshake for a name that is nobody's: %v", err)
	}
	if _, err := handshake(e.https, "", e.acme.root); err == nil {
		t.Error("a handshake without a name was answered")
	}
	e.swap(e.route(all("r", to), hosted(blog)))
	e.certified(blog)
	if _, err := handshake(e.https, blog, e.acme.root); err != nil {
		t.Errorf("a new host: %v", err)
	}
	if _, err := handshake(e.https, shop, e.acme.root); err == nil {
		t.Error("a host that left the table is still answered for")
	}
}

func TestPlainEntranceLeadsToHTTPS(t *testing.T) {
	e := newSite(t, 0)
	e.swap(e.route(all("r", backendOf(t, says("never asked"))), hosted(shop)))
	e.certified(shop)
	c := visitor(t, e.http, nil, false)
	tests := []struct {
		method, url, location string
		status                int
	}{
		{"GET", "http://" + shop + "/a/b?c=d", "https://" + shop + "/a/b?c=d", 308},
		{"POST", "http://" + strings.ToUpper(shop) + ":80/", "https://" + shop + "/", 308},
		{"GET", "http://" + shop + "//evil.example/%2f", "https://" + shop + "//evil.example/%2f", 308},
		{"GET", "http://evil.example/", "", 404},
		{"GET", "http://" + shop + "/.well-known/acme-challenge/nobody-asked", "https://" + shop + "/.well-known/acme-challenge/nobody-asked", 308},
	}
	for _, tt := range tests {
		req, err := http.NewRequest(tt.method, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != tt.status || res.Header.Get("Location") != tt.location {
			t.Errorf("%s %s: %s to %q", tt.method, tt.url, res.Status, res.Header.Get("Location"))
		}
	}
	if s := e.stats(""); s.Requests != 0 {
		t.Errorf("counted %+v", s)
	}
}

// Where the world reaches only one of the two ports, the other challenge does.
func TestEitherChallenge(t *testing.T) {
	nowhere := freeAddr(t)
	_, closed, _ := net.SplitHostPort(nowhere)
	var none int
	_, _ = fmt.Sscan(closed, &none)
	for name, only := range map[string]func(plain, secure Entrance) acmetest.Config{
		"HTTP":     func(plain, _ Entrance) acmetest.Config { return acmetest.Config{HTTP: port(plain), TLS: none} },
		"TLS-ALPN": func(_, secure Entrance) acmetest.Config { return acmetest.Config{HTTP: none, TLS: port(secure)} },
	} {
		t.Run(name, func(t *testing.T) {
			plain, secure := door(t, false), door(t, true)
			a := newACME(t, only(plain, secure))
			e := start(t, Options{Entrances: []Entrance{plain, secure}, ACME: a.ACME})
			e.swap(e.route(all("r", backendOf(t, says("ok"))), hosted(shop)))
			e.certified(shop)
		})
	}
}

// Without the ACME server everything goes on: who has a certificate keeps it over a restart, who has none is alone in it.
func TestACMEServerIsGone(t *testing.T) {
	e := newSite(t, 0)
	to := backendOf(t, says("shop"))
	e.swap(e.route(all("r", to), hosted(shop)))
	e.certified(shop)
	e.acme.stop()
	e.stop()

	again := door(t, true)
	next := start(t, Options{Dir: e.dir, Entrances: []Entrance{again}, ACME: e.acme.ACME})
	next.addr = e.addr
	next.swap(next.route(all("r", to), hosted(shop, blog)))
	status, body := get(t, visitor(t, again.Listener.Addr().String(), e.acme.root, true), "https://"+shop+"/")
	if status != 200 || body != "shop" {
		t.Errorf("%d %q", status, body)
	}
	eventually(t, "the trouble is told", func() bool {
		s, err := next.Stats(t.Context())
		if err != nil || len(s.Certificates) != 2 {
			return false
		}
		missing, there := s.Certificates[0], s.Certificates[1]
		return missing.Host == blog && missing.Problem != "" && missing.Until.IsZero() && there.Problem == "" && !there.Until.IsZero()
	})
	if _, err := handshake(again.Listener.Addr().String(), blog, e.acme.root); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("the host without a certificate: %v", err)
	}
}

// A certificate that was not renewed in time is presented as it is, to its own users; what can't be read is asked for
// anew.
func TestExpiredAndDamagedCertificates(t *testing.T) {
	e := newSite(t, 0)
	to := backendOf(t, says("ok"))
	e.swap(e.route(all("r", to), hosted(shop, blog)))
	e.certified(shop)
	e.certified(blog)
	e.stop()
	old, err := acmetest.SelfSigned(shop, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	keep(t, e.dir, shop, old)
	files, err := filepath.Glob(filepath.Join(e.dir, certsFolder, "certificates", "*", blog, blog+".crt"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}

	e.acme.stop()
	secure := door(t, true)
	address := secure.Listener.Addr().String()
	start(t, Options{Dir: e.dir, Entrances: []Entrance{secure}, ACME: e.acme.ACME})
	var invalid x509.CertificateInvalidError
	eventually(t, "the expired one is presented", func() bool {
		_, err := handshake(address, shop, e.acme.root)
		return errors.As(err, &invalid) && invalid.Reason == x509.Expired
	})
	if _, err := handshake(address, blog, e.acme.root); err == nil {
		t.Error("a damaged certificate is presented")
	}
	if _, err := os.Stat(files[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the damaged one is still kept: %v", err)
	}
}

// keep puts a certificate in place of the one that an edge keeps for a host.
func keep(t *testing.T, dir, host string, c tls.Certificate) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, certsFolder, "certificates", "*", host, host+".*"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		switch filepath.Ext(f) {
		case ".crt":
			err = os.WriteFile(f, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600)
		case ".key":
			err = os.WriteFile(f, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Certificates that live for seconds are renewed under load, and nobody notices.
func TestRotationUnderLoad(t *testing.T) {
	e := newSite(t, 21) // of which the last third is for the renewal
	l := newLoad(t, "https://"+shop)
	l.c = visitor(t, e.https, e.acme.root, true)
	e.swap(e.route(all("r", backendOf(t, l.backend("r"))), hosted(shop)))
	first := e.certified(shop)
	anew := visitor(t, e.https, e.acme.root, false)
	anew.Transport.(*http.Transport).DisableKeepAlives = true // a handshake for each request
	l.run(100, 8)
	eventually(t, "the certificate is renewed", func() bool {
		if status, _ := get(t, anew, "https://"+shop+"/?id=x"); status != 200 {
			t.Errorf("%d", status)
		}
		return e.certified(shop).Until.After(first.Until)
	})
	l.end()
}

// A connection that was made for one name carries requests for no other.
func TestAnotherNameOnTheSameConnection(t *testing.T) {
	e := newSite(t, 0)
	e.swap(e.route(all("r", backendOf(t, says("shop"))), hosted(shop, blog)))
	e.certified(shop)
	e.certified(blog)
	for _, two := range []bool{false, true} {
		req, err := http.NewRequest(http.MethodGet, "https://"+shop+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = blog
		res, err := visitor(t, e.https, e.acme.root, two).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s by %s", res.Status, res.Proto)
		}
	}
}

// Twenty switches over HTTP/2, the old back end stopped after each drain, and then a hand-over: no request is lost.
func TestSwitchesAndHandOverOverHTTP2(t *testing.T) {
	e := newSite(t, 0)
	l := newLoad(t, "https://"+shop)
	l.c = visitor(t, e.https, e.acme.root, true)
	// An edge that leaves says by GOAWAY which requests it has not looked at. A client may send these again, and needs its
	// body once more for it.
	l.rewinds = true
	first, second := backendOf(t, l.backend("first")), backendOf(t, l.backend("second"))
	e.swap(e.route(all("release-0", first), hosted(shop)))
	e.certified(shop)
	l.run(300, 16)
	for i := range 20 {
		name, before, to := fmt.Sprint("release-", i+1), fmt.Sprint("release-", i), first
		if i%2 == 0 {
			to = second
		}
		e.swap(e.route(all(name, to), hosted(shop)))
		if left, err := e.Drain(t.Context(), "shop/production", before, time.Minute); err != nil || left != (Drained{}) {
			t.Errorf("drain of %s: %+v %v", before, left, err)
		}
		eventually(t, name+" serves", func() bool { return e.stats(name).Requests > 10 })
	}
	before, err := e.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	anew := visitor(t, e.https, e.acme.root, false)
	anew.Transport.(*http.Transport).DisableKeepAlives = true // a handshake for each request, with whoever accepts it
	strangers, gone := context.WithCancel(t.Context())
	var arriving sync.WaitGroup
	for range 4 {
		arriving.Go(func() {
			for strangers.Err() == nil {
				res, err := anew.Get("https://" + shop + "/?id=stranger")
				if err != nil {
					t.Errorf("a stranger is not served: %v", err)
					return
				}
				_ = res.Body.Close()
			}
		})
	}
	go func() {
		ended <- Run(ctx, Options{Dir: e.dir, TakeOver: true, ACME: e.acme.ACME, Stop: 20 * time.Second})
	}()
	eventually(t, "the successor serves alone", func() bool {
		s, err := e.Stats(t.Context())
		return err == nil && s.Instance != before.Instance && !s.Predecessor && len(s.Certificates) == 1 && len(s.Entrances) == 2
	})
	eventually(t, "the successor is asked", func() bool { return e.stats("release-20").Requests > 50 })
	gone()
	arriving.Wait()
	l.end()
	e.stop() // it has ended before
	l.c.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Websockets come over TLS as well.
func TestTunnelOverTLS(t *testing.T) {
	e := newSite(t, 0)
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close() //nolint:errcheck // a test's
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw)
	})), hosted(shop)))
	e.certified(shop)
	c, err := tls.Dial("tcp", e.https, &tls.Config{ServerName: shop, RootCAs: e.acme.root, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // a test's
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+shop+"\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("%q %v", line, err)
	}
}
