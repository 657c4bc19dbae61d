package proc

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
)

var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
})

// Identify reads the identity of the process that has this pid now; ErrGone when there is none or it is a zombie.
func Identify(pid int) (Identity, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Identity{}, ErrGone
	}
	// The second field is the name in parentheses and may hold anything, so fields count from the last parenthesis.
	// proc(5): state is field 3, starttime field 22.
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 20 {
		return Identity{}, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	if f[0] == "Z" || f[0] == "X" {
		return Identity{}, ErrGone
	}
	return Identity{Boot: bootID(), PID: pid, Start: f[19]}, nil
}
