package driver

import (
	"fmt"
	"os"
	"path/filepath"
)

// Shortly calls use with a name of the socket that fits into the kernel's 108 bytes, however deep its folder lies. The
// name is good only during the call.
func Shortly(name string, use func(name string) error) error {
	if len(name) < 100 {
		return use(name)
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // read only
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(name)))
}
