package edge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"greenroom/internal/netns"
	"greenroom/internal/problem"
)

// The hand-over, on a connection to the admin socket of the running edge:
//
//	successor    POST /handover
//	predecessor  101
//	successor    one byte: whatever was sent before is read, descriptors may come
//	predecessor  a frame with an inheritance, then one byte with a descriptor for each thing in it: the folder's lock,
//	             the admin socket, the listeners and the entrances in the order of the inheritance
//	successor    one byte: it serves
//	predecessor  one byte: it leaves
//
// Until then the predecessor goes on as if nothing had happened, when the successor dies. Afterwards the
// connection stays open until the predecessor has answered its last request; the successor sends it every new table as
// a frame, answered with one byte, so that connections which are still the predecessor's go where all others go.

// handOverTimeout bounds every wait for the other side.
const handOverTimeout = 10 * time.Second

// inheritance describes the descriptors that follow it.
type inheritance struct {
	Table   Table    `json:"table"`
	Unbound []string `json:"unbound,omitempty"`
	Sockets []string `json:"sockets"`
	// Entrances come behind the sockets: their addresses, and whether they speak TLS.
	Entrances []inheritedEntrance `json:"entrances,omitempty"`
}

type inheritedEntrance struct {
	Address string `json:"address"`
	TLS     bool   `json:"tls"`
}

// handOver gives everything to a successor. No table can be swapped meanwhile.
func (e *edge) handOver(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.left {
		err = e.giveTo(conn.(*net.UnixConn))
	} else {
		err = errors.New("this edge is leaving already")
	}
	if err != nil {
		e.log.Error("hand-over failed, this edge goes on", "error", err)
		_ = conn.Close()
		return
	}
	e.left = true
	e.log.Info("a successor has taken over")
	e.successor <- newPeer(conn)
}

