// Package edge carries the users' traffic, as a process of its own: routes, shares between releases, health, drain,
// counts, a table that is swapped whole and kept on disk, listeners that are handed over to a successor.
//
// The control plane drives it through Client. It does without: from its last good table it goes on alone, also after a
// restart of its own.
//
// Requests never take a lock of the edge's. They read the table in force, an immutable value behind an atomic pointer,
// and count by atomic additions.
package edge

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"greenroom/internal/problem"
)

// Options of an edge. Zero values are the defaults.
type Options struct {
	Dir      string       // its folder, made when it is missing; one edge runs in it at a time
	Log      *slog.Logger // nil: nothing is logged
	TakeOver bool         // take the listeners over from the edge that runs in Dir, if one does

	ReadHeader time.Duration // for a client to send the head of a request; 10 s
	Idle       time.Duration // for a client between two requests; 2 min
	Grace      time.Duration // after a hand-over, before idle connections may be closed; 300 ms
	// Linger is how long after a hand-over connections that are idle are left to their clients to use once more, or to
	// close: closing one may cross with a request. 10 s.
	Linger time.Duration
	Stop   time.Duration // for requests under way when the edge leaves; then they are broken off. 5 min

	Entrances []Entrance // the edge's from now on, also when it does not come to serve
	ACME      ACME       // for the hosts that are found at entrances with TLS
	Serves    func()     // called once, when the edge serves; nil: nobody wants to know
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.ReadHeader = cmp.Or(o.ReadHeader, 10*time.Second)
	o.Idle = cmp.Or(o.Idle, 2*time.Minute)
	o.Grace = cmp.Or(o.Grace, 300*time.Millisecond)
	o.Linger = cmp.Or(o.Linger, 10*time.Second)
	o.Stop = cmp.Or(o.Stop, 5*time.Minute)
	o.ACME.Check = cmp.Or(o.ACME.Check, 10*time.Minute)
	return o
}

// edge is a running edge.
type edge struct {
	opts     Options
	log      *slog.Logger
	instance string
	started  time.Time

	live    atomic.Pointer[live]
	keep    *keeper
	buffers buffers
	held    atomic.Int32 // requests that wait for a table
	conns   atomic.Int64 // of clients
	leaving atomic.Bool  // answers tell clients to connect anew

	mu      sync.Mutex // swaps, hand-over, leaving
	lock    *os.File
	sockets map[string]*socket
	unbound []string
	// entrances are beside the table: no swap closes them.
	entrances map[string]*socket
	certs     *certs // nil where no entrance speaks TLS; set before anything is served
	left      bool   // listeners are a successor's, or closed
	closing   sync.WaitGroup

	admin       *admin
	successor   chan *peer // once, when it has taken over
	predecessor *peer      // nil without
}

// Run is the body of `greenroom edge`. It serves until ctx ends or a successor has taken over, and returns nil when
// the last request of its own is answered. Blocked: another edge runs in the folder, and TakeOver is not set. Invalid:
// its table on disk was damaged (and is put aside, so that the next start begins empty).
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return problem.New(problem.Unavailable, "the edge cannot make its folder: %w", err)
	}
	e := newEdge(o)
	if err := e.begin(ctx); err != nil {
		for _, in := range o.Entrances {
			_ = in.Listener.Close() // some are closed already
		}
		return err
	}
	if o.Serves != nil {
		o.Serves()
	}
	e.log.Info("edge serves", "dir", o.Dir, "instance", e.instance, "table", e.live.Load().table.Version)
	e.await(ctx)
	return nil
}

func newEdge(o Options) *edge {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return &edge{
		opts: o, log: o.Log, instance: hex.EncodeToString(id), started: time.Now(),
		keep: newKeeper(), sockets: map[string]*socket{}, entrances: map[string]*socket{}, successor: make(chan *peer, 1),
	}
}

