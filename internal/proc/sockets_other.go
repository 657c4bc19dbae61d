//go:build !linux

package proc

import "errors"

// Sockets are known on Linux only.
func Sockets(int) ([]Socket, error) { return nil, errors.ErrUnsupported }

// Holders are known on Linux only.
func Holders(...uint64) ([]Holder, error) { return nil, errors.ErrUnsupported }

// Held is known on Linux only.
func Held(int) (map[uint64]bool, error) { return nil, errors.ErrUnsupported }
