//go:build !linux

package docker

import "errors"

// killStray can't look into the machine that the Engine runs on.
func killStray(string) (int, error) { return 0, errors.ErrUnsupported }
