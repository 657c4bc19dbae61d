// Package acmetest is a real ACME server, pebble, for tests: on loopback, with a name server that says 127.0.0.1 to every
// name.
package acmetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Config of a server.
type Config struct {
	HTTP, TLS int    // ports where it looks for answers to its challenges
	Valid     uint64 // of certificates, in seconds; 0: for 90 days
}

// Ready is what a server tells once it serves.
type Ready struct {
	URL       string
	Own, Root []byte // PEM: its own certificate, and its certification authority's
}

// Serve is the body of a process that is an ACME server for as long as it lives: pebble never ends what it began. It
// writes a Ready as a line of JSON once it serves.
func Serve(c Config, out io.Writer) error {
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
	cert, err := SelfSigned("127.0.0.1", time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	ready, err := json.Marshal(Ready{
		URL:  "https://" + ln.Addr().String() + wfe.DirectoryPath,
		Own:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		Root: authority.GetRootCert(0).PEM(),
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s\n", ready); err != nil {
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

// SelfSigned is a certificate for a name or an address.
func SelfSigned(host string, until time.Time) (tls.Certificate, error) {
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
