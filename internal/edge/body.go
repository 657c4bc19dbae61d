package edge

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// bodyTimeout is how long a client may send nothing in the middle of a body. Uploads may take for ever, as long as they
// go on.
const bodyTimeout = time.Minute

// discardTimeout is how long the rest of a body that nobody wants may take to come.
const discardTimeout = 5 * time.Second

// body is a request's body on its way. It belongs to the transport until detach: closing it then does not close the
// client's, because net/http would read that to its end, from a client that waits for our answer.
//
// net/http's server has a trap here. When a body reaches its end the server begins to listen for the client leaving, and
// whatever then goes wrong on that listening (a deadline of ours, too) cancels this request and all later ones of the
// connection. So nothing touches the connection's deadlines once the end may have been reached, unless the connection
// is going to be closed.
type body struct {
	control *http.ResponseController
	ended   atomic.Bool // the client has sent all of it
	over    atomic.Bool // nobody wants more of it
	shared  bool        // the connection carries other requests as well (HTTP/2), and outlives this body's trouble

	mu   sync.Mutex // held while reading
	from io.ReadCloser
	by   time.Time // read deadline in force; zero: nothing was read
	err  error     // how reading failed
}

var errOver = errors.New("the request is over")

func newBody(w http.ResponseWriter, in *http.Request) *body {
	b := &body{from: in.Body, control: http.NewResponseController(w), shared: in.ProtoMajor >= 2}
	// Otherwise net/http reads the rest of the body before it lets an answer out, and the back end would get a short
	// body when it answers early.
	_ = b.control.EnableFullDuplex() // HTTP/2 always is
	return b
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended.Load() {
		return 0, io.EOF
	}
	if b.over.Load() {
		return 0, errOver
	}
	if now := time.Now(); b.by.Sub(now) < bodyTimeout/2 {
		b.by = now.Add(bodyTimeout)
		_ = b.control.SetReadDeadline(b.by) // without it the read is unbounded, no more
	}
	if b.over.Load() { // again: detach sets an earlier deadline to end this read
		return 0, errOver
	}
	n, err := b.from.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.ended.Store(true)
	case err != nil:
		b.err = err
	}
	return n, err
}

// Close leaves the client's body open.
func (b *body) Close() error { return nil }

// detach ends the transport's reading, because what belongs to the server must not be used when its handler has
// returned. When last, the connection is closed after this answer: flush sends the answer, and what the client still
// sends is read for a while, or the kernel would reset the connection and destroy the answer on its way.
func (b *body) detach(last bool, flush func() error) {
	b.over.Store(true)
	if b.shared {
		b.endRead()
		return
	}
	if !last {
		return
	}
	_ = b.control.SetReadDeadline(time.Unix(1, 0)) // ends a read that is under way
	b.mu.Lock()
	defer b.mu.Unlock()
	// A client that was not asked for its body (Expect: 100-continue) does not send it.
	if b.by.IsZero() || b.ended.Load() || flush() != nil {
		return
	}
	_ = b.control.SetReadDeadline(time.Now().Add(discardTimeout))
	_, _ = io.Copy(io.Discard, b.from) // as far as it comes
}

// endRead returns when nobody reads any more: in HTTP/2 the writer, with the deadlines, is not there after its handler.
func (b *body) endRead() {
	if b.ended.Load() {
		return
	}
	_ = b.control.SetReadDeadline(time.Unix(1, 0)) // of this request alone
	b.mu.Lock()
	defer b.mu.Unlock()
}

// fault says whether the client's sending failed, and the status that tells so: 0 when it went away. A nil body has no
// fault.
func (b *body) fault() (status int, failed bool) {
	if b == nil || !b.mu.TryLock() { // a read that is under way has not failed
		return 0, false
	}
	defer b.mu.Unlock()
	var ne net.Error
	switch {
	case b.err == nil:
		return 0, false
	case errors.As(b.err, &ne) && ne.Timeout():
		return http.StatusRequestTimeout, true
	case errors.Is(b.err, io.ErrUnexpectedEOF) || ne != nil:
		return 0, true
	default:
		return http.StatusBadRequest, true
	}
}
