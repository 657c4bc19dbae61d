package process

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"greenroom/internal/driver"
)

// The pump's memory: so many buffers of so many bytes for each replica.
const (
	bufferSize = 64 << 10
	buffers    = 8
	// stall is how long the writer of the log may take for a buffer before output is dropped. It is far more than a disk
	// needs that works, and short enough for a service that writes while the disk hangs.
	stall = 100 * time.Millisecond
)

// pump copies what a child prints from r to last and w until r ends. The child is never held up by a w that stands
// still: then its output is dropped, and a line in w says how much.
func pump(r io.Reader, last *lastLines, w io.Writer) {
	full := make(chan []byte, buffers)
	free := make(chan []byte, buffers)
	for range buffers {
		free <- make([]byte, bufferSize)
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		for b := range full {
			_, _ = w.Write(b) // a full disk loses output, not the service
			free <- b[:bufferSize]
		}
	})
	defer writing.Wait()
	defer close(full)
	read(r, last, full, free)
}

// read fills buffers from r. While there is no free one, it reads into a spare one and counts what it drops.
func read(r io.Reader, last *lastLines, full chan<- []byte, free <-chan []byte) {
	spare := make([]byte, bufferSize)
	dropped := 0
	for {
		b, ok := takeBuffer(free, dropped > 0)
		if ok && dropped > 0 {
			full <- append(b[:0], fmt.Sprintf("\ngreenroom: %d bytes are missing here, the disk was too slow\n", dropped)...)
			dropped = 0
			continue
		}
		if !ok {
			b = spare
		}
		n, err := r.Read(b)
		last.Write(b[:n]) //nolint:errcheck // memory
		if !ok {
			dropped += n
		} else {
			full <- b[:n]
		}
		if err != nil {
			return
		}
	}
}

// takeBuffer gets a free buffer; it waits for one only when nothing is being dropped yet.
func takeBuffer(free <-chan []byte, dropping bool) ([]byte, bool) {
	select {
	case b := <-free:
		return b, true
	default:
	}
	if dropping {
		return nil, false
	}
	t := time.NewTimer(stall)
	defer t.Stop()
	select {
	case b := <-free:
		return b, true
	case <-t.C:
		return nil, false
	}
}

// lastLines remembers the end of what was written to it.
type lastLines struct {
	mu  sync.Mutex
	buf []byte
}

// Write never fails.
func (l *lastLines) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > driver.RememberBytes {
		p = p[len(p)-driver.RememberBytes:]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	if over := len(l.buf) - driver.RememberBytes; over > 0 {
		l.buf = append(l.buf[:0], l.buf[over:]...)
	}
	return n, nil
}

func (l *lastLines) lines() []string {
	l.mu.Lock()
	all := string(l.buf)
	l.mu.Unlock()
	return driver.LastLines(all)
}

func (l *lastLines) text() string { return strings.Join(l.lines(), "\n") }

func (l *lastLines) line() string {
	lines := l.lines()
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// whole is the last line as it was written, without end or limit but that of the memory.
func (l *lastLines) whole() string {
	l.mu.Lock()
	all := strings.TrimSpace(string(l.buf))
	l.mu.Unlock()
	return all[strings.LastIndexByte(all, '\n')+1:]
}
