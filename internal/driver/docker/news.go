package docker

import (
	"context"
	"time"

	"github.com/moby/moby/client"

	"greenroom/internal/driver"
)

// news wakes up whoever waits for something to happen to a replica.
type news struct {
	came   chan struct{} // holds one: that something happened
	cancel context.CancelFunc
	ended  chan struct{}
}

// openTime is how long it is waited for the Engine to begin to tell: what happens before that is seen a moment later.
const openTime = time.Second

// follow subscribes to what happens to a replica; stop ends it. An Engine that went is asked again now and then.
func (d *Driver) follow(ctx context.Context, id string) *news {
	ctx, cancel := context.WithCancel(ctx)
	n := &news{came: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{})}
	opened := make(chan struct{})
	go func() {
		defer close(n.ended)
		for first := true; ctx.Err() == nil; first = false {
			// An Engine that hangs lets nobody out of this before ctx ends.
			stream := d.engine.Events(ctx, client.EventsListOptions{Filters: d.filters(labelReplica, id).Add("type", "container")})
			if first {
				close(opened)
			}
			n.read(stream)
			_ = driver.Sleep(ctx, openTime) // ctx is asked above
		}
	}()
	select {
	case <-opened:
	case <-ctx.Done():
	case <-time.After(openTime):
	}
	return n
}

// read takes what the Engine tells, until it tells no more.
func (n *news) read(stream client.EventsResult) {
	for {
		select {
		case <-stream.Messages:
			select {
			case n.came <- struct{}{}:
			default: // whoever waits has not looked yet
			}
		case <-stream.Err: //nolint:errcheck // that it came is the news: it ended
			for range stream.Err { // its goroutine ends
			}
			return
		}
	}
}

// next returns when something happened, or after that time: not everything is told, and an Engine that went tells nothing.
func (n *news) next(ctx context.Context, most time.Duration) error {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-n.came:
	case <-t.C:
	}
	return nil
}

func (n *news) stop() {
	n.cancel()
	<-n.ended
}
