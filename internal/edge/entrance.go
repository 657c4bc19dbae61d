package edge

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Entrance is a listening socket at which users find environments by their hosts, beside the addresses of the table: port
// 80 or 443, opened by systemd for instance. It belongs to the edge from then on, and goes to a successor like all others.
type Entrance struct {
	Listener *net.TCPListener
	// TLS says what is spoken here: HTTPS (HTTP/2 and 1.1), or HTTP, where requests are led to HTTPS and the ACME server
	// gets its answers.
	TLS bool
}

// secureHTTP and plainHTTP are what entrances speak. No table can name them.
const (
	secureHTTP Protocol = "https"
	plainHTTP  Protocol = "redirect"
)

// maxStreams is how many requests a client may have under way on one connection of HTTP/2. RFC 9113 advises 100 at least.
const maxStreams = 128

// pingAfter is how long a connection of HTTP/2 may be silent before it is asked whether the client is still there.
const pingAfter = 30 * time.Second

// enter makes sockets of the edge's entrances. Those that a predecessor handed over come first: an address that is there
// already is the same socket, and the second descriptor of it is closed.
func (e *edge) enter(all []Entrance) {
	for _, in := range all {
		address := in.Listener.Addr().String()
		if e.entrances[address] != nil {
			_ = in.Listener.Close()
			continue
		}
		p := plainHTTP
		if in.TLS {
			p = secureHTTP
		}
		s := e.socket(address, p, in.Listener)
		e.entrances[address] = s
		s.serve()
	}
}

// secure makes a server one of TLS, with HTTP/2.
func (e *edge) secure(s *http.Server) {
	s.TLSConfig = e.tlsConfig()
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true) // never without TLS
	s.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams,
		SendPingTimeout:      pingAfter,
		PingTimeout:          pingAfter / 2,
		WriteByteTimeout:     receiveTimeout,
	}
}

// redirect answers at an entrance without TLS.
func (e *edge) redirect(w http.ResponseWriter, r *http.Request) {
	if e.leaving.Load() {
		w.Header()["Connection"] = []string{"close"}
	}
	if e.certs != nil && e.certs.issuer.HandleHTTPChallenge(w, r) {
		return
	}
	host := hostName(r.Host)
	switch {
	case e.live.Load().hosts[host] == nil:
		refuse(w, r, http.StatusNotFound, "nothing is served under this name", 0)
	case e.certs == nil:
		refuse(w, r, http.StatusServiceUnavailable, "HTTPS is not served here", 0)
	case !strings.HasPrefix(r.URL.Path, "/"):
		refuse(w, r, http.StatusBadRequest, "this request is not readable", 0)
	default:
		to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		w.Header()["Location"] = []string{to.String()}
		w.Header()["Cache-Control"] = []string{"no-store"} // a team that gives TLS up again must not have locked its users out
		write(w, http.StatusPermanentRedirect, "")
	}
}

// misread says why a request that came by HTTP/2 must not be passed on; "" where it may. HTTP/2 carries the parts of a
// request in fields of their own, and what holds a space could be read as two of them in HTTP/1's first line. A
// connection of TLS is for the name that it was made for.
func misread(r *http.Request) (status int, why string) {
	switch {
	case r.ProtoMajor >= 2 && (!isToken(r.Method) || strings.ContainsFunc(r.RequestURI, notInPath) || len(r.Header["Content-Length"]) > 1):
		return http.StatusBadRequest, "this request is not readable"
	case r.TLS != nil && hostName(r.Host) != hostName(r.TLS.ServerName):
		return http.StatusMisdirectedRequest, "this connection was made for another name"
	}
	return 0, ""
}

func notInPath(c rune) bool { return c <= ' ' || c == 0x7f }

// isToken says whether s is a token of HTTP (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}
