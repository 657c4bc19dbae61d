package edge

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// maxTries bounds how many back ends are dialled for one request.
const maxTries = 3

// exchange is one request on its way through the edge.
type exchange struct {
	edge  *edge
	w     http.ResponseWriter
	in    *http.Request
	start time.Time
	route *route
	pool  *pool
	body  *body // nil where the request has none
	last  bool  // the client's connection is closed after the answer

	room  [3]string // backs the forwarding headers
	url   url.URL
	trace httptrace.ClientTrace
	mu    sync.Mutex
	over  bool // the final answer has begun, so no informational one may follow; guarded by mu
}

// handler serves the requests that come in at an address.
func (e *edge) handler(address string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.serve(address, w, r) })
}

func (e *edge) serve(address string, w http.ResponseWriter, r *http.Request) {
	x := &exchange{edge: e, w: w, in: r, start: time.Now()}
	if e.leaving.Load() {
		w.Header()["Connection"] = []string{"close"}
	}
	switch r.Method {
	case http.MethodConnect, http.MethodTrace:
		refuse(w, r, http.StatusMethodNotAllowed, "this method is not allowed here", 0)
		return
	case "PRI": // net/http lets HTTP/2's preface through to handlers
		refuse(w, r, http.StatusHTTPVersionNotSupported, "HTTP/2 is not spoken here", 0)
		return
	}
	if status, why := misread(r); status != 0 {
		refuse(w, r, status, why, 0)
		return
	}
	a := e.admit(r.Context(), address, r.Host, r)
	x.route, x.pool = a.route, a.pool
	if a.pool == nil {
		x.decline(a)
		return
	}
	end := ending{cut: true} // should forward panic
	defer func() {
		a.pool.counts.record(end) // before it leaves: whoever waited for the last one reads what came of it
		a.route.marks.record(time.Now(), end)
		a.pool.counts.leave()
	}()
	if a.cookie >= 0 {
		w.Header()["Set-Cookie"] = []string{shareCookie + "=" + strconv.Itoa(a.cookie) + "; Path=/; HttpOnly; SameSite=Lax"}
	}
	end = x.forward()
	if end.cut || end.gone {
		// The server closes the connection without ending the answer, which is how a client knows that it is not whole.
		panic(http.ErrAbortHandler)
	}
}

// decline answers a request that goes to no release.
func (x *exchange) decline(a admission) {
	if a.route == nil {
		refuse(x.w, x.in, http.StatusNotFound, "nothing is served under this name", 0)
		return
	}
	end := ending{status: http.StatusServiceUnavailable, gateway: true}
	switch m := a.route.spec.Maintenance; {
	case a.gone:
		end = ending{gone: true}
	case m != nil:
		m.answer(x.w, x.in)
	default:
		refuse(x.w, x.in, end.status, a.why, time.Second)
	}
	end.head = time.Since(x.start)
	a.route.own.record(end)
	a.route.marks.record(time.Now(), end)
}

// forward sends the request to a back end and its answer to the client.
func (x *exchange) forward() ending {
	out := x.outgoing()
	if x.body != nil {
		defer func() { x.body.detach(x.last, x.flush) }()
	}
	res, b, err := x.send(out)
	if b != nil {
		defer b.inFlight.Add(-1)
	}
	x.mu.Lock()
	x.over = true
	x.mu.Unlock()
	if err != nil {
		return x.fail(err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return x.tunnel(res)
	}
	return x.answer(res)
}

// send tries back ends until one could be connected to. Nothing is sent to a second one: what the first did with the
// request is not known.
func (x *exchange) send(out *http.Request) (*http.Response, *backend, error) {
	var tried []*backend
	for {
		b := x.pool.next(tried)
		b.inFlight.Add(1)
		res, err := b.roundTrip(out)
		if err == nil || !neverSent(err) || out.Context().Err() != nil {
			return res, b, err
		}
		if tried = append(tried, b); len(tried) == min(maxTries, len(x.pool.backends)) {
			return nil, b, err
		}
		b.inFlight.Add(-1)
	}
}

// outgoing is the request as the back end gets it: the host by which it was routed, no header that speaks of the
// client's connection or pretends to be the edge's.
func (x *exchange) outgoing() *http.Request {
	x.trace.Got1xxResponse = x.informational
	out := x.in.WithContext(httptrace.WithClientTrace(x.in.Context(), &x.trace))
	x.url = *x.in.URL
	x.url.Scheme, x.url.Host, x.url.User = "http", "backend", nil
	out.URL = &x.url
	out.RequestURI = ""
	out.Header = outgoingHeader(x.in.Header, x.route.spec.Internal)
	setForwarded(out.Header, x.in, x.route.spec.Internal, &x.room)
	out.Close = false
	out.Trailer = nil
	if p := upgrade(x.in.Header); tunnelled(p) {
		out.Header["Connection"] = []string{"Upgrade"}
		out.Header["Upgrade"] = []string{p}
	}
	// A body that is there but empty would make the request one that net/http cannot repeat.
	out.Body = nil
	if x.in.Body != nil && x.in.Body != http.NoBody && x.in.ContentLength != 0 {
		x.body = newBody(x.w, x.in)
		out.Body = x.body
	}
	return out
}

// informational passes an answer of class 1xx on. net/http may call it while, or after, the final answer comes. A 100 it
// says by itself as the request's body is asked for: passed on as well, the client would sometimes hear it twice.
func (x *exchange) informational(code int, h textproto.MIMEHeader) error {
	if code == http.StatusContinue {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return nil
	}
	own := x.w.Header()
	kept := make(http.Header, len(own))
	for k, v := range own {
		kept[k] = v
	}
	for k, v := range h {
		own[k] = v
	}
	x.w.WriteHeader(code)
	clear(own)
	for k, v := range kept {
		own[k] = v
	}
	return nil
}

// fail tells the client that there is no answer, and why.
func (x *exchange) fail(err error) ending {
	if x.in.Context().Err() != nil {
		return ending{gone: true}
	}
	end := ending{status: http.StatusBadGateway, gateway: true}
	why := "the application did not answer"
	var ne net.Error
	switch status, ofClient := x.body.fault(); {
	case ofClient && status == 0:
		return ending{gone: true}
	case ofClient:
		end = ending{status: status}
		why = "the body of the request is not readable or took too long"
	case errors.As(err, &ne) && ne.Timeout() && !neverSent(err):
		end.status, why = http.StatusGatewayTimeout, "the application took too long"
	}
	x.edge.log.Debug("no answer", "route", x.route.spec.Name, "release", x.pool.spec.Release, "error", err)
	x.endEarly()
	refuse(x.w, x.in, end.status, why, 0)
	end.head = time.Since(x.start)
	return end
}

// endEarly comes before the head of an answer. When the client is not done with its request by then, its connection
// cannot be used again.
func (x *exchange) endEarly() {
	if x.body != nil && !x.body.shared && !x.body.ended.Load() {
		x.last = true
		x.w.Header()["Connection"] = []string{"close"}
	}
}
