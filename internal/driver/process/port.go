package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"

	"greenroom/internal/problem"
)

// The ports that replicas get. They lie below those that the kernel gives to outgoing connections on an untouched
// system, so that nobody takes one by accident between two starts.
const (
	firstPort = 20000
	lastPort  = 29999
)

// FreePort finds a port on 127.0.0.1 on which nobody listens, outside the range from which the kernel serves outgoing
// connections. Ports for which used says true are left out: those promised to replicas that do not listen yet.
func FreePort(used func(port int) bool) (int, error) {
	low, high := ephemeral()
	ports := lastPort - firstPort + 1
	start := rand.IntN(ports) //nolint:gosec // so that two who look at once don't meet; a port is no secret
	for i := range ports {
		port := firstPort + (start+i)%ports
		if port >= low && port <= high || used(port) {
			continue
		}
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("port %d: %w", port, err)
		}
		return port, nil
	}
	return 0, problem.New(problem.Unavailable, "no port from %d to %d on 127.0.0.1 is free", firstPort, lastPort).
		WithHint("stop environments that nobody needs; where the kernel's own range covers these ports, narrow it: sysctl net.ipv4.ip_local_port_range")
}
