package netns_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"greenroom/internal/netns"
	"greenroom/internal/proc"
)

// What a network namespace is no hindrance to is taken away as well, from children and theirs, and from nobody else.
func TestSeclude(t *testing.T) {
	n := newNetwork(t)
	if out, ok := inside(t, n, "ls -A /run/ && ls -A /var/run/ && ! touch /run/new"); !ok || !strings.Contains(out, "Read-only") || strings.Contains(out, "\n") {
		t.Errorf("in /run there is %s", out)
	}
	if all, err := os.ReadDir("/run"); err != nil || len(all) == 0 {
		t.Errorf("outside, /run is hidden as well: %v, %v", all, err)
	}
	want := fmt.Sprintf("%d false\n%d false\n%d false\n%d false\n%d true\n%d true\n%d true\n%d true\nio_uring true",
		unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_VSOCK, unix.AF_ALG, unix.AF_BLUETOOTH, unix.AF_PACKET)
	if out, ok := inside(t, n, self()[0]+" sockets"); !ok || out != want {
		t.Errorf("kinds of sockets that are not to be had:\n%s\nwant\n%s", out, want)
	}
}

// Who is in a namespace keeps no other one alive: what its owner removes is gone.
func TestNoNamespaceIsKept(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	if len(mounts(t, other.File())) != 1 {
		t.Fatal("the other namespace is no mounted file")
	}
	if out, ok := inside(t, n, "! grep nsfs /proc/self/mountinfo"); !ok {
		t.Errorf("inside there are\n%s", out)
	}
	if len(mounts(t, other.File())) != 1 || len(mounts(t, n.File())) != 1 {
		t.Error("outside, they are gone as well")
	}
}

// However often threads are changed, the process is where it was: its first thread, which can't end, is never one of them.
func TestThreads(t *testing.T) {
	n := newNetwork(t)
	was, err := os.Readlink("/proc/self/ns/net")
	must(t, err)
	for range 300 {
		must(t, proc.OnThread(func() error {
			if unix.Gettid() == unix.Getpid() {
				t.Error("it is the first thread")
			}
			return proc.Enter(n.File())
		}))
	}
	for _, thread := range []string{"/proc/self/ns/net", "/proc/thread-self/ns/net"} {
		if now, err := os.Readlink(thread); err != nil || now != was {
			t.Errorf("the process is in %s by now (%v), and was in %s", now, err, was)
		}
	}
}

// BenchmarkDial is what the broker costs: a connection that is dialled inside, beside one that is dialled outside.
func BenchmarkDial(b *testing.B) {
	n := newNetwork(b)
	startBroker(b, n)
	there, err := netns.Listen(b.Context(), broker(b, n), "127.0.0.1:8000")
	must(b, err)
	here, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	for name, c := range map[string]struct {
		l    net.Listener
		dial func() (net.Conn, error)
	}{
		"inside":  {there, func() (net.Conn, error) { return netns.Dial(b.Context(), broker(b, n), "127.0.0.1:8000") }},
		"outside": {here, func() (net.Conn, error) { return net.Dial("tcp", here.Addr().String()) }},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				near, err := c.dial()
				must(b, err)
				far, err := c.l.Accept()
				must(b, err)
				must(b, errors.Join(near.Close(), far.Close()))
			}
		})
		must(b, c.l.Close())
	}
}
