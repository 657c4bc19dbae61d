package process

import (
	"fmt"
	"os"
)

// ephemeral is the range of ports that the kernel gives to outgoing connections; an empty one when it can't be read.
func ephemeral() (low, high int) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, -1
	}
	if _, err := fmt.Sscan(string(b), &low, &high); err != nil {
		return 0, -1
	}
	return low, high
}
