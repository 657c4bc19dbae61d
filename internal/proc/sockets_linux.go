package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Sockets are the TCP connections of the network namespace that the process with this pid is in, each end of its own.
func Sockets(pid int) ([]Socket, error) {
	var all []Socket
	for _, name := range []string{"tcp", "tcp6"} {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, name))
		if errors.Is(err, fs.ErrNotExist) && name == "tcp6" { // a kernel without IPv6
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, parseSockets(string(list))...)
	}
	return all, nil
}

// Held are the inodes of the sockets that the process with this pid has open; none where it is gone.
func Held(pid int) (map[uint64]bool, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	names, err := os.ReadDir(dir)
	if err != nil {
		if _, gone := Identify(pid); errors.Is(gone, ErrGone) {
			return nil, nil
		}
		return nil, err
	}
	held := map[uint64]bool{}
	for _, name := range names {
		to, err := os.Readlink(filepath.Join(dir, name.Name()))
		if err != nil { // closed meanwhile
			continue
		}
		if number, ok := strings.CutPrefix(to, "socket:["); ok {
			if inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); err == nil {
				held[inode] = true
			}
		}
	}
	return held, nil
}
