//go:build !linux

package proc

import (
	"errors"

	"golang.org/x/sys/unix"
)

// AwaitEnd returns when the child with this pid has ended, and leaves it a zombie. Until the caller reaps it (with
// exec.Cmd.Wait), its pid and the number of its group can't become anybody else's, so both can still be signalled.
func AwaitEnd(pid int) error {
	kq, err := unix.Kqueue()
	if err != nil {
		return err
	}
	defer unix.Close(kq) //nolint:errcheck // nothing to lose
	var want [1]unix.Kevent_t
	unix.SetKevent(&want[0], pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	want[0].Fflags = unix.NOTE_EXIT
	var got [1]unix.Kevent_t
	for {
		_, err := unix.Kevent(kq, want[:], got[:], nil)
		if errors.Is(err, unix.ESRCH) { // it is a zombie already
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
