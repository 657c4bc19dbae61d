package netns

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// Ear hears the datagrams that come to the machine, at whatever address. Nothing comes back to who sends one, so only here
// it is seen whether any of them came through.
type Ear struct {
	port  uint16
	conn  *net.UDPConn
	reads sync.WaitGroup

	mu    sync.Mutex
	heard map[string]bool
	news  chan struct{} // closed when something was heard
}

// NewEar listens at every address, IPv4 and IPv6 where both are there.
func NewEar() (*Ear, error) {
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	e := &Ear{port: c.LocalAddr().(*net.UDPAddr).AddrPort().Port(), conn: c, heard: map[string]bool{}, news: make(chan struct{})}
	e.reads.Go(e.read)
	return e, nil
}

func (e *Ear) read() {
	b := make([]byte, 512)
	for {
		n, _, err := e.conn.ReadFromUDP(b)
		if err != nil {
			return
		}
		e.mu.Lock()
		if len(e.heard) < 1<<16 { // whoever else sends something here
			e.heard[string(b[:n])] = true
		}
		close(e.news)
		e.news = make(chan struct{})
		e.mu.Unlock()
	}
}

// At is the try that sends a datagram to the ear at this address. Each has a token of its own.
func (e *Ear) At(address netip.Addr) Try {
	return Try{Network: "datagram", Address: netip.AddrPortFrom(address, e.port).String(), Token: rand.Text()}
}

// Heard says whether the datagram of a try came here.
func (e *Ear) Heard(t Try) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard[t.Token]
}

// Listens returns once a datagram that was sent from here and now is heard: then all that came before were. Its error is
// ctx's.
func (e *Ear) Listens(ctx context.Context) error {
	control := e.At(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	for {
		e.mu.Lock()
		news := e.news
		e.mu.Unlock()
		if e.Heard(control) {
			return nil
		}
		control.Do(ctx)
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close stops listening.
func (e *Ear) Close() {
	_ = e.conn.Close()
	e.reads.Wait()
}

// send sends a datagram, and again: where the neighbour's address has to be asked for first, one may be lost.
func (t Try) send(ctx context.Context) Answer {
	c, err := dial(ctx, "udp", t.Address)
	if err != nil {
		return failed(ctx, err)
	}
	defer c.Close() //nolint:errcheck // it is over
	for range 3 {
		if _, err = c.Write([]byte(t.Token)); err != nil {
			return failed(ctx, err)
		}
	}
	return Answer{Sent: true}
}

// askResolver asks a server of names for one that nobody has, and listens where that one is to ask further: it must come
// there, and no answer from anywhere else.
func (t Try) askResolver(ctx context.Context) Answer {
	c, err := dial(ctx, "udp", t.Address)
	if err != nil {
		return failed(ctx, err)
	}
	defer c.Close() //nolint:errcheck // it is over
	name := strings.ToLower(rand.Text()) + ".invalid."
	question, err := questionFor(name)
	if err != nil {
		return failed(ctx, err)
	}
	further, err := listenFor(ctx, t.Token, name)
	if err != nil {
		return failed(ctx, err)
	}
	defer further.stop()
	if _, err := c.Write(question); err != nil {
		return failed(ctx, err)
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil {
		a := failed(ctx, err)
		a.Own = further.heard()
		return a
	}
	var h dnsmessage.Parser
	head, err := h.Start(b[:n])
	if err != nil {
		return failed(ctx, err)
	}
	// That there is no such name is an answer that somebody gave who knows.
	a := Answer{Own: further.heard(), Refused: head.RCode == dnsmessage.RCodeServerFailure || head.RCode == dnsmessage.RCodeRefused}
	a.Reached, a.Error = !a.Refused, strings.TrimPrefix(head.RCode.String(), "RCode")
	return a
}

func questionFor(name string) ([]byte, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 1, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

// upstream is where a server of names asks further.
type upstream struct {
	conn  net.PacketConn
	reads sync.WaitGroup
	mu    sync.Mutex
	asked bool
}

func listenFor(ctx context.Context, address, name string) (*upstream, error) {
	var l net.ListenConfig
	c, err := l.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	u := &upstream{conn: c}
	u.reads.Go(func() {
		b := make([]byte, 512)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			var p dnsmessage.Parser
			if _, err := p.Start(b[:n]); err != nil {
				continue
			}
			if q, err := p.Question(); err == nil && strings.EqualFold(q.Name.String(), name) {
				u.mu.Lock()
				u.asked = true
				u.mu.Unlock()
			}
		}
	})
	return u, nil
}

func (u *upstream) heard() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked
}

func (u *upstream) stop() {
	_ = u.conn.Close()
	u.reads.Wait()
}
