package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"greenroom/internal/problem"
)

const (
	// A head of 64 KiB holds every cookie that browsers send; thousands of slow clients must not need more.
	maxHead = 64 << 10
	// receiveTimeout is how long a client may take no byte of its answer.
	receiveTimeout = time.Minute
)

// socket is one address of the table with what accepts there.
type socket struct {
	edge     *edge
	address  string // or the key of one inside a namespace
	protocol Protocol
	ln       *net.TCPListener
	server   *http.Server
	accepts  sync.WaitGroup
	relays   sync.WaitGroup
	cut      context.CancelFunc // breaks relays off
}

// wanted is what a table listens on.
func wanted(t Table) map[string]Protocol {
	w := map[string]Protocol{}
	for _, a := range t.Front {
		w[a] = HTTP
	}
	for _, r := range t.Routes {
		for _, a := range r.addresses() {
			w[a] = r.Protocol
		}
	}
	return w
}

// addresses are where a route listens: those outside, and the keys of those inside a namespace.
func (r Route) addresses() []string {
	if r.Inside == nil {
		return r.Listen
	}
	all := slices.Clone(r.Listen)
	for _, a := range r.Inside.Listen {
		all = append(all, insideKey(r.Inside.Broker, a))
	}
	return all
}

// open binds what the table wants and nobody listens on yet. All or nothing, but for what could not be had inside a
// namespace before either: a stage whose broker is gone must keep nobody else's table from being put in force.
func (e *edge) open(t Table) (opened []*socket, unbound []string, err error) {
	for a, p := range wanted(t) {
		broker, _ := insideOf(a)
		lacked := broker != "" && slices.Contains(e.unbound, a)
		patience := listenTime
		if lacked {
			patience = 0
		}
		s, err := e.bind(a, p, patience)
		if err != nil && lacked {
			unbound = append(unbound, a)
			continue
		}
		if err != nil {
			for _, s := range opened {
				_ = s.ln.Close() // never served
			}
			return nil, nil, err
		}
		if s != nil {
			opened = append(opened, s)
		}
	}
	return opened, unbound, nil
}

// bind gives a socket that is not served yet; nil when the address is served already. Patience is for a broker that is
// just being started again.
func (e *edge) bind(address string, p Protocol, patience time.Duration) (*socket, error) {
	old := e.sockets[address]
	if old != nil && old.protocol == p {
		return nil, nil
	}
	if old != nil { // it changes what it speaks: the same socket under another descriptor, so that nobody is turned away
		ln, err := sameSocket(old.ln)
		if err != nil {
			return nil, err
		}
		return e.socket(address, p, ln), nil
	}
	ln, err := listen(address, patience)
	if err != nil {
		return nil, err
	}
	return e.socket(address, p, ln), nil
}

func listen(key string, patience time.Duration) (*net.TCPListener, error) {
	broker, address := insideOf(key)
	if broker != "" {
		return listenInside(broker, address, patience)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, cannotListen(address, err)
	}
	return ln.(*net.TCPListener), nil
}

func cannotListen(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		who := holder(address)
		if who == "" {
			who = "another process"
		}
		return problem.New(problem.Unavailable, "the edge cannot listen on %s, which is taken by %s: %w", address, who, err).
			WithHint("stop %s, then: greenroom up", who)
	case errors.Is(err, syscall.EACCES):
		return problem.New(problem.Unavailable, "the edge may not listen on %s: %w", address, err).
			WithHint("ports below 1024 need root or CAP_NET_BIND_SERVICE")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return problem.New(problem.Unavailable, "the edge cannot listen on %s, which is not an address of this machine: %w", address, err)
	}
	return problem.New(problem.Unavailable, "the edge cannot listen on %s: %w", address, err)
}

func sameSocket(ln *net.TCPListener) (*net.TCPListener, error) {
	f, err := ln.File()
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // a duplicate
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	t, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is not a tcp listener", l.Addr()), l.Close())
	}
	return t, nil
}

func (e *edge) socket(address string, p Protocol, ln *net.TCPListener) *socket {
	s := &socket{edge: e, address: address, protocol: p, ln: ln, cut: func() {}}
	if p == TCP {
		return s
	}
	s.server = &http.Server{
		Handler:           e.handler(address),
		ReadHeaderTimeout: e.opts.ReadHeader,
		IdleTimeout:       e.opts.Idle,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug), // what clients do wrong
	}
	switch p {
	case secureHTTP:
		e.secure(s.server)
	case plainHTTP:
		s.server.Handler = http.HandlerFunc(e.redirect)
	}
	return s
}

// serve begins to accept.
func (s *socket) serve() {
	switch s.protocol {
	case secureHTTP:
		s.accepts.Go(func() { _ = s.server.ServeTLS(counted{s.ln, s.edge}, "", "") }) // ends when the listener is closed
		return
	case HTTP, plainHTTP:
		s.accepts.Go(func() { _ = s.server.Serve(counted{s.ln, s.edge}) })
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cut = cancel
	s.accepts.Go(func() { s.relayAll(ctx) })
}

func (s *socket) relayAll(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		c, err := s.ln.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too few descriptors, or a client that left at once
			pause.Reset(20 * time.Millisecond)
			select {
			case <-pause.C:
			case <-ctx.Done():
				return
			}
			continue
		}
		s.edge.conns.Add(1)
		s.relays.Go(func() {
			defer s.edge.conns.Add(-1)
			s.edge.relay(ctx, s.address, c)
		})
	}
}

// deafen stops accepting; what was accepted goes on.
func (s *socket) deafen() {
	_ = s.ln.Close()
	s.accepts.Wait()
}

// finish waits for what was accepted, and breaks it off when ctx ends first.
func (s *socket) finish(ctx context.Context) {
	if s.server != nil {
		if err := s.server.Shutdown(ctx); err != nil {
			_ = s.server.Close()
		}
		return
	}
	stop := context.AfterFunc(ctx, s.cut)
	s.relays.Wait()
	stop()
	s.cut()
}

// counted makes the server's connections ones that cannot stand still, and counts them.
type counted struct {
	*net.TCPListener
	edge *edge
}

func (c counted) Accept() (net.Conn, error) {
	t, err := c.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c.edge.conns.Add(1)
	return &pacedConn{Conn: t, made: time.Now(), write: receiveTimeout, closed: func() { c.edge.conns.Add(-1) }}, nil
}
