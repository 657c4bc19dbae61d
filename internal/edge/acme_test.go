package edge

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// acmeServer is a real ACME server, pebble, in a process of its own: on loopback, with a name server that says 127.0.0.1
// to every name.
type acmeServer struct {
	ACME
	root *x509.CertPool // by whom what it issues is signed
	stop func()
}

// acmeConfig is what the child is told.
type acmeConfig struct {
	HTTP, TLS int    // where it looks for answers to its challenges
	Valid     uint64 // of certificates, in seconds
}

// acmeReady is what the child tells.
type acmeReady struct {
	URL       string
	Own, Root []byte // PEM: its own certificate, and its certification authority's
}

// newACME starts an ACME server that certifies whoever answers at these ports, for this many seconds.
func newACME(t *testing.T, c acmeConfig) *acmeServer {
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
	var r acmeReady
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
	var c acmeConfig
	err := json.Unmarshal([]byte(os.Args[1]), &c)
	if err == nil {
		err = serveACME(c)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func serveACME(c acmeConfig) error {
	_ = os.Setenv("PEBBLE_VA_NOSLEEP", "1")        // it waits up to 15 s before each validation otherwise
	names, err := net.Listen("tcp", "127.0.0.1:0") // it asks by TCP
	if err != nil {
		return err
	}
	go func() {
		_ = (&dns.Server{Listener: names, Handler: dns.HandlerFunc(everybodyIsHere)}).ActivateAndServe()
	}()
	quiet := log.New(os.Stderr, "acme ", 0)
	memory := db.NewMemoryStore()
	authority := ca.New(quiet, memory, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: c.Valid}})
	validator := va.New(quiet, c.HTTP, c.TLS, false, names.Addr().String(), memory)
	front := wfe.New(quiet, memory, validator, authority, []string{"acme.test"}, false, false, 1, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	cert, err := selfSigned("127.0.0.1", time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	ready, err := json.Marshal(acmeReady{
		URL:  "https://" + ln.Addr().String() + wfe.DirectoryPath,
		Own:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		Root: authority.GetRootCert(0).PEM(),
	})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(out, "%s\n", ready)
	if err := out.Flush(); err != nil {
		return err
	}
	s := &http.Server{Handler: front.Handler(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	return s.ServeTLS(ln, "", "")
}

// everybodyIsHere is a name server.
func everybodyIsHere(w dns.ResponseWriter, q *dns.Msg) {
	a := new(dns.Msg).SetReply(q)
	for _, question := range q.Question {
		if question.Qtype == dns.TypeA {
			a.Answer = append(a.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
			})
		}
	}
	_ = w.WriteMsg(a)
}

// selfSigned is a certificate for a name or an address.
func selfSigned(host string, until time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host},
		NotBefore: until.Add(-24 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
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
	a := newACME(t, acmeConfig{HTTP: port(plain), TLS: port(secure), Valid: valid})
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
		Transport: tr, Timeout: 20 * time.Second,
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
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: &tls.Config{ServerName: host, RootCAs: roots}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // a test's
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}
