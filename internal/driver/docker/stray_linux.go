package docker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"

	"greenroom/internal/proc"
)

// killStray kills the processes of a container, which are known by their control group, and says how many there are. A
// container's id is a name that nobody else's group has.
func killStray(container string) (running int, err error) {
	table, err := proc.Table()
	if err != nil {
		return 0, err
	}
	for _, p := range table {
		groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.PID))
		if err != nil || p.Ended || !bytes.Contains(groups, []byte(container)) {
			continue
		}
		if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return 0, err
		}
		running++
	}
	return running, nil
}
