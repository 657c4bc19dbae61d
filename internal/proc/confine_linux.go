package proc

import (
	"fmt"
	"os"
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

// Enter changes the calling thread, to which the goroutine must be locked for good: it, and children that it starts from
// now on, are in the network namespace that this file is.
func Enter(network string) error {
	f, err := os.Open(network)
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer f.Close() //nolint:errcheck // the thread keeps the namespace, not the file
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network namespace %s can't be entered: %w", network, err)
	}
	return nil
}

// StartIn starts a child in the network namespace that this file is, and otherwise as it would be.
func StartIn(network string, cmd *exec.Cmd) error {
	return startFrom(cmd, func() error { return Enter(network) })
}

// startConfined starts a child as its command asks for.
func (c Command) startConfined(cmd *exec.Cmd) error {
	return startFrom(cmd, func() error {
		if c.Network != "" {
			if err := Seclude(c.Network); err != nil {
				return err
			}
		}
		if c.User == "" {
			return nil
		}
		return Confine()
	})
}

// startFrom starts a child from a thread of its own that was changed before.
func startFrom(cmd *exec.Cmd, change func() error) error {
	return OnThread(func() error {
		if err := change(); err != nil {
			return err
		}
		return cmd.Start()
	})
}

// OnThread calls f on a thread of its own, which f may change as it likes: it ends afterwards. It is never the process's
// first thread, which can't end: there a change would stay, and be that of the whole process to whoever looks at it in
// /proc (what /proc/net shows is what the first thread would see).
func OnThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: that is what ends the thread with its goroutine
		if unix.Gettid() == unix.Getpid() {
			err := OnThread(f) // held by this goroutine meanwhile, the first thread can't be the one
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}