func (e *edge) giveTo(c *net.UnixConn) error {
	if err := c.SetDeadline(time.Now().Add(handOverTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: greenroom-handover\r\n\r\n"); err != nil {
		return err
	}
	var one [1]byte
	if _, err := io.ReadFull(c, one[:]); err != nil {
		return err
	}
	will := inheritance{Table: e.live.Load().table, Unbound: e.unbound}
	things := []syscall.Conn{e.lock, e.admin.ln}
	for a, s := range e.sockets {
		will.Sockets = append(will.Sockets, a)
		things = append(things, s.ln)
	}
	for a, s := range e.entrances {
		will.Entrances = append(will.Entrances, inheritedEntrance{Address: a, TLS: s.protocol == secureHTTP})
		things = append(things, s.ln)
	}
	b, err := json.Marshal(will)
	if err != nil {
		return err
	}
	if err := writeFrame(c, b); err != nil {
		return err
	}
	for _, t := range things {
		if err := netns.Send(c, []byte{0}, t); err != nil {
			return err
		}
	}
	if _, err := io.ReadFull(c, one[:]); err != nil {
		return fmt.Errorf("the successor did not come to serve: %w", err)
	}
	if _, err := c.Write(one[:]); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// takeOver makes this edge the successor of the one that runs in its folder.
func (e *edge) takeOver(ctx context.Context) error {
	c, err := dialAdmin(ctx, e.opts.Dir)
	if err != nil {
		return problem.New(problem.Unavailable, "an edge runs in %s and does not answer: %w", e.opts.Dir, err).
			WithHint("try again; it may be starting or leaving")
	}
	uc := c.(*net.UnixConn)
	will, files, err := inherit(uc)
	if err == nil {
		err = e.settleIn(uc, will, files)
	}
	for i, f := range files {
		if i > 0 || err != nil { // the lock is kept as it is, listeners have descriptors of their own
			_ = f.Close()
		}
	}
	if err != nil {
		return problem.New(problem.Unavailable, "the edge in %s could not be taken over, it goes on: %w", e.opts.Dir, errors.Join(err, c.Close()))
	}
	return nil
}

// inherit receives the descriptors: the lock, the admin socket, the listeners.
func inherit(c *net.UnixConn) (will inheritance, files []*os.File, err error) {
	if err := c.SetDeadline(time.Now().Add(handOverTimeout)); err != nil {
		return will, nil, err
	}
	if _, err := io.WriteString(c, "POST /handover HTTP/1.1\r\nHost: edge\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return will, nil, err
	}
	// Nothing comes behind the answer before the byte is sent, so reading ahead loses no descriptor.
	res, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // its body is the connection
	if err != nil {
		return will, nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return will, nil, fmt.Errorf("it answered %s", res.Status)
	}
	if _, err := c.Write([]byte{1}); err != nil {
		return will, nil, err
	}
	b, err := readFrame(c)
	if err != nil {
		return will, nil, err
	}
	if err := json.Unmarshal(b, &will); err != nil {
		return will, nil, err
	}
	for range 2 + len(will.Sockets) + len(will.Entrances) {
		f, err := receiveFile(c)
		if err != nil {
			return will, files, err
		}
		files = append(files, f)
	}
	return will, files, nil
}

func receiveFile(c *net.UnixConn) (*os.File, error) {
	_, f, err := netns.Receive(c, make([]byte, 1))
	if f == nil && err == nil {
		err = errors.New("a descriptor did not arrive")
	}
	return f, err
}

// settleIn serves what was inherited. The admin socket comes last: calls wait in its queue until it is certain who
// answers them.
func (e *edge) settleIn(c *net.UnixConn, will inheritance, files []*os.File) error {
	if err := will.Table.Validate(); err != nil {
		return err
	}
	adminLn, err := inheritedListener[*net.UnixListener](files[1])
	if err != nil {
		return err
	}
	e.live.Store(e.keep.ready(will.Table))
	e.lock, e.unbound = files[0], will.Unbound
	if err = e.serveInherited(will, files[2:]); err == nil {
		err = agree(c)
	}
	if err != nil {
		maps.Copy(e.sockets, e.entrances)
		for _, s := range e.sockets {
			s.deafen()
			s.finish(context.Background())
		}
		e.certs.leave()
		e.keep.close()
		return errors.Join(err, adminLn.Close())
	}
	e.predecessor = newPeer(c)
	go e.predecessor.waitGone()
	e.serveAdmin(adminLn)
	return nil
}

func (e *edge) serveInherited(will inheritance, files []*os.File) error {
	want := wanted(will.Table)
	for i, a := range will.Sockets {
		ln, err := inheritedListener[*net.TCPListener](files[i])
		if err != nil {
			return err
		}
		e.adopt(e.socket(a, want[a], ln))
	}
	var all []Entrance
	for i, in := range will.Entrances {
		ln, err := inheritedListener[*net.TCPListener](files[len(will.Sockets)+i])
		if err != nil {
			return err
		}
		all = append(all, Entrance{Listener: ln, TLS: in.TLS})
	}
	all = append(all, e.opts.Entrances...)
	e.certify(all)
	e.enter(all)
	return nil
}

func inheritedListener[L net.Listener](f *os.File) (L, error) {
	var none L
	ln, err := net.FileListener(f)
	if err != nil {
		return none, err
	}
	l, ok := ln.(L)
	if !ok {
		return none, errors.Join(fmt.Errorf("a listener of another kind was inherited: %s", ln.Addr()), ln.Close())
	}
	return l, nil
}

// agree tells the predecessor that this edge serves, and hears that it leaves.
func agree(c *net.UnixConn) error {
	if err := c.SetDeadline(time.Now().Add(handOverTimeout)); err != nil {
		return err
	}
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	var one [1]byte
	if _, err := io.ReadFull(c, one[:]); err != nil {
		return fmt.Errorf("the predecessor does not leave: %w", err)
	}
	return c.SetDeadline(time.Time{})
}

func writeFrame(w io.Writer, b []byte) error {
	n := len(b)
	_, err := w.Write(append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, b...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(head[0])<<24 | int64(head[1])<<16 | int64(head[2])<<8 | int64(head[3])
	if n > 2*maxTable {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, r, n)
	return b.Bytes(), err
}
