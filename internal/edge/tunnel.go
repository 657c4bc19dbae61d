package edge

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tunnel passes bytes both ways after the back end agreed to another protocol, as for websockets.
func (x *exchange) tunnel(res *http.Response) ending {
	far, ok := res.Body.(io.ReadWriteCloser)
	asked, got := upgrade(x.in.Header), upgrade(res.Header)
	if !ok || !tunnelled(asked) || !strings.EqualFold(asked, got) {
		_ = res.Body.Close()
		return x.fail(errors.New("the back end changed to a protocol that was not asked for"))
	}
	conn, rw, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		_ = far.Close()
		return x.fail(err)
	}
	_ = conn.SetDeadline(time.Time{}) // the server's own are over
	raw := conn
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if p, ok := raw.(*pacedConn); ok {
		p.writeBy.Store(0)
	}
	t := &tunnel{near: conn, far: far}
	defer t.Close() //nolint:errcheck // it is over
	forget := x.pool.counts.hold(t)
	defer forget()
	end := ending{status: res.StatusCode, head: time.Since(x.start)}
	if err := acceptUpgrade(rw.Writer, res, x.w.Header()["Set-Cookie"]); err != nil {
		end.gone = true
		return end
	}
	t.relay(rw.Reader, &x.edge.buffers)
	return end
}

func acceptUpgrade(w *bufio.Writer, res *http.Response, cookies []string) error {
	h := http.Header{}
	if cookies != nil {
		h["Set-Cookie"] = cookies
	}
	copyAnswerHeader(h, res.Header)
	delete(h, "Content-Type")
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, res.Header["Upgrade"]
	res.Header, res.Body = h, nil // nil, so that Write ends with the head
	if err := res.Write(w); err != nil {
		return err
	}
	return w.Flush()
}

// tunnel is two connections whose bytes go to one another.
type tunnel struct {
	near net.Conn
	far  io.ReadWriteCloser
}

// Close ends both, and with them the copying.
func (t *tunnel) Close() error { return errors.Join(t.near.Close(), t.far.Close()) }

// relay copies both ways until both ends have said their last, or one fails. from reads what near has sent.
func (t *tunnel) relay(from io.Reader, b *buffers) {
	var up sync.WaitGroup
	up.Go(func() {
		if !passOn(t.far, from, b) {
			_ = t.Close()
		}
	})
	if !passOn(t.near, t.far, b) {
		_ = t.Close()
	}
	up.Wait()
}

// passOn copies to the end, and tells to that there is no more. It says whether the other direction may go on.
func passOn(to io.Writer, from io.Reader, b *buffers) bool {
	if _, err := copyAll(to, from, b); err != nil {
		return false
	}
	half, ok := to.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

func copyAll(to io.Writer, from io.Reader, b *buffers) (int64, error) {
	_, kernel := from.(*net.TCPConn)
	if t, ok := to.(*net.TCPConn); ok && kernel {
		return t.ReadFrom(from) // the bytes stay in the kernel
	}
	buf := b.get()
	defer b.put(buf)
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buf[:])
}
