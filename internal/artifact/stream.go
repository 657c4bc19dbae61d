package artifact

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
)

// cancellable stops writing when its context ends.
type cancellable struct {
	ctx context.Context
	w   io.Writer
}

func (c cancellable) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// counter counts the bytes that were written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// tail keeps the end of what is written to it: between one and two times limit bytes.
type tail struct {
	limit int
	mu    sync.Mutex
	buf   []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := p[max(0, len(p)-t.limit):]
	if len(t.buf)+len(kept) > 2*t.limit {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-min(len(t.buf), t.limit):]...)
	}
	t.buf = append(t.buf, kept...)
	return len(p), nil
}

// excerpt is the last lines, indented, behind a line break; empty when there is nothing.
func (t *tail) excerpt(lines int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimRight(bytes.ToValidUTF8(t.buf, []byte("?")), "\n")
	if len(text) == 0 {
		return ""
	}
	all := strings.Split(string(text), "\n")
	return "\n  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}
