package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"greenroom/internal/driver"
)

// followEvery is how often a reader that follows looks for more.
const followEvery = 50 * time.Millisecond

// place is a point in a replica's output.
type place struct {
	seq    int
	offset int64
}

// copyLogs copies the output in a log folder. The folder may be moved, and segments may go, while it is read.
func copyLogs(ctx context.Context, root *os.Root, o driver.LogOptions, w io.Writer) error {
	all, err := listSegments(root)
	if err != nil {
		return err
	}
	var end place
	if len(all) > 0 {
		end.seq = all[len(all)-1]
		end.offset = sizeOf(root, end.seq)
	}
	from, err := beginning(root, all, o.Tail, end)
	if err != nil {
		return err
	}
	c := &copier{root: root, w: w, at: from}
	if !o.Follow {
		return c.until(ctx, end)
	}
	for {
		if err := c.more(); err != nil {
			return err
		}
		if driver.Sleep(ctx, followEvery) != nil {
			return nil
		}
	}
}

// copier copies from a place onwards.
type copier struct {
	root *os.Root
	w    io.Writer
	at   place
}

// until copies what lies before end. What is printed meanwhile is not waited for: it could go on for ever.
func (c *copier) until(ctx context.Context, end place) error {
	for c.at.seq < end.seq && ctx.Err() == nil {
		if err := c.segment(segmentSize); err != nil {
			return err
		}
		c.at = place{seq: c.at.seq + 1}
	}
	if err := ctx.Err(); err != nil || c.at.seq > end.seq {
		return err
	}
	return c.segment(end.offset - c.at.offset)
}

// more copies all that is there.
func (c *copier) more() error {
	for {
		all, err := listSegments(c.root)
		if err != nil || len(all) == 0 {
			return err
		}
		// The list was made first: where it has a later segment, this one is complete and is now read to its end.
		if err := c.segment(segmentSize); err != nil {
			return err
		}
		if c.at.seq >= all[len(all)-1] {
			return nil
		}
		c.at = place{seq: max(c.at.seq+1, all[0])} // what went before it could be read is lost
	}
}

// segment copies at most n bytes of the segment at hand; none when it is gone.
func (c *copier) segment(n int64) error {
	f, err := c.root.Open(segmentName(c.at.seq))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	if n <= 0 {
		return nil
	}
	n, err = io.Copy(c.w, io.NewSectionReader(f, c.at.offset, n))
	c.at.offset += n
	return err
}

// beginning is where the last lines begin; 0 lines are all.
func beginning(root *os.Root, all []int, lines int, end place) (place, error) {
	if len(all) == 0 {
		return place{seq: 1}, nil
	}
	if lines <= 0 {
		return firstLine(root, all[0])
	}
	left, atEnd := lines, true
	for i := len(all) - 1; i >= 0; i-- {
		size := sizeOf(root, all[i])
		if all[i] == end.seq {
			size = end.offset
		}
		at, rest, err := backwards(root, all[i], size, left, atEnd)
		if err != nil {
			return place{}, err
		}
		if rest == 0 {
			return place{all[i], at}, nil
		}
		left, atEnd = rest, atEnd && size == 0
	}
	return firstLine(root, all[0])
}

// firstLine is where the first whole line begins: the head of the oldest segment may be the rest of a line that has
// gone with the segment before it.
func firstLine(root *os.Root, seq int) (place, error) {
	at := place{seq: seq}
	if seq == 1 {
		return at, nil
	}
	f, err := root.Open(segmentName(seq))
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	defer f.Close() //nolint:errcheck // read only
	head := make([]byte, bufferSize)
	n, err := f.Read(head)
	if err != nil && !errors.Is(err, io.EOF) {
		return at, err
	}
	at.offset = int64(bytes.IndexByte(head[:n], '\n') + 1) // a line without end is shown from the middle
	return at, nil
}

// backwards looks in the first size bytes of a segment for the place behind which there are so many lines, and gives it
// with rest 0; otherwise rest is how many line ends are still to be found before the segment. atEnd says that the
// output ends with it: then a newline at the very end ends the last line and begins none.
func backwards(root *os.Root, seq int, size int64, lines int, atEnd bool) (at int64, rest int, err error) {
	f, err := root.Open(segmentName(seq))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, lines, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close() //nolint:errcheck // read only
	block := make([]byte, bufferSize)
	for end := size; end > 0; {
		begin := max(0, end-bufferSize)
		b := block[:end-begin]
		if _, err := f.ReadAt(b, begin); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		for i := len(b) - 1; i >= 0; i-- {
			if b[i] != '\n' || atEnd && begin+int64(i) == size-1 {
				continue
			}
			if lines--; lines == 0 {
				return begin + int64(i) + 1, 0, nil
			}
		}
		end = begin
	}
	return 0, lines, nil
}

func listSegments(root *os.Root) ([]int, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	return segmentsOf(entries), err
}

func sizeOf(root *os.Root, seq int) int64 {
	info, err := root.Stat(segmentName(seq))
	if err != nil {
		return 0
	}
	return info.Size()
}
