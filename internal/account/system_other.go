//go:build !linux

package account

import (
	"runtime"

	"greenroom/internal/problem"
)

// supported says that no system users are made here: each system has a way of its own.
func supported() error {
	return problem.New(problem.Unavailable, "Greenroom keeps environments apart on Linux only, and this is %s", runtime.GOOS)
}

func writable() error                    { return supported() }
func nologin() string                    { return "/usr/bin/false" }
func commented(string) ([]string, error) { return nil, nil }
