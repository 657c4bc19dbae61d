package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"greenroom/internal/api"
	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Logs is api.Backend's. With Follow the lines of several replicas come as they are printed; without, replica by replica.
func (d *Daemon) Logs(ctx context.Context, q api.LogQuery) (api.Stream[api.LogLine], error) {
	if _, _, err := d.policyAnd(ctx, q.App, q.Environment); err != nil {
		return nil, err
	}
	replicas, err := d.printed(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(replicas) == 0 {
		if q.Service != "" {
			return nil, problem.New(problem.NotFound, "nothing was printed there: no replica of a service %q is known in %s", q.Service, q.Environment).
				WithHint("greenroom status")
		}
		return nil, problem.New(problem.NotFound, "nothing was printed there: no replica of that kind is known in %s", q.Environment).
			WithHint("greenroom status")
	}
	return d.read(ctx, replicas, driver.LogOptions{Tail: q.Tail, Follow: q.Follow}), nil
}

// printed are the replicas whose output is asked for: those that run, or with a release named all that it had, since the
// driver keeps the output of those that were stopped last.
func (d *Daemon) printed(ctx context.Context, q api.LogQuery) ([]driver.Status, error) {
	if q.Release == "" {
		return d.world.Driver.List(ctx, driver.Filter{App: q.App, Environment: q.Environment, Service: q.Service})
	}
	b, err := d.world.Store.Resolve(ctx, q.App, q.Release)
	if err != nil {
		return nil, err
	}
	r, err := d.world.Release(ctx, b.Release)
	if err != nil {
		return nil, err
	}
	policy, _, err := d.policyAnd(ctx, q.App, q.Environment)
	if err != nil {
		return nil, err
	}
	if r.Contents.Deploy != nil {
		return d.world.Driver.List(ctx, driver.Filter{App: q.App, Environment: q.Environment, Service: q.Service, Release: string(b.Release)})
	}
	env, _ := d.world.Open(policy, q.Environment)
	var kept []driver.Status
	for _, s := range env.Replicas(r) {
		err := d.world.Driver.Logs(ctx, s.ID, driver.LogOptions{Tail: 1}, io.Discard)
		switch {
		case q.Service != "" && s.Service != q.Service, errors.Is(err, driver.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			kept = append(kept, s)
		}
	}
	return kept, nil
}

// read copies the output of replicas line by line.
func (d *Daemon) read(ctx context.Context, replicas []driver.Status, o driver.LogOptions) api.Stream[api.LogLine] {
	return func(yield func(api.LogLine, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		lines := make(chan api.LogLine, 256)
		var readers sync.WaitGroup
		errs := make([]error, len(replicas))
		one := func(i int) {
			w := &lineWriter{ctx: ctx, to: lines, line: api.LogLine{Service: replicas[i].Service, Replica: replicas[i].Index}}
			errs[i] = errors.Join(d.world.Driver.Logs(ctx, replicas[i].ID, o, w), w.end())
		}
		readers.Go(func() {
			for i := range replicas {
				if o.Follow {
					readers.Go(func() { one(i) })
				} else {
					one(i)
				}
			}
		})
		go func() {
			readers.Wait()
			close(lines)
		}()
		for l := range lines {
			if !yield(l, nil) {
				cancel()
				for range lines { //nolint:revive // until the readers have gone
				}
				return
			}
		}
		if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
			yield(api.LogLine{}, err)
		}
	}
}

// lineWriter cuts what is written to it into lines. One that never ends is cut at 64 KiB.
type lineWriter struct {
	ctx  context.Context
	to   chan<- api.LogLine
	line api.LogLine
	buf  []byte
}

const longestLine = 64 << 10

// Write is io.Writer's.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	for {
		i := bytes.IndexByte(w.buf, '\n')
		switch {
		case i >= 0:
			if err := w.send(w.buf[:i]); err != nil {
				return 0, err
			}
			w.buf = w.buf[i+1:]
		case len(w.buf) >= longestLine:
			if err := w.send(w.buf); err != nil {
				return 0, err
			}
			w.buf = nil
		default:
			return len(p), nil
		}
	}
}

func (w *lineWriter) end() error {
	if len(w.buf) == 0 {
		return nil
	}
	return w.send(w.buf)
}

func (w *lineWriter) send(text []byte) error {
	l := w.line
	l.Text = string(bytes.TrimSuffix(text, []byte("\r")))
	select {
	case w.to <- l:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}
