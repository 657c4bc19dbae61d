package edge

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"greenroom/internal/problem"
)

// admin is the socket by which an edge is driven: HTTP and JSON, problems as RFC 9457 documents. Who may open the
// socket may do everything; its folder and its mode are the guard.
type admin struct {
	ln     *net.UnixListener
	server *http.Server
	serves sync.WaitGroup
}

func (e *edge) serveAdmin(ln *net.UnixListener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /table", reply(func(*http.Request) (any, error) { return e.live.Load().table, nil }))
	mux.HandleFunc("PUT /table", reply(e.putTable))
	mux.HandleFunc("GET /stats", reply(func(*http.Request) (any, error) { return e.stats(time.Now()), nil }))
	mux.HandleFunc("POST /drain", reply(e.postDrain))
	mux.HandleFunc("PUT /marks", reply(e.putMark))
	mux.HandleFunc("GET /marks", reply(func(r *http.Request) (any, error) { return e.measure(r, false) }))
	mux.HandleFunc("DELETE /marks", reply(func(r *http.Request) (any, error) { return e.measure(r, true) }))
	mux.HandleFunc("POST /handover", e.handOver)
	a := &admin{ln: ln, server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	e.admin = a                                    // before the first call, which may be a hand-over
	a.serves.Go(func() { _ = a.server.Serve(ln) }) // ends when the listener is closed
}

// deafen stops accepting; calls under way go on.
func (a *admin) deafen() {
	_ = a.ln.Close()
	a.serves.Wait()
}

func (a *admin) close() { _ = a.server.Close() }

func reply(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := do(r)
		if err != nil {
			p := problem.From(err)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(p.Code.Status())
			v = wire{Code: p.Code, Message: p.Message, Hint: p.Hint}
		} else {
			w.Header().Set("Content-Type", "application/json")
		}
		_ = json.NewEncoder(w).Encode(v) // a caller that went away gets nothing
	}
}

func (e *edge) putTable(r *http.Request) (any, error) {
	was, err := strconv.ParseUint(r.URL.Query().Get("was"), 10, 64)
	if err != nil {
		return nil, problem.New(problem.Invalid, "was is not a version: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxTable+1))
	if err != nil {
		return nil, problem.New(problem.Invalid, "the table did not come whole: %w", err)
	}
	t, err := Decode(b)
	if err != nil {
		return nil, err
	}
	v, err := e.swap(t, was)
	return swapped{Version: v}, err
}

func (e *edge) postDrain(r *http.Request) (any, error) {
	q := r.URL.Query()
	timeout, err := time.ParseDuration(q.Get("timeout"))
	if err != nil || timeout < 0 {
		return nil, problem.New(problem.Invalid, "timeout %q is not a duration", q.Get("timeout"))
	}
	return e.drain(r.Context(), poolKey{q.Get("route"), q.Get("release")}, timeout)
}

func (e *edge) putMark(r *http.Request) (any, error) {
	q := r.URL.Query()
	m := e.keep.marksOf(q.Get("route"))
	if m == nil {
		return nil, problem.New(problem.NotFound, "the edge has no route %q", q.Get("route"))
	}
	return struct{}{}, m.set(q.Get("name"), time.Now())
}

func (e *edge) measure(r *http.Request, last bool) (any, error) {
	route, name := r.URL.Query().Get("route"), r.URL.Query().Get("name")
	m := e.keep.marksOf(route)
	if m == nil || m.find(name) == nil {
		return nil, problem.New(problem.NotFound, "the edge measures nothing called %q on route %q", name, route)
	}
	out := m.find(name).read(time.Now())
	out.Route, out.Instance = route, e.instance
	if last {
		m.end(name)
	}
	return out, nil
}

func (e *edge) stats(now time.Time) Stats {
	s := Stats{
		Instance: e.instance, Started: e.started, Version: e.live.Load().table.Version,
		Connections: e.conns.Load(), Predecessor: e.predecessor.gone() != nil,
	}
	e.mu.Lock()
	s.Unbound = slices.Clone(e.unbound)
	for a, in := range e.entrances {
		s.Entrances = append(s.Entrances, string(in.protocol)+" "+a)
	}
	e.mu.Unlock()
	slices.Sort(s.Entrances)
	s.Certificates = e.certs.stats()
	s.Pools, s.Backends = e.keep.stats(now)
	slices.SortFunc(s.Pools, func(a, b PoolStats) int {
		return strings.Compare(fmt.Sprint(a.Route, "\x00", a.Release), fmt.Sprint(b.Route, "\x00", b.Release))
	})
	slices.SortFunc(s.Backends, func(a, b BackendStats) int {
		return strings.Compare(a.Network+" "+a.Address, b.Network+" "+b.Address)
	})
	return s
}
