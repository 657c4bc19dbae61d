package edge

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"go.uber.org/zap"
)

// certsFolder is where, in the edge's folder, certificates and the ACME account are kept.
const certsFolder = "certificates"

// ACME says who certifies the hosts of the table (RFC 8555).
type ACME struct {
	Directory string         // URL of the ACME server's directory; "" is Let's Encrypt's
	Email     string         // told to the ACME server; "" for none
	Roots     *x509.CertPool // by whom the ACME server's own certificate is signed; nil: who the system trusts
	// Check is how often it is looked whether a certificate has to be renewed, which happens when a third of its life is
	// left. 10 min.
	Check time.Duration
}

// Certificate is what the edge has for a host.
type Certificate struct {
	Host    string    `json:"host"`
	Issuer  string    `json:"issuer,omitempty"`
	Until   time.Time `json:"until,omitzero"`    // zero: there is none yet
	Problem string    `json:"problem,omitempty"` // why the last try to get one failed; "" once one succeeded
}

// certs gets and renews the certificates of the table's hosts, in the background: a host without one is nobody's trouble
// but its own, and what is there is served whether or not the ACME server can be reached.
//
// Both edges of a hand-over share the folder, and its locks. So one of them answers the challenges that the other one
// began.
type certs struct {
	log    *slog.Logger
	config *certmagic.Config
	cache  *certmagic.Cache
	issuer *certmagic.ACMEIssuer

	ctx  context.Context // ends when somebody else looks after the certificates
	rest context.CancelFunc

	mu    sync.Mutex
	hosts map[string]*certified
	over  bool
}

// certified is a host whose certificate is looked after.
type certified struct {
	forget  context.CancelFunc
	problem string
}

// newCerts begins to look after certificates, of no host yet.
func newCerts(o Options) *certs {
	c := &certs{log: o.Log, hosts: map[string]*certified{}}
	c.ctx, c.rest = context.WithCancel(context.Background())
	quiet := zap.NewNop() // what matters is told by c.event
	c.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return c.config, nil },
		RenewCheckInterval: o.ACME.Check,
		Logger:             quiet,
	})
	c.config = certmagic.New(c.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: filepath.Join(o.Dir, certsFolder)},
		OCSP:    certmagic.OCSPConfig{DisableStapling: true}, // it asks addresses that only a certificate names
		OnEvent: c.event,
		Logger:  quiet,
	})
	c.issuer = certmagic.NewACMEIssuer(c.config, c.template(o, quiet))
	c.config.Issuers = []certmagic.Issuer{c.issuer}
	return c
}

// template is how the ACME server is asked. certmagic opens a listener of its own for a challenge, unless somebody
// listens there already: so it is told the edge's addresses, and given no challenge that the edge has none for.
func (c *certs) template(o Options, quiet *zap.Logger) certmagic.ACMEIssuer {
	t := certmagic.ACMEIssuer{
		CA: cmp.Or(o.ACME.Directory, certmagic.LetsEncryptProductionCA), Email: o.ACME.Email, TrustedRoots: o.ACME.Roots, Agreed: true,
		DisableHTTPChallenge: true, DisableTLSALPNChallenge: true, Logger: quiet,
	}
	for _, e := range o.Entrances {
		at := e.Listener.Addr().(*net.TCPAddr)
		t.ListenHost = at.IP.String()
		if e.TLS {
			t.DisableTLSALPNChallenge, t.AltTLSALPNPort = false, at.Port
		} else {
			t.DisableHTTPChallenge, t.AltHTTPPort = false, at.Port
		}
	}
	return t
}

// follow looks after the hosts of a table, and no longer after others. When it returns, certificates that are kept can be
// served: a successor opens its doors after that. Nil certs look after none.
func (c *certs) follow(t Table) {
	if c == nil {
		return
	}
	for host, ctx := range c.exchange(t) {
		c.manage(ctx, host)
	}
}

