package edge

import (
	"net"
	"net/http"
	"net/textproto"
	"strings"
)

// isForged says whether a client's header, its key in net/http's canonical form, pretends to be a proxy's. Applications
// believe these to come from what stands in front of them.
func isForged(key string) bool {
	switch key {
	case "Forwarded", "X-Forwarded", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "Client-Ip", "True-Client-Ip",
		"Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Rewrite-Url", "X-Host", "X-Auth-User", "X-Client-Cert":
		return true
	}
	if strings.HasPrefix(key, "Remote-") {
		return true
	}
	family, of := strings.CutPrefix(key, "X-")
	if !of || family == "" {
		return false
	}
	switch family[0] {
	case 'A':
		return strings.HasPrefix(family, "Auth-Request-") || strings.HasPrefix(family, "Authenticated-")
	case 'F':
		return strings.HasPrefix(family, "Forwarded-")
	case 'O':
		return strings.HasPrefix(family, "Original-")
	case 'R':
		return strings.HasPrefix(family, "Remote-")
	case 'S':
		return strings.HasPrefix(family, "Ssl-")
	case 'W':
		return strings.HasPrefix(family, "Webauth-")
	}
	return false
}

// isHop says whether a header speaks about one connection only and ends here, in both directions. Proxy ends here too:
// CGI would turn it into HTTP_PROXY.
func isHop(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Proxy", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// outgoingHeader is what a back end gets of a client's header. Values are shared with it, not copied.
//
// What Connection names is taken from the client's header alone, so a client cannot have headers removed that the edge
// sets afterwards. Keys with an underscore go, because applications can't tell them from those with a hyphen.
func outgoingHeader(in http.Header, internal bool) http.Header {
	out := make(http.Header, len(in)+4)
	for k, v := range in {
		if k == "" || isHop(k) || strings.IndexByte(k, '_') >= 0 || !internal && isForged(k) {
			continue
		}
		out[k] = v
	}
	dropNamed(out, in["Connection"])
	if _, told := out["User-Agent"]; !told {
		out["User-Agent"] = nil // or net/http would name itself
	}
	return out
}

// dropNamed removes the headers that a Connection header names as belonging to the connection.
func dropNamed(h http.Header, connection []string) {
	for _, line := range connection {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				delete(h, textproto.CanonicalMIMEHeaderKey(name))
			}
		}
	}
}

// setForwarded tells the back end who asks, for which host, how. in is the client's request.
func setForwarded(out http.Header, in *http.Request, internal bool, room *[3]string) {
	ip, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		ip = in.RemoteAddr
	}
	if prior := out["X-Forwarded-For"]; len(prior) > 0 {
		ip = strings.Join(prior, ", ") + ", " + ip
	}
	room[0], room[1], room[2] = ip, in.Host, "http"
	if in.TLS != nil {
		room[2] = "https"
	}
	out["X-Forwarded-For"] = room[0:1:1]
	if internal && len(out["X-Forwarded-Host"]) > 0 {
		return // the first proxy knows what the user asked for
	}
	out["X-Forwarded-Host"] = room[1:2:2]
	out["X-Forwarded-Proto"] = room[2:3:3]
}

// upgrade is the protocol that a message asks to change to; "" for none. More than one, or what is no token, is none.
func upgrade(h http.Header) string {
	if len(h["Upgrade"]) != 1 || !hasToken(h["Connection"], "upgrade") {
		return ""
	}
	p := h["Upgrade"][0]
	if p == "" || strings.ContainsAny(p, ", \t") {
		return ""
	}
	return p
}

// tunnelled says whether the edge lets a connection change to a protocol. HTTP/2 without TLS is none: requests inside it
// would pass unseen. The request is answered over HTTP/1.1, as the standard allows.
func tunnelled(protocol string) bool {
	return protocol != "" && !strings.HasPrefix(strings.ToLower(protocol), "h2")
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}
