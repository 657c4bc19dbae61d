package edge

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// retryBind is how often addresses that could not be had are tried again.
const retryBind = 2 * time.Second

// await serves until ctx ends or a successor has taken over, and leaves.
func (e *edge) await(ctx context.Context) {
	tick := time.NewTicker(retryBind)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			e.leave(nil)
			return
		case next := <-e.successor:
			e.leave(next)
			return
		case <-tick.C:
			e.rebind(slog.LevelDebug)
		}
	}
}

// leave ends the edge and loses nothing. Listeners close first, which with a successor closes no door. Connections are
// then told to go with their next answer; only after that are idle ones closed, because closing one may cross with a
// request. Requests under way end as they would, within Options.Stop.
func (e *edge) leave(next *peer) {
	e.leaving.Store(true)
	e.mu.Lock()
	if e.left && next == nil { // a successor took over while ctx ended
		next = <-e.successor
	}
	e.left = true
	sockets := maps.Clone(e.sockets)
	maps.Copy(sockets, e.entrances)
	e.mu.Unlock()
	e.certs.leave()
	for _, s := range sockets {
		s.deafen()
	}
	e.admin.deafen()
	if next != nil {
		go next.serve(e)
		time.Sleep(e.opts.Grace)
		e.linger()
	}
	ctx, cancel := context.WithTimeout(context.Background(), e.opts.Stop)
	defer cancel()
	e.finish(ctx, sockets, next != nil)
	e.closing.Wait()
	e.keep.close()
	e.admin.close()
	if next == nil {
		if err := os.Remove(filepath.Join(e.opts.Dir, adminFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			e.log.Debug("admin socket stays", "error", err)
		}
	}
	next.close()
	e.predecessor.close()
	_ = e.lock.Close() // the lock itself is the successor's, who has another descriptor of it
	e.log.Info("edge has left", "instance", e.instance)
}

// linger waits until the clients have closed their connections, and at most for Options.Linger.
func (e *edge) linger() {
	end := time.NewTimer(e.opts.Linger)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for e.conns.Load() > 0 {
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// finish waits for what is under way. Upgraded connections, which may last for ever, are given as long as everything
// else only when a successor serves meanwhile.
func (e *edge) finish(ctx context.Context, sockets map[string]*socket, patient bool) {
	if !patient {
		defer e.closeTunnels()
	}
	var all sync.WaitGroup
	for _, s := range sockets {
		all.Go(func() { s.finish(ctx) })
	}
	all.Wait()
	if !patient {
		return
	}
	for _, c := range e.keep.all() {
		zero, done := c.whenZero()
		select {
		case <-zero:
		case <-ctx.Done():
			c.closeTunnels()
		}
		done()
	}
}

func (e *edge) closeTunnels() {
	for _, c := range e.keep.all() {
		c.closeTunnels()
	}
}

// drain waits for the last request of a release on a route. See Client.Drain.
func (e *edge) drain(ctx context.Context, key poolKey, timeout time.Duration) (Drained, error) {
	c := e.keep.find(key)
	if c == nil { // never asked since this edge started
		c = &counts{}
	}
	zero, done := c.whenZero()
	defer done()
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	before := e.predecessor.gone()
	for zero != nil || before != nil {
		select {
		case <-zero:
			zero = nil
		case <-before:
			before = nil
		case <-ctx.Done():
			return Drained{}, ctx.Err()
		case <-patience.C:
			return cutOff(c, zero, before != nil), nil
		}
	}
	return Drained{}, nil
}

// cutOff closes what may last for ever, gives it a moment to end, and says what is left.
func cutOff(c *counts, zero <-chan struct{}, predecessor bool) Drained {
	d := Drained{Closed: c.closeTunnels(), Predecessor: predecessor}
	if d.Closed > 0 {
		moment := time.NewTimer(time.Second)
		defer moment.Stop()
		select {
		case <-zero:
		case <-moment.C:
		}
	}
	d.Left = c.inFlight.Load()
	return d
}
