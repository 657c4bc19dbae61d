package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"greenroom/internal/problem"
)

// terminal is a terminal, and the hand that types on it.
func terminal(t *testing.T) (screen, hand *os.File) {
	t.Helper()
	hand, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no terminal can be made here: %v", err)
	}
	t.Cleanup(func() { _ = hand.Close() })
	if err := unix.IoctlSetPointerInt(int(hand.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(hand.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return screen, hand
}

// TestAPersonIsAsked types answers on a terminal.
func TestAPersonIsAsked(t *testing.T) {
	for _, c := range []struct {
		name, line, types string
		code              int
		asked             string // of the daemon, last
		says              string
	}{
		{"yes", "break-glass production BROKEN --because down", "yes\n", 0, "start promotion production down past the gate", "Go past 2 demands"},
		{"y", "break-glass production BROKEN --because down", "y\n", 0, "start promotion production down past the gate", "[yes/no]"},
		{"no", "break-glass production BROKEN --because down", "no\n", problem.ExitInterrupted, "", "nothing was done"},
		{"nothing", "break-glass production BROKEN --because down", "\n", problem.ExitInterrupted, "", "nothing was done"},
		{"gone", "break-glass production BROKEN --because down", "\x04", problem.ExitInterrupted, "", "interrupted"},
		{"a reason", "rollback production", "orders are lost\n", 0, "start rollback production orders are lost", "Why?"},
		{"no reason", "rollback production", "  \n", 2, "", "a reason is missing"},
		{"a revocation", "key revoke staging --because stolen", "yes\n", 0, "revoke " + string(stagingKey.ID()) + ": stolen", "It can't be undone."},
		{"a policy", "apply", "", 0, "", "nothing to change"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPerson(t)
			screen, hand := terminal(t)
			p.in = screen
			if _, err := hand.WriteString(c.types); err != nil {
				t.Fatal(err)
			}
			line := strings.ReplaceAll(c.line, "BROKEN", broken.Digest.Short())
			args := strings.Fields(line)
			got := p.types(t.Context(), args...)
			last := ""
			if n := len(p.f.asked); n > 0 {
				last = p.f.asked[n-1]
			}
			if got.code != c.code || last != c.asked || !strings.Contains(got.out+got.err, c.says) {
				t.Errorf("exit code %d, the daemon was asked %q:\n%s%s", got.code, p.f.asked, got.out, got.err)
			}
		})
	}
}
