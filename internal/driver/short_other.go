//go:build !linux

package driver

import (
	"os"
	"path/filepath"
)

// Shortly calls use with a name of the socket that fits into the kernel's 104 bytes, however deep its folder lies. The
// name is good only during the call.
func Shortly(name string, use func(name string) error) error {
	if len(name) < 100 {
		return use(name)
	}
	tmp, err := os.MkdirTemp("", "gr")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // a link in the temporary folder
	link := filepath.Join(tmp, "d")
	if err := os.Symlink(filepath.Dir(name), link); err != nil {
		return err
	}
	return use(filepath.Join(link, filepath.Base(name)))
}
