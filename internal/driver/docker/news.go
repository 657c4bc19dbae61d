package docker

import (
	"context"
	"time"

	"github.com/moby/moby/client"
)

// news wakes up whoever waits for something to happen to a replica.
type news struct {
	open   func() client.EventsResult
	stream client.EventsResult
	broken bool
	cancel context.CancelFunc
}

// follow subscribes to what happens to a replica; stop ends it.
func (d *Driver) follow(ctx context.Context, id string) *news {
	ctx, cancel := context.WithCancel(ctx)
	n := &news{cancel: cancel, open: func() client.EventsResult {
		return d.engine.Events(ctx, client.EventsListOptions{Filters: d.filters(labelReplica, id).Add("type", "container")})
	}}
	n.stream = n.open()
	return n
}

// next returns when something happened, or after that time: not everything is told, and an Engine that went tells nothing.
func (n *news) next(ctx context.Context, most time.Duration) error {
	t := time.NewTimer(most)
	defer t.Stop()
	errs := n.stream.Err
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.stream.Messages:
			return nil
		case <-errs: //nolint:errcheck // that it came is the news; it is closed by now
			n.broken, errs = true, nil
		case <-t.C:
			if n.broken {
				n.stream, n.broken = n.open(), false
			}
			return nil
		}
	}
}

func (n *news) stop() {
	n.cancel()
	for range n.stream.Err { // its goroutine ends
	}
}
