package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/internal/driver"
)

// stuck is a disk that hangs until it is let go.
type stuck struct {
	free chan struct{}
	mu   sync.Mutex
	kept bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.free
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.Write(p)
}

func (s *stuck) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.String()
}

// A disk that hangs must not hold the child up, and what is lost is told.
func TestPumpDropsWhenTheDiskHangs(t *testing.T) {
	r, w := io.Pipe()
	disk := &stuck{free: make(chan struct{})}
	last := new(lastLines)
	var pumping sync.WaitGroup
	pumping.Go(func() { pump(r, last, disk) })
	chunk := bytes.Repeat([]byte("0123456789abcde\n"), bufferSize/16)
	const chunks = 3 * buffers
	for range chunks {
		if _, err := w.Write(chunk); err != nil { // returns although nothing is written to the disk
			t.Fatal(err)
		}
	}
	close(disk.free)
	// The disk works again: in a while there is a free buffer, and from then on nothing is lost.
	write := func(text string) {
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	const missing = "bytes are missing here, the disk was too slow"
	for end := time.Now().Add(time.Minute); !strings.Contains(disk.String(), missing) && time.Now().Before(end); {
		write(strings.Repeat("more\n", 100))
	}
	write("end\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	pumping.Wait()
	got := disk.String()
	if !strings.HasPrefix(got, string(chunk)) || !strings.HasSuffix(got, "end\n") {
		t.Errorf("the log begins %.20q and ends %.20q", got, got[max(0, len(got)-20):])
	}
	if !strings.Contains(got, missing) {
		t.Error("the log does not say that something is missing")
	}
	if kept := strings.Count(got, string(chunk)); kept > buffers+1 {
		t.Errorf("%d buffers were kept while the disk hung, want no more than there are", kept)
	}
}

func TestLastLines(t *testing.T) {
	l := new(lastLines)
	if l.line() != "" || l.text() != "" {
		t.Errorf("nothing was printed, and it gives %q", l.text())
	}
	for i := range 1000 {
		_, _ = fmt.Fprintf(l, "line %d\n\n", i)
	}
	_, _ = fmt.Fprint(l, "no end")
	lines := l.lines()
	if len(lines) != driver.RememberLines || lines[0] != "line 991" || l.line() != "no end" {
		t.Errorf("it remembers %q", lines)
	}
	if _, err := l.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil || len(l.buf) != driver.RememberBytes {
		t.Errorf("it remembers %d bytes", len(l.buf))
	}
}

func TestLogFileGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	for _, text := range []string{"one\n", "two\n"} {
		l, err := openLog(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := readLogs(t, dir, 0); got != "one\ntwo\n" {
		t.Errorf("logs %q", got)
	}
}

func TestLogFileIsBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l, err := openLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	chunk := bytes.Repeat([]byte("z"), 3*segmentSize/2)
	for range 2 * segments {
		if n, err := l.Write(chunk); n != len(chunk) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != segments {
		t.Fatalf("%d segments, %v; want %d", len(entries), err, segments)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Size() > segmentSize {
			t.Errorf("segment %s has %d bytes, %v", e.Name(), info.Size(), err)
		}
	}
}

// A full disk loses output; when there is room again, the log goes on.
func TestLogFileOnAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skipf("no full disk to write to: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(dir, segmentName(1))
	if err := os.Symlink("/dev/full", first); err != nil {
		t.Fatal(err)
	}
	l, err := openLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := l.Write([]byte("lost\n")); n != 0 || err == nil {
		t.Errorf("wrote %d bytes to a full disk, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("kept\n")); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readLogs(t, dir, 0); got != "kept\n" {
		t.Errorf("logs %q", got)
	}
}

// The line ends of a tail are counted across segments, wherever the segments are cut.
func TestTailAcrossSegments(t *testing.T) {
	const text = "a\nbb\n\nccc\nd"
	for cut := range len(text) + 1 {
		for _, end := range []string{"", "\n"} {
			dir := t.TempDir()
			for i, part := range []string{text[:cut], text[cut:] + end, ""} {
				if err := os.WriteFile(filepath.Join(dir, segmentName(i+1)), []byte(part), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for tail, want := range []string{text, "d", "ccc\nd", "\nccc\nd", "bb\n\nccc\nd", text, text} {
				if got := readLogs(t, dir, tail); got != want+end {
					t.Errorf("cut at %d, the last %d lines are %q, want %q", cut, tail, got, want+end)
				}
			}
		}
	}
}

// The rest of a line whose head has gone is not shown as a line.
func TestOldestSegmentBeginsWithARest(t *testing.T) {
	dir := t.TempDir()
	for seq, part := range map[int]string{7: "est of a line\nwhole\n", 8: "last\n"} {
		if err := os.WriteFile(filepath.Join(dir, segmentName(seq)), []byte(part), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tail := range []int{0, 2, 10} {
		if got := readLogs(t, dir, tail); got != "whole\nlast\n" {
			t.Errorf("the last %d lines are %q", tail, got)
		}
	}
}

func readLogs(t *testing.T, dir string, tail int) string {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // read only
	var out bytes.Buffer
	if err := copyLogs(context.Background(), root, driver.LogOptions{Tail: tail}, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// BenchmarkPump measures how fast a child can print: through a pipe, into rotated segments on the disk.
func BenchmarkPump(b *testing.B) {
	for _, size := range []int{80, 4 << 10, bufferSize} {
		b.Run(fmt.Sprintf("writes=%d", size), func(b *testing.B) {
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			l, err := openLog(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			var pumping sync.WaitGroup
			pumping.Go(func() { pump(r, new(lastLines), l) })
			line := append(bytes.Repeat([]byte("x"), size-1), '\n')
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := w.Write(line); err != nil {
					b.Fatal(err)
				}
			}
			_ = w.Close()
			pumping.Wait()
			_, _ = r.Close(), l.Close()
		})
	}
}