// exchange takes on the table's hosts and drops others. It gives the new ones, each with the context that ends when it is
// dropped.
func (c *certs) exchange(t Table) map[string]context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil
	}
	wanted, fresh := map[string]bool{}, map[string]context.Context{}
	for _, r := range t.Routes {
		for _, h := range r.Hosts {
			wanted[h] = true
		}
	}
	for h, known := range c.hosts {
		if !wanted[h] {
			known.forget()
			delete(c.hosts, h)
			c.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: h}})
		}
	}
	for h := range wanted {
		if c.hosts[h] == nil {
			ctx, forget := context.WithCancel(c.ctx)
			c.hosts[h] = &certified{forget: forget}
			fresh[h] = ctx
		}
	}
	return fresh
}

// manage loads the host's certificate, or begins to have one issued, and from then on renews it. One that is kept but not readable
// is thrown away: it can be had again.
func (c *certs) manage(ctx context.Context, host string) {
	err := c.config.ManageAsync(ctx, []string{host})
	if err != nil && ctx.Err() == nil {
		c.log.Warn("a kept certificate is not readable and is asked for anew", "host", host, "error", err)
		err = c.config.Storage.Delete(ctx, certmagic.StorageKeys.CertsSitePrefix(c.issuer.IssuerKey(), host))
		if err == nil {
			err = c.config.ManageAsync(ctx, []string{host})
		}
	}
	if err != nil && ctx.Err() == nil {
		c.told(host, err)
	}
}

// event is told by certmagic what happens.
func (c *certs) event(_ context.Context, event string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	switch event {
	case "cert_obtained":
		c.told(host, nil)
	case "cert_failed":
		err, _ := data["error"].(error)
		c.told(host, cmp.Or(err, errors.New("no certificate was issued")))
	}
	return nil
}

func (c *certs) told(host string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.hosts[host]
	switch {
	case known == nil || errors.Is(err, context.Canceled):
	case err == nil:
		known.problem = ""
		c.log.Info("a certificate was issued", "host", host)
	default:
		known.problem = err.Error()
		c.log.Error("no certificate could be had; it is tried again", "host", host, "error", err)
	}
}

// tlsConfig makes connections of TLS for the hosts of the table in force, and of no others.
func (e *edge) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1", acmez.ACMETLS1Protocol},
		GetCertificate: e.certificate,
	}
}

// certificate finds the certificate for a handshake. Without one the client is told that the name is not known here
// (unrecognized_name), which is what nil says.
func (e *edge) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := hostName(hello.ServerName)
	if e.live.Load().hosts[host] == nil {
		return nil, nil
	}
	cert, err := e.certs.config.GetCertificateWithContext(hello.Context(), hello)
	if err != nil {
		e.log.Debug("no certificate", "host", host, "error", err)
		return nil, nil
	}
	return cert, nil
}

// stats tells what there is for each host.
func (c *certs) stats() []Certificate {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Certificate, 0, len(c.hosts))
	for host, known := range c.hosts {
		out := Certificate{Host: host, Problem: known.problem}
		for _, cert := range c.cache.AllMatchingCertificates(host) {
			if cert.Leaf != nil && cert.Leaf.NotAfter.After(out.Until) {
				out.Until = cert.Leaf.NotAfter
				out.Issuer = cmp.Or(strings.Join(cert.Leaf.Issuer.Organization, ", "), cert.Leaf.Issuer.CommonName)
			}
		}
		all = append(all, out)
	}
	slices.SortFunc(all, func(a, b Certificate) int { return strings.Compare(a.Host, b.Host) })
	return all
}

// leave stops looking after certificates; those that are there can still be used by handshakes under way.
func (c *certs) leave() {
	if c == nil {
		return
	}
	c.mu.Lock()
	over := c.over
	c.over = true
	c.mu.Unlock()
	c.rest()
	if !over {
		c.cache.Stop()
	}
}

// String is for the log.
func (c Certificate) String() string {
	if c.Until.IsZero() {
		return fmt.Sprintf("%s: none (%s)", c.Host, cmp.Or(c.Problem, "on its way"))
	}
	return fmt.Sprintf("%s: by %s, until %s", c.Host, c.Issuer, c.Until.UTC().Format(time.RFC3339))
}
