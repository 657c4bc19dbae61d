package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A replica's output is kept in segments: files with rising numbers that are never renamed, so that a reader can follow
// from one to the next. The oldest goes when a new one comes. They hold the raw bytes, and a line may go on in the next.
const (
	segments    = 8
	segmentSize = 2 << 20
)

func segmentName(seq int) string { return fmt.Sprintf("%08d.log", seq) }

// segmentsOf are the numbers of the segments among these names, rising.
func segmentsOf(entries []fs.DirEntry) []int {
	var all []int
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".log")
		if seq, err := strconv.Atoi(digits); ok && err == nil {
			all = append(all, seq)
		}
	}
	slices.Sort(all)
	return all
}

// logFile writes a replica's output to segments. It has one user, the pump.
type logFile struct {
	dir  string
	seq  int // of file
	file *os.File
	size int
}

// openLog goes on behind the last segment of the folder, which is made when missing.
func openLog(dir string) (*logFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	l := &logFile{dir: dir}
	all := segmentsOf(entries)
	if len(all) == 0 {
		return l, l.open(1)
	}
	return l, l.open(all[len(all)-1])
}

// Write appends to the last segment. What does not fit on the disk is lost.
func (l *logFile) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if l.file == nil || l.size >= segmentSize {
			if err := l.turn(); l.file == nil {
				return written, err
			}
		}
		n, err := l.file.Write(p[:min(len(p), segmentSize-l.size)])
		written, l.size, p = written+n, l.size+n, p[n:]
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// turn begins the next segment. The oldest goes first: on a full disk that makes the room.
func (l *logFile) turn() error {
	err := l.Close()
	if e := os.Remove(filepath.Join(l.dir, segmentName(l.seq+1-segments))); e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, l.open(l.seq+1))
}

func (l *logFile) open(seq int) error {
	f, err := os.OpenFile(filepath.Join(l.dir, segmentName(seq)), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.seq, l.size = f, seq, int(info.Size())
	return nil
}

// Close closes the segment; a later Write begins a new one.
func (l *logFile) Close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
