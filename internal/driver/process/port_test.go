package process

import (
	"net"
	"strconv"
	"testing"

	"greenroom/internal/problem"
)

func TestFreePort(t *testing.T) {
	low, high := ephemeral()
	got := map[int]bool{}
	for range 50 {
		port, err := FreePort(func(p int) bool { return got[p] })
		if err != nil {
			t.Fatal(err)
		}
		if port < firstPort || port > lastPort || port >= low && port <= high || got[port] {
			t.Fatalf("port %d, with %d to %d for the kernel and %v used", port, low, high, got)
		}
		got[port] = true
	}
}

func TestFreePortPassesListenersBy(t *testing.T) {
	port, err := FreePort(func(int) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "0.0.0.0"} {
		l, err := net.Listen("tcp4", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			t.Skipf("somebody else took port %d meanwhile: %v", port, err)
		}
		_, err = FreePort(func(p int) bool { return p != port })
		if p := problem.From(err); p == nil || p.Code != problem.Unavailable || p.Hint == "" {
			t.Errorf("with only a taken port left: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
