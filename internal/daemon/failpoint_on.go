//go:build failpoint

package daemon

import (
	"os"
	"syscall"

	"greenroom/internal/run"
)

// hook kills the process with SIGKILL at the point that GREENROOM_FAILPOINT names as "point/step", once: the file that
// GREENROOM_FAILPOINT_DONE names remembers that it did.
func hook(p run.Point, step string) {
	if os.Getenv("GREENROOM_FAILPOINT") != string(p)+"/"+step {
		return
	}
	f, err := os.OpenFile(os.Getenv("GREENROOM_FAILPOINT_DONE"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return // it was there before
	}
	_ = f.Close()
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}
