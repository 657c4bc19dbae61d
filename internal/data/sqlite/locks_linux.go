package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const lockTable = "/proc/locks"

// kernelLooker reads the kernel's table of locks. It asks SQLite for nothing and opens no file of the database: a lock
// that is tried, however shortly, fails a migrator that does not wait for locks; and closing a file of the database would
// take all locks from connections of this process (fcntl(2)).
type kernelLooker struct{ file string }

// newKernelLooker is nil where the table can't be read.
func newKernelLooker(file string) looker {
	if _, err := os.ReadFile(lockTable); err != nil {
		return nil
	}
	return &kernelLooker{file}
}

func (k *kernelLooker) look() ([]hold, error) {
	database, err := identify(k.file)
	if err != nil {
		return nil, err
	}
	memory, err := identify(k.file + "-shm")
	if err != nil {
		return nil, err
	}
	table, err := os.ReadFile(lockTable)
	if err != nil {
		return nil, err
	}
	return holds(parseLocks(table), database, memory), nil
}

func (k *kernelLooker) close() error { return nil }

// identify is a file's identity, empty for one that is not there.
func identify(name string) (fileID, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fileID{}, nil
	}
	if err != nil {
		return fileID{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, fmt.Errorf("%s has no inode", name)
	}
	dev := uint64(st.Dev)
	return fileID{fmt.Sprintf("%02x:%02x", unix.Major(dev), unix.Minor(dev)), st.Ino}, nil
}

// processName is what a process calls itself, "" for one that is gone.
func processName(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}
