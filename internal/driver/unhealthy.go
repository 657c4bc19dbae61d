package driver

import (
	"fmt"
	"strings"
	"syscall"

	"greenroom/internal/problem"
)

// TooOften is how many ends in a row, without having been healthy, show that it won't be.
const TooOften = 5

// TakenSuffix ends the reason of a replica whose address was another's when it was started.
const TakenSuffix = "is taken by another program"

// Unhealthy tells why a replica does not become healthy: failures is how often it ended in a row without having been, last
// the last lines that it printed.
func Unhealthy(s Status, failures int, last string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is not healthy", s.ID)
	if s.Listen.Network != "" {
		fmt.Fprintf(&b, " on %s", s.Listen.Address)
	}
	switch {
	case s.Phase == Exited:
		b.WriteString(" and is not started again")
	case failures > 1:
		fmt.Fprintf(&b, ", it ended %d times", failures)
	}
	if s.Reason != "" {
		b.WriteString(": " + s.Reason)
	}
	if s.Listen.Network == "tcp" && strings.HasSuffix(s.Reason, syscall.ECONNREFUSED.Error()) {
		b.WriteString("; a service listens on the port that the variable PORT names")
	}
	if last != "" {
		b.WriteString("\nit printed last:\n  " + strings.ReplaceAll(last, "\n", "\n  "))
	}
	p := problem.New(problem.Fail, "%s", b.String())
	if strings.Contains(strings.ToLower(s.Reason+last), "address already in use") || strings.HasSuffix(s.Reason, TakenSuffix) {
		return p.WithHint("find out what listens on %s, and stop it or give the service another port", s.Listen.Address)
	}
	return p.WithHint("read all that it printed: greenroom logs %s --environment %s", s.Service, s.Environment)
}
