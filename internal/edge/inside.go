package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/netns"
	"greenroom/internal/problem"
)

// What is in a network namespace of its own is reached through the namespace's broker, which hands out sockets of the
// namespace: see package netns. The edge itself never enters one, which needs more rights than it has.

// brokerRetry is how often a broker is tried again that is just being started anew.
const brokerRetry = 10 * time.Millisecond

// listenTime is how long a swap waits for a broker that is just being started anew.
const listenTime = time.Second

// answerTime is how long a broker may take to answer, which has nothing to wait for itself.
const answerTime = 5 * time.Second

// insideKey names an address inside a namespace among those that the edge listens on. Those outside begin with no slash.
func insideKey(broker, address string) string { return broker + "|" + address }

// insideOf is insideKey the other way round; an empty broker says that the address is outside.
func insideOf(key string) (broker, address string) {
	if !strings.HasPrefix(key, "/") {
		return "", key
	}
	i := strings.LastIndexByte(key, '|')
	return key[:i], key[i+1:]
}

// dialBroker connects to a broker. One that has died is started again by its supervisor, so it is tried again until the
// patience is over.
func dialBroker(ctx context.Context, broker string, patience time.Duration) (*net.UnixConn, error) {
	var d net.Dialer
	for until := time.Now().Add(patience); ; {
		path, done, err := shortPath(filepath.Dir(broker), filepath.Base(broker))
		if err != nil {
			return nil, err
		}
		c, err := d.DialContext(ctx, "unix", path)
		done()
		if err == nil {
			return c.(*net.UnixConn), nil
		}
		coming := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
		if !coming || time.Now().After(until) {
			return nil, fmt.Errorf("the network namespace's broker: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(brokerRetry):
		}
	}
}

// dialInside connects to an address inside the broker's namespace.
func dialInside(ctx context.Context, broker, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := dialBroker(ctx, broker, timeout)
	if err != nil {
		return nil, err
	}
	return netns.Dial(ctx, c, address)
}

// listenInside listens on an address inside the broker's namespace.
func listenInside(broker, address string, patience time.Duration) (*net.TCPListener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience+answerTime)
	defer cancel()
	c, err := dialBroker(ctx, broker, patience)
	if err != nil {
		return nil, noListener(broker, address, err)
	}
	l, err := netns.Listen(ctx, c, address)
	if err != nil {
		return nil, noListener(broker, address, err)
	}
	return l.(*net.TCPListener), nil
}

func noListener(broker, address string, err error) error {
	return problem.New(problem.Unavailable, "the edge cannot listen on %s in the network of %s: %w", address, filepath.Dir(broker), err)
}
