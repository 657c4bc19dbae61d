//go:build !linux

package data

import (
	"errors"
	"os"
)

// reflink can't share blocks here.
func reflink(_, _ *os.File) error { return errors.ErrUnsupported }
