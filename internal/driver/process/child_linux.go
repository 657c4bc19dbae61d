package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// adopt makes this process the parent of all its descendants whose own parent has ended, so that a child that forks away
// can still be found.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// dieWithParent has the kernel kill the child when its parent dies, even by SIGKILL.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