// begin makes the edge serve: from a predecessor's descriptors, or from disk.
func (e *edge) begin(ctx context.Context) error {
	lk, err := lock(e.opts.Dir)
	if errors.Is(err, errLocked) {
		if e.opts.TakeOver {
			return e.takeOver(ctx)
		}
		return problem.New(problem.Blocked, "an edge runs in %s already", e.opts.Dir).
			WithHint("greenroom status")
	}
	if err != nil {
		return err
	}
	e.lock = lk
	if err := e.fromDisk(); err != nil {
		return errors.Join(err, lk.Close())
	}
	return nil
}

// fromDisk serves the last good table. An address that somebody else took meanwhile must not keep the others from their
// users: it is told, and tried again until it can be had.
func (e *edge) fromDisk() error {
	t, err := loadTable(e.opts.Dir, time.Now())
	if err != nil {
		return err
	}
	ln, err := listenAdmin(e.opts.Dir)
	if err != nil {
		return err
	}
	e.live.Store(e.keep.ready(t))
	for a := range wanted(t) {
		e.unbound = append(e.unbound, a)
	}
	e.rebind(slog.LevelError)
	e.certify(e.opts.Entrances)
	e.enter(e.opts.Entrances)
	e.serveAdmin(ln)
	return nil
}

// certify begins to look after certificates, where one of the entrances wants them.
func (e *edge) certify(all []Entrance) {
	if slices.ContainsFunc(all, func(in Entrance) bool { return in.TLS }) {
		o := e.opts
		o.Entrances = all
		e.certs = newCerts(o)
		e.certs.follow(e.live.Load().table)
	}
}

// rebind tries the addresses that could not be had, and tells at this level of those that still cannot.
func (e *edge) rebind(tell slog.Level) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.left {
		return
	}
	want := wanted(e.live.Load().table)
	var still []string
	for _, a := range e.unbound {
		s, err := e.bind(a, want[a], 0)
		if err != nil {
			e.log.Log(context.Background(), tell, "an address of the table cannot be had", "address", a, "error", err)
			still = append(still, a)
		} else if s != nil {
			e.adopt(s)
		}
	}
	slices.Sort(still)
	e.unbound = still
}

func (e *edge) adopt(s *socket) {
	e.sockets[s.address] = s
	s.serve()
}

// swap puts a table in force. See Client.Swap.
func (e *edge) swap(t Table, was uint64) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.live.Load()
	if e.left {
		return 0, problem.New(problem.Unavailable, "this edge has been replaced by another").WithHint("try again")
	}
	if old.table.Version != was {
		return 0, problem.New(problem.Blocked, "the table in force is version %d, not %d: somebody else changed it", old.table.Version, was).
			WithHint("read the table again and decide anew")
	}
	t.Version = was + 1
	next := e.keep.ready(t)
	opened, unbound, err := e.open(t)
	if err == nil {
		if err = saveTable(e.opts.Dir, t); err != nil {
			for _, s := range opened {
				_ = s.ln.Close() // never served
			}
		}
	}
	if err != nil {
		e.keep.settle(old, time.Now())
		return 0, err
	}
	e.live.Store(next)
	close(old.replaced)
	e.certs.follow(t)
	e.predecessor.follow(t, e.log)
	e.relisten(opened, wanted(t))
	e.unbound = unbound
	e.keep.settle(next, time.Now())
	e.log.Info("table in force", "version", t.Version, "routes", len(t.Routes))
	return t.Version, nil
}

// relisten serves the opened sockets and closes those that are not wanted any more, which end what they have begun.
func (e *edge) relisten(opened []*socket, want map[string]Protocol) {
	replaced := map[string]bool{}
	for _, s := range opened {
		replaced[s.address] = true
	}
	for a, s := range e.sockets {
		if want[a] != "" && !replaced[a] {
			continue
		}
		delete(e.sockets, a)
		_ = s.ln.Close()
		e.closing.Go(func() {
			s.deafen()
			ctx, cancel := context.WithTimeout(context.Background(), e.opts.Stop)
			defer cancel()
			s.finish(ctx)
		})
	}
	for _, s := range opened {
		e.adopt(s)
	}
}
