package artifact

import (
	"context"
	"io"
	"strings"

	"greenroom/internal/proc"
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

// excerpt is the last lines of an output, indented, behind a line break; empty when there is nothing.
func excerpt(t *proc.Tail, lines int) string {
	last := t.Lines(lines)
	if len(last) == 0 {
		return ""
	}
	return "\n  " + strings.Join(last, "\n  ")
}
