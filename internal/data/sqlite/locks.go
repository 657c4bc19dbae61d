package sqlite

import (
	"bytes"
	"io/fs"
	"math"
	"strconv"
)

// Where SQLite locks: in the database's file (os_unix.c) and, with a write-ahead log, in the file of shared memory beside
// it (wal.c). See https://www.sqlite.org/fileformat2.html#wal_index_format and https://www.sqlite.org/lockingv3.html.
const (
	pendingByte  = 0x40000000
	reservedByte = pendingByte + 1
	sharedFirst  = pendingByte + 2
	sharedLast   = sharedFirst + 509
	walWrite     = 120
	walRecover   = 122
)

// hold is what one process keeps others from.
type hold struct {
	pid    int
	reads  bool // nobody can begin to read
	writes bool // nobody can begin to write
}

// fileID is a file as the kernel's table of locks names it.
type fileID struct {
	device string // major:minor, in hex
	inode  uint64
}

// kernelLock is a line of that table.
type kernelLock struct {
	pid         int
	file        fileID
	first, last int64
}

// parseLocks reads the exclusive locks of /proc/locks, see proc_locks(5). A line that is of another form is left out.
//
//	1: POSIX  ADVISORY  WRITE 22866 fe:00:9978001 1073741825 1073741825
func parseLocks(table []byte) (all []kernelLock) {
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) != 8 || string(f[3]) != "WRITE" { // one that waits has an arrow more
			continue
		}
		pid, err := strconv.Atoi(string(f[4]))
		at := bytes.LastIndexByte(f[5], ':')
		if err != nil || at < 0 {
			continue
		}
		inode, err := strconv.ParseUint(string(f[5][at+1:]), 10, 64)
		first, err1 := strconv.ParseInt(string(f[6]), 10, 64)
		last, err2 := strconv.ParseInt(string(f[7]), 10, 64)
		if string(f[7]) == "EOF" {
			last, err2 = math.MaxInt64, nil
		}
		if err != nil || err1 != nil || err2 != nil {
			continue
		}
		all = append(all, kernelLock{pid, fileID{string(f[5][:at]), inode}, first, last})
	}
	return all
}

// holds says what the locks keep others from, by process.
func holds(all []kernelLock, database, memory fileID) (held []hold) {
	for _, l := range all {
		covers := func(from, to int64) bool { return l.first <= to && l.last >= from }
		h := hold{pid: l.pid}
		switch l.file {
		case database:
			h.reads = covers(pendingByte, pendingByte) || covers(sharedFirst, sharedLast)
			h.writes = h.reads || covers(reservedByte, reservedByte)
		case memory:
			h.reads = covers(walRecover, walRecover)
			h.writes = h.reads || covers(walWrite, walWrite)
		}
		if h.writes {
			held = append(held, h)
		}
	}
	return held
}

// looker sees who keeps others from a database.
type looker interface {
	look() ([]hold, error)
	close() error
}

// sizeOf is a file's size, 0 for one that is not there.
func sizeOf(stat func(string) (fs.FileInfo, error), name string) int64 {
	info, err := stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}
