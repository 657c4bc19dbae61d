package proc

import (
	"bytes"
	"strings"
	"sync"
)

// Tail keeps the end of what is written to it, so that a child that prints without end costs nothing. It is safe for
// concurrent use; the zero value keeps nothing.
type Tail struct {
	keep int

	mu  sync.Mutex
	buf []byte
	cut bool
}

// NewTail keeps the last keep bytes.
func NewTail(keep int) *Tail { return &Tail{keep: keep} }

// Write is io.Writer's. It never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := p[max(0, len(p)-t.keep):]
	t.cut = t.cut || len(end) < len(p)
	if len(t.buf)+len(end) > 2*t.keep { // moved once in a while, not with every write
		t.cut = true
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-min(len(t.buf), t.keep):]...)
	}
	t.buf = append(t.buf, end...)
	return len(p), nil
}

// End is what was kept, at most twice as much as asked for, and whether anything before it was left out.
func (t *Tail) End() (text []byte, cut bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.buf), t.cut
}

// String is the end, at most as much as was asked for, from the beginning of a line where something was left out.
func (t *Tail) String() string {
	text, cut := t.End()
	if len(text) > t.keep {
		text, cut = text[len(text)-t.keep:], true
	}
	if i := bytes.IndexByte(text, '\n'); cut && i >= 0 && i < len(text)-1 {
		text = text[i+1:]
	}
	return strings.ToValidUTF8(string(text), "?")
}

// Lines are the last n lines.
func (t *Tail) Lines(n int) []string {
	text := strings.TrimSpace(t.String())
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	return all[max(0, len(all)-n):]
}
