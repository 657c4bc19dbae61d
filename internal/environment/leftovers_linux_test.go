package environment

import (
	"log/slog"
	"os/exec"
	"syscall"
	"testing"

	"greenroom/internal/home"
)

// What a command leaves behind in a session of its own ends with it, and nothing else does.
func TestSweep(t *testing.T) {
	w := &World{Home: home.Home(t.TempDir()), Log: slog.New(slog.DiscardHandler)}
	start := func(env map[string]string) (end func() error) {
		t.Helper()
		cmd := exec.Command("sleep", "60")
		cmd.Env = list(env)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd.Wait
	}
	mine, sweep := w.marked(map[string]string{"PATH": defaultPath})
	others, sweepOthers := w.marked(map[string]string{"PATH": defaultPath})
	left, other := start(mine), start(others)
	sweep()
	if err := left(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("what was left behind ended with %v", err)
	}
	if n, err := endAll(t.Context(), withMark(ownMark+"="+others[ownMark])); err != nil || n != 1 {
		t.Errorf("of another command %d processes were there, %v; want one", n, err)
	}
	if err := other(); err == nil {
		t.Error("it was not killed")
	}
	sweepOthers()
}
