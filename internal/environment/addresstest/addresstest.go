// Package addresstest shares the addresses of environments among the Greenrooms that tests run at the same time. With those that
// every Greenroom chooses from, one could take another's at a moment at which that has no edge to keep it, be it of the same
// package's tests or of those that run beside them.
package addresstest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const (
	first = 7100 // below are those of Greenrooms that are no test's
	end   = 8000
	each  = 20
)

// Variable tells a test's Greenroom its first address.
const Variable = "GREENROOM_FIRST_ADDRESS"

// Take finds the first port of addresses that are the caller's until it gives them back or its process ends.
func Take() (port int, giveBack func() error, err error) {
	dir := filepath.Join("/tmp", "greenroom-test-addresses-"+strconv.Itoa(os.Getuid())) // not TMPDIR: one for the machine
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, nil, err
	}
	for port := first; port < end; port += each {
		f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return 0, nil, err
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return port, f.Close, nil
		}
		if err := f.Close(); err != nil {
			return 0, nil, err
		}
	}
	return 0, nil, errors.New("all addresses for tests are in use")
}
