package proc

import (
	"errors"

	"golang.org/x/sys/unix"
)

// AwaitEnd returns when the child with this pid has ended, and leaves it a zombie. Until the caller reaps it (with
// exec.Cmd.Wait), its pid and the number of its group can't become anybody else's, so both can still be signalled.
func AwaitEnd(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
