package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"greenroom/internal/edge/acmetest"
)

// acmeServer is an ACME server in a process of its own.
type acmeServer struct {
	ACME
	root *x509.CertPool // by whom what it issues is signed
	stop func()
}

// newACME starts an ACME server that certifies whoever answers at these ports, for this many seconds.
func newACME(t *testing.T, c acmetest.Config) *acmeServer {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd, out := spawn(t, "acme", string(b))
	line, err := out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the ACME server does not start: %v", err)
	}
	var r acmetest.Ready
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	own, root := x509.NewCertPool(), x509.NewCertPool()
	if !own.AppendCertsFromPEM(r.Own) || !root.AppendCertsFromPEM(r.Root) {
		t.Fatal("its certificates are not readable")
	}
	s := &acmeServer{ACME: ACME{Directory: r.URL, Roots: own, Check: 200 * time.Millisecond}, root: root}
	s.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return s
}

// childACME is the child's body.
func childACME() int {
	var c acmetest.Config
	err := json.Unmarshal([]byte(os.Args[1]), &c)
	if err == nil {
		err = acmetest.Serve(c, os.Stdout)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// door is a port of the edge's on loopback.
func door(t *testing.T, secure bool) Entrance {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return Entrance{Listener: ln, TLS: secure}
}

func port(in Entrance) int { return in.Listener.Addr().(*net.TCPAddr).Port }

// site is an edge with both doors, and an ACME server that reaches them.
type site struct {
	*running
	acme        *acmeServer
	http, https string // addresses
}

// newSite starts them; valid is how long certificates are, in seconds.
func newSite(t *testing.T, valid uint64) *site {
	t.Helper()
	plain, secure := door(t, false), door(t, true)
	a := newACME(t, acmetest.Config{HTTP: port(plain), TLS: port(secure), Valid: valid})
	s := &site{acme: a, http: plain.Listener.Addr().String(), https: secure.Listener.Addr().String()}
	s.running = start(t, Options{Entrances: []Entrance{plain, secure}, ACME: a.ACME})
	return s
}

// hosted gives a route these hosts.
func hosted(hosts ...string) func(*Route) { return func(r *Route) { r.Hosts = hosts } }

// visitor is a client of a door, by name; two speaks HTTP/2.
func visitor(t *testing.T, address string, roots *x509.CertPool, two bool) *http.Client {
	tr := &http.Transport{
		MaxIdleConnsPerHost: 64, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: roots},
		Protocols:       new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
	}
	tr.Protocols.SetHTTP1(!two)
	tr.Protocols.SetHTTP2(two)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport: tr, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// certified waits until there is a certificate for a host.
func (r *running) certified(host string) Certificate {
	r.t.Helper()
	var found Certificate
	eventually(r.t, "a certificate for "+host, func() bool {
		s, err := r.Stats(r.t.Context())
		for _, c := range s.Certificates {
			if c.Host == host && !c.Until.IsZero() {
				found = c
			}
		}
		return err == nil && found.Host != ""
	})
	return found
}

// handshake tries TLS with a name, and gives what was presented.
func handshake(address, host string, roots *x509.CertPool) (*x509.Certificate, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: time.Minute}, Config: &tls.Config{ServerName: host, RootCAs: roots}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // a test's
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}
