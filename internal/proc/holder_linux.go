package proc

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
)

// Holders finds who has one of the sockets with these inodes open, as far as this process may look. Whoever serves one comes
// before the first process of the system, which may have opened it for him.
func Holders(inodes ...uint64) ([]Holder, error) {
	var all []Holder
	err := eachPID(func(pid int) {
		held, err := Held(pid)
		if err != nil || !slices.ContainsFunc(inodes, func(i uint64) bool { return held[i] }) {
			return
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil {
			all = append(all, holder(pid, string(status)))
		}
	})
	slices.SortFunc(all, orderHolders)
	return all, err
}

// holder reads /proc/pid/status (proc(5)). Control characters in the name are escaped there.
func holder(pid int, status string) Holder {
	h := Holder{PID: pid}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":\t")
		switch key {
		case "Name":
			h.Program = value
		case "Uid":
			h.User, _, _ = strings.Cut(value, "\t")
		}
	}
	if u, err := user.LookupId(h.User); err == nil {
		h.User = u.Username
	}
	return h
}
