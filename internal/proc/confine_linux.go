package proc

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Confine changes the calling thread, to which the goroutine must be locked for good: children that it starts from now on
// gain no right that their user does not have (a setuid program changes nothing), and what they make is theirs alone
// (umask 077), also in a folder that everybody can read.
func Confine() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // else the mask would be the whole process's
		return err
	}
	unix.Umask(0o077)
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// startConfined starts a child from a thread of its own, which ends with its goroutine because that is never unlocked.
func startConfined(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := Confine()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}
