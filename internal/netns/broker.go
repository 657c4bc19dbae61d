package netns

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"greenroom/internal/problem"
)

// The broker is a process inside the namespace. Whoever may open its socket asks for one thing on a connection of its own
// and gets it as a descriptor: a connection that was dialled inside, or a listener there. What it handed out works on
// without it, so its death breaks nothing off; and it holds nothing, so the next one is as good.
//
//	asks     {"dial": true, "address": "127.0.0.1:20001"}, a line of JSON
//	gets     {} and the descriptor, or {"error": …, "errno": …}

// brokerTime bounds one request, and the wait for a connection that it asks for.
const brokerTime = 10 * time.Second

// maxRequest bounds a request and an answer in bytes.
const maxRequest = 4 << 10

type request struct {
	Dial    bool   `json:"dial"` // else: listen
	Address string `json:"address"`
}

type answer struct {
	Error string        `json:"error,omitempty"`
	Errno syscall.Errno `json:"errno,omitempty"` // what the error is; 0 where it has no number
}

// Serve is the body of the broker. It is to run inside; it returns when ctx ends or the listener is closed.
func Serve(ctx context.Context, l *net.UnixListener) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil { // too few descriptors: they come back
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		all.Go(func() {
			defer c.Close() //nolint:errcheck // it is over
			broke(ctx, c)
		})
	}
}

// broke serves one request.
func broke(ctx context.Context, c *net.UnixConn) {
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	var q request
	if err := json.NewDecoder(io.LimitReader(c, maxRequest)).Decode(&q); err != nil {
		return // whoever only looks whether somebody is here asks for nothing
	}
	thing, err := open(ctx, q)
	if err != nil {
		_ = json.NewEncoder(c).Encode(answerOf(err))
		return
	}
	defer thing.Close()                               //nolint:errcheck // the other end has its own
	_ = Send(c, []byte("{}\n"), thing.(syscall.Conn)) // a client that went away gets nothing
}

func open(ctx context.Context, q request) (io.Closer, error) {
	if q.Dial {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", q.Address)
	}
	var l net.ListenConfig
	return l.Listen(ctx, "tcp", q.Address)
}

func answerOf(err error) answer {
	a := answer{Error: err.Error()}
	_ = errors.As(err, &a.Errno)
	return a
}

// Dial gives a TCP connection to an address inside. c is a connection to the broker, and is closed.
func Dial(ctx context.Context, c *net.UnixConn, address string) (net.Conn, error) {
	f, err := ask(ctx, c, request{Dial: true, Address: address})
	if err != nil {
		return nil, err
	}
	conn, err := net.FileConn(f)
	return conn, errors.Join(err, f.Close())
}

// Listen gives a listener on a TCP address inside. c is a connection to the broker, and is closed.
func Listen(ctx context.Context, c *net.UnixConn, address string) (net.Listener, error) {
	f, err := ask(ctx, c, request{Address: address})
	if err != nil {
		return nil, err
	}
	l, err := net.FileListener(f)
	return l, errors.Join(err, f.Close())
}

// ask asks for one thing. An error that has a number is one of syscall's to errors.Is.
func ask(ctx context.Context, c *net.UnixConn, q request) (f *os.File, err error) {
	defer c.Close() //nolint:errcheck // it is over
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	defer func() {
		if ctx.Err() != nil && err != nil {
			err = ctx.Err()
		}
	}()
	if err := json.NewEncoder(c).Encode(q); err != nil {
		return nil, gone(err)
	}
	with := make([]byte, maxRequest)
	n, f, err := Receive(c, with)
	if err != nil {
		return nil, gone(err)
	}
	if f != nil {
		return f, nil
	}
	var a answer
	if err := json.Unmarshal(with[:n], &a); err != nil {
		return nil, gone(err)
	}
	return nil, refusal(a)
}

func gone(err error) error {
	return problem.New(problem.Unavailable, "the network namespace's broker does not answer: %w", err)
}

// refusal is what kept the broker from it, as errors.Is knows it.
func refusal(a answer) error {
	if a.Errno == 0 {
		return errors.New(a.Error)
	}
	return refused{errors.New(a.Error), a.Errno}
}

type refused struct {
	error
	errno syscall.Errno
}

func (r refused) Unwrap() []error { return []error{r.error, r.errno} }
