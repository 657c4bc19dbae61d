package proc

import (
	"errors"
	"os"
	"syscall"
)

// Identity names a process for good: a pid alone belongs to an innocent process after a while, or after a reboot.
type Identity struct {
	Boot  string `json:"boot"` // the kernel's boot id
	PID   int    `json:"pid"`
	Start string `json:"start"` // when it started, in the kernel's own unit
}

// ErrGone says that the process of an identity does not exist any more.
var ErrGone = errors.New("the process is gone")

// Self is this process's identity.
func Self() (Identity, error) { return Identify(os.Getpid()) }

// Alive says whether the process of this identity still exists. A zombie does not.
func (i Identity) Alive() bool {
	if i.PID <= 0 {
		return false
	}
	now, err := Identify(i.PID)
	return err == nil && now == i
}

// Signal sends sig to the process, and only to it: ErrGone when its pid is another's by now.
func (i Identity) Signal(sig syscall.Signal) error {
	if i.PID <= 0 {
		return ErrGone
	}
	// FindProcess holds the process by descriptor where the kernel can, so that the check below stays true.
	p, err := os.FindProcess(i.PID)
	if err != nil {
		return ErrGone
	}
	defer p.Release() //nolint:errcheck // nothing to lose
	if !i.Alive() {
		return ErrGone
	}
	if err := p.Signal(sig); errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return ErrGone
	} else if err != nil {
		return err
	}
	return nil
}
