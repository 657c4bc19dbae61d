package edge

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// pacedConn bounds how long a connection may stand still: a read or a write that has been waiting for that long fails.
// Nothing bounds the total. A deadline is moved only once half of it is used up, so the bound is right to a factor of
// two and costs next to nothing.
type pacedConn struct {
	net.Conn
	made            time.Time
	read, write     time.Duration // 0 is without bound
	readBy, writeBy atomic.Int64  // deadlines in force, ns since made
	// answers is set towards back ends that may answer before they have read everything, and close: net/http would then
	// report its failing write and drop the answer that has come. Reading decides instead, and fails where none has.
	answers  bool
	closed   func() // told once, at the first Close
	isClosed atomic.Bool
}

func (c *pacedConn) Read(p []byte) (int, error) {
	if c.read > 0 {
		if by, move := c.pace(&c.readBy, c.read); move {
			_ = c.SetReadDeadline(by) // of a closed connection: the read says so
		}
	}
	return c.Conn.Read(p)
}

func (c *pacedConn) Write(p []byte) (int, error) {
	if c.write > 0 {
		if by, move := c.pace(&c.writeBy, c.write); move {
			_ = c.SetWriteDeadline(by)
		}
	}
	n, err := c.Conn.Write(p)
	if err != nil && c.answers && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
		return len(p), nil
	}
	return n, err
}

// SetWriteDeadline leaves the pace alone: net/http's server takes deadlines away after each request.
func (c *pacedConn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() && c.write > 0 {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// pace keeps time by the monotonic clock, since the connection was made: the wall clock may jump.
func (c *pacedConn) pace(deadline *atomic.Int64, limit time.Duration) (by time.Time, move bool) {
	now := time.Now()
	age := now.Sub(c.made)
	if time.Duration(deadline.Load())-age > limit/2 {
		return time.Time{}, false
	}
	deadline.Store(int64(age + limit))
	return now.Add(limit), true
}

// Close closes the connection.
func (c *pacedConn) Close() error {
	if c.closed != nil && c.isClosed.CompareAndSwap(false, true) {
		c.closed()
	}
	return c.Conn.Close()
}

// CloseWrite ends the sending direction where the connection has two.
func (c *pacedConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}
