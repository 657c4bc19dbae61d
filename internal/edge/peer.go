package edge

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// peer is the other edge, while a predecessor ends what it has begun. A nil peer is one that never was.
type peer struct {
	conn net.Conn
	over chan struct{} // closed when the predecessor is gone; used by the successor
	acks chan struct{}
	once sync.Once
}

func newPeer(c net.Conn) *peer {
	return &peer{conn: c, over: make(chan struct{}), acks: make(chan struct{}, 1)}
}

// gone is closed when the predecessor has answered its last request; nil when there is none (any more).
func (p *peer) gone() <-chan struct{} {
	if p == nil {
		return nil
	}
	select {
	case <-p.over:
		return nil
	default:
		return p.over
	}
}

// waitGone reads what the predecessor says, which is an answer to each table, until it is gone.
func (p *peer) waitGone() {
	defer close(p.over)
	defer p.close()
	var one [1]byte
	for {
		if _, err := io.ReadFull(p.conn, one[:]); err != nil {
			return
		}
		p.acks <- struct{}{}
	}
}

// follow makes the predecessor use a new table, and returns when it does.
func (p *peer) follow(t Table, log *slog.Logger) {
	if p.gone() == nil {
		return
	}
	b, err := json.Marshal(t)
	if err == nil {
		_ = p.conn.SetWriteDeadline(time.Now().Add(time.Second))
		err = writeFrame(p.conn, b)
	}
	late := time.NewTimer(time.Second)
	defer late.Stop()
	select {
	case <-p.acks:
		return
	case <-p.over:
		return
	case <-late.C:
	}
	// It hangs, or cannot be reached: without the connection it ends by itself.
	log.Error("the edge before this one does not take the new table", "error", err)
	p.close()
}

// serve is the predecessor's side: it takes the successor's tables until the connection ends.
func (p *peer) serve(e *edge) {
	for {
		b, err := readFrame(p.conn)
		if err != nil {
			return
		}
		var t Table
		if err := json.Unmarshal(b, &t); err != nil || t.Validate() != nil {
			e.log.Error("the successor sent a table that is not readable", "error", err)
			return
		}
		old, next := e.live.Load(), e.keep.ready(t)
		e.live.Store(next)
		close(old.replaced)
		e.keep.settle(next, time.Now())
		if _, err := p.conn.Write([]byte{1}); err != nil {
			return
		}
	}
}

func (p *peer) close() {
	if p != nil {
		p.once.Do(func() { _ = p.conn.Close() })
	}
}
