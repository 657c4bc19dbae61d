package edge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"greenroom/internal/problem"
)

// The hand-over, on a connection to the admin socket of the running edge:
//
//	successor    POST /handover
//	predecessor  101
//	successor    one byte: whatever was sent before is read, descriptors may come
//	predecessor  a frame with an inheritance, then one byte with a descriptor for each thing in it: the folder's lock,
//	             the admin socket, the listeners in the order of the inheritance
//	successor    one byte: it serves
//
// Until that last byte the predecessor goes on as if nothing had happened, when the successor dies. Afterwards the
// connection stays open until the predecessor has answered its last request; the successor sends it every new table as
// a frame, answered with one byte, so that connections which are still the predecessor's go where all others go.

// handOverTimeout bounds every wait for the other side.
const handOverTimeout = 10 * time.Second

// inheritance describes the descriptors that follow it.
type inheritance struct {
	Table   Table    `json:"table"`
	Unbound []string `json:"unbound,omitempty"`
	Sockets []string `json:"sockets"`
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
		err = errors.New("another successor was faster")
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
	b, err := json.Marshal(will)
	if err != nil {
		return err
	}
	if err := writeFrame(c, b); err != nil {
		return err
	}
	for _, t := range things {
		if err := control(t, func(fd int) error {
			_, _, err := c.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil)
			return err
		}); err != nil {
			return err
		}
	}
	if _, err := io.ReadFull(c, one[:]); err != nil {
		return fmt.Errorf("the successor did not come to serve: %w", err)
	}
	return c.SetDeadline(time.Time{})
}

// takeOver makes this edge the successor of the one that runs in its folder.
func (e *edge) takeOver(ctx context.Context) (confirm func(), err error) {
	c, err := dialAdmin(ctx, e.opts.Dir)
	if err != nil {
		return nil, problem.New(problem.Unavailable, "an edge runs in %s and does not answer: %w", e.opts.Dir, err).
			WithHint("try again; it may be starting or leaving")
	}
	uc := c.(*net.UnixConn)
	will, files, err := inherit(uc)
	if err == nil {
		err = e.settleIn(will, files)
	}
	for _, f := range files[min(1, len(files)):] {
		_ = f.Close() // listeners have descriptors of their own
	}
	if err != nil {
		return nil, problem.New(problem.Unavailable, "the edge in %s could not be taken over, it goes on: %w", e.opts.Dir, errors.Join(err, c.Close()))
	}
	e.predecessor = newPeer(c)
	go e.predecessor.waitGone()
	return func() { _, _ = uc.Write([]byte{1}) }, nil // when it fails the predecessor goes on too, with the same table
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
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
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
	for range 2 + len(will.Sockets) {
		f, err := receiveFile(c)
		if err != nil {
			return will, files, err
		}
		files = append(files, f)
	}
	return will, files, c.SetDeadline(time.Time{})
}

func receiveFile(c *net.UnixConn) (*os.File, error) {
	var one [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ReadMsgUnix(one[:], oob)
	if err != nil {
		return nil, err
	}
	if n != 1 {
		return nil, io.ErrUnexpectedEOF
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		return nil, errors.Join(errors.New("a descriptor did not arrive"), err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(errors.New("a descriptor did not arrive"), err)
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "inherited"), nil
}

// settleIn serves what was inherited.
func (e *edge) settleIn(will inheritance, files []*os.File) error {
	if err := will.Table.Validate(); err != nil {
		return err
	}
	e.lock = files[0]
	al, err := net.FileListener(files[1])
	if err != nil {
		return err
	}
	ul, ok := al.(*net.UnixListener)
	if !ok {
		return errors.New("the admin socket is none")
	}
	want := wanted(will.Table)
	var sockets []*socket
	for i, a := range will.Sockets {
		l, err := net.FileListener(files[2+i])
		if err != nil {
			return err
		}
		tl, ok := l.(*net.TCPListener)
		if !ok || want[a] == "" {
			return fmt.Errorf("the listener of %s is none", a)
		}
		sockets = append(sockets, e.socket(a, want[a], tl))
	}
	e.live.Store(e.keep.ready(will.Table))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unbound = will.Unbound
	for _, s := range sockets {
		e.adopt(s)
	}
	e.serveAdmin(ul)
	return nil
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
