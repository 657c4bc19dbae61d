//go:build !linux

package proc

import (
	"os/exec"
	"strconv"
	"strings"
)

// Identify reads the identity of the process that has this pid now; ErrGone when there is none or it is a zombie.
func Identify(pid int) (Identity, error) {
	out, err := exec.Command("/bin/ps", "-o", "state=,lstart=", "-p", strconv.Itoa(pid)).Output()
	f := strings.Fields(string(out))
	if err != nil || len(f) < 2 || strings.HasPrefix(f[0], "Z") {
		return Identity{}, ErrGone
	}
	return Identity{Boot: "unknown", PID: pid, Start: strings.Join(f[1:], " ")}, nil
}
