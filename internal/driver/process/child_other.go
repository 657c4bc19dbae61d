//go:build !linux

package process

import "syscall"

// adopt does nothing here: on this system a child that forks away and leaves its group is lost.
func adopt() error { return nil }

// dieWithParent does nothing here: on this system a child outlives a supervisor that was killed, until the replica is
// started or stopped the next time.
func dieWithParent(*syscall.SysProcAttr) {}
