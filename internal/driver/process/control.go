package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

const (
	socketFile = "ctl.sock"
	stopLine   = "stop"
	forgetLine = "forget" // stop, and leave what was deployed as it is
	// answerTime is how long a supervisor may take to tell its state: it has it in memory.
	answerTime = 5 * time.Second
	// endTime is how long it may take to end when the replica's grace is over.
	endTime = 20 * time.Second
)

// errSilent says that a supervisor took the connection and did not answer: it is stopped, or hangs.
var errSilent = errors.New("the supervisor does not answer")

// board is the state that all connections show. Each sees the newest; what came and went in between may be skipped.
type board struct {
	mu      sync.Mutex
	now     state
	changed chan struct{} // closed by the next change
}

func newBoard(st state) *board { return &board{now: st, changed: make(chan struct{})} }

func (b *board) get() (state, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now, b.changed
}

func (b *board) set(st state) {
	b.mu.Lock()
	defer b.mu.Unlock()
	same := st
	same.Last = b.now.Last // a child that prints is no news
	if same == b.now {
		return
	}
	b.now = st
	close(b.changed)
	b.changed = make(chan struct{})
}

// control serves a supervisor's socket: every connection gets the state as a line of JSON, now and with each change,
// and may ask to stop.
type control struct {
	board    *board
	listener *net.UnixListener
	asked    chan struct{} // closed when somebody asked to stop
	ask      func()
	spare    atomic.Bool   // what was deployed stays
	done     chan struct{} // closed when it's over
	open     sync.WaitGroup
}

func listenControl(folder string, b *board) (*control, error) {
	name := filepath.Join(folder, socketFile)
	_ = os.Remove(name) // a dead supervisor's; the caller holds the lock
	var l net.Listener
	err := driver.Shortly(name, func(name string) (err error) {
		l, err = net.Listen("unix", name)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &control{board: b, listener: l.(*net.UnixListener), asked: make(chan struct{}), done: make(chan struct{})}
	c.listener.SetUnlinkOnClose(false) // the name that it was opened by is not the socket's own
	c.ask = sync.OnceFunc(func() { close(c.asked) })
	c.open.Go(c.serve)
	return c, nil
}

func (c *control) serve() {
	for {
		conn, err := c.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too few descriptors: the others go on
			time.Sleep(10 * time.Millisecond)
			continue
		}
		c.open.Go(func() { c.talk(conn) })
	}
}

func (c *control) talk(conn net.Conn) {
	left := make(chan struct{})
	c.open.Go(func() {
		defer close(left)
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			switch lines.Text() {
			case forgetLine:
				c.spare.Store(true)
				c.ask()
			case stopLine:
				c.ask()
			}
		}
	})
	defer conn.Close() //nolint:errcheck // the other end may be gone
	for {
		st, changed := c.board.get()
		if err := errors.Join(conn.SetWriteDeadline(time.Now().Add(answerTime)), json.NewEncoder(conn).Encode(st)); err != nil {
			return
		}
		select {
		case <-changed:
		case <-left:
			return
		case <-c.done:
			return
		}
	}
}

func (c *control) close() {
	close(c.done)
	_ = c.listener.Close()
	c.open.Wait()
}

// client is a driver's end of a supervisor's socket.
type client struct {
	conn   net.Conn
	states *json.Decoder
	forget func() bool
}

// dialControl connects to a supervisor; it fails at once where there is none. When ctx ends, next fails.
func dialControl(ctx context.Context, folder string) (*client, error) {
	var conn net.Conn
	err := driver.Shortly(filepath.Join(folder, socketFile), func(name string) (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", name)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, states: json.NewDecoder(conn)}
	c.forget = context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	return c, nil
}

// next is the newest state, at first at once, then when it has changed.
func (c *client) next() (state, error) {
	var st state
	return st, c.states.Decode(&st)
}

// within is next that waits no longer than that; errSilent then.
func (c *client) within(ctx context.Context, d time.Duration) (state, error) {
	t := time.AfterFunc(d, func() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer t.Stop()
	st, err := c.next()
	if ctx.Err() != nil {
		return st, ctx.Err()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return st, errSilent
	}
	return st, err
}

func (c *client) close() {
	c.forget()
	_ = c.conn.Close()
}

// ask gets a replica's state from its supervisor.
func (d *Driver) ask(ctx context.Context, id string) (state, error) {
	c, err := dialControl(ctx, d.folder(id))
	if err != nil {
		return state{}, err
	}
	defer c.close()
	return c.within(ctx, answerTime)
}

// awaitLeave returns when the supervisor has left, or there is none.
func (d *Driver) awaitLeave(ctx context.Context, id string) {
	c, err := dialControl(ctx, d.folder(id))
	if err != nil {
		return
	}
	defer c.close()
	for err == nil {
		_, err = c.next()
	}
}

// askToEnd asks a supervisor to end its replica, and returns when the connection ends: then it has, or has died.
func (d *Driver) askToEnd(ctx context.Context, id, line string) error {
	c, err := dialControl(ctx, d.folder(id))
	if err != nil {
		return err
	}
	defer c.close()
	st, err := c.within(ctx, answerTime)
	supervisor := st.Supervisor
	if err == nil {
		_, err = c.conn.Write([]byte(line + "\n"))
	}
	refused := ""
	for patience := answerTime; err == nil; {
		if st.Stopping || st.Ending {
			patience = st.Grace + endTime
		}
		refused = st.Refused
		st, err = c.within(ctx, patience)
	}
	if errors.Is(err, errSilent) || ctx.Err() != nil {
		return err
	}
	// It has only to leave its main function. A driver that returned before that would show it as still running.
	for supervisor.Alive() {
		if err := driver.Sleep(ctx, retry); err != nil {
			return err
		}
	}
	if refused != "" {
		return problem.New(problem.Fail, "%s", refused).WithHint("greenroom logs, repair what it says, and stop it again")
	}
	return nil
}
