//go:build linux

package netns_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"greenroom/internal/netns"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// TestMain makes this program a broker, a self-test, or one that makes namespaces, when it was started as that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if body := bodies[os.Args[1]]; body != nil {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			if err := body(ctx, os.Args[2:]); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

var bodies = map[string]func(ctx context.Context, args []string) error{
	"broker": func(ctx context.Context, args []string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: args[0], Net: "unix"})
		if err != nil {
			return err
		}
		fmt.Println("ready")
		return netns.Serve(ctx, l)
	},
	"probe": func(ctx context.Context, _ []string) error { return netns.Probe(ctx, os.Stdin, os.Stdout) },
	"make":  func(_ context.Context, args []string) error { return netns.At(args[0]).Make() },
	"sockets": func(context.Context, []string) error {
		for _, family := range []int{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_VSOCK, unix.AF_ALG, unix.AF_BLUETOOTH, unix.AF_PACKET} {
			_, err := unix.Socket(family, unix.SOCK_RAW, 0)
			fmt.Print(family, " ", errors.Is(err, unix.EAFNOSUPPORT), "\n")
		}
		_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
		fmt.Println("io_uring", errno == unix.ENOSYS)
		return nil
	},
	"churn": func(ctx context.Context, args []string) error {
		for n := netns.At(args[0]); ctx.Err() == nil; {
			if err := n.Make(); err != nil {
				return err
			}
			if err := n.Remove(); err != nil {
				return err
			}
		}
		return nil
	},
}

// newNetwork is a namespace of the test's, which ends with it.
func newNetwork(t testing.TB) netns.Network {
	t.Helper()
	n := netns.At(filepath.Join(t.TempDir(), "app", "stage"))
	t.Cleanup(func() { must(t, n.Remove()) })
	err := n.Make()
	if p := problem.From(err); p != nil && p.Code == problem.Unavailable {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	must(t, err)
	return n
}

// self is this program as something else.
func self(args ...string) []string {
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append([]string{program}, args...)
}

// startBroker starts a namespace's broker and returns once it answers.
func startBroker(t testing.TB, n netns.Network) *exec.Cmd {
	t.Helper()
	if err := os.Remove(n.Broker()); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	cmd, err := proc.Command{Argv: self("broker", netns.SocketFile), Dir: n.Dir(), Stdout: w}.Cmd()
	must(t, err)
	must(t, proc.StartIn(n.File(), cmd))
	must(t, w.Close())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatalf("the broker does not start: %v, %s", err, line)
	}
	return cmd
}

// broker is a connection to a namespace's broker.
func broker(t testing.TB, n netns.Network) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", n.Broker())
	must(t, err)
	return c.(*net.UnixConn)
}

// inside runs a line of shell in the namespace, as root.
func inside(t testing.TB, n netns.Network, line string) (out string, ok bool) {
	t.Helper()
	var printed strings.Builder
	exit, err := proc.Run(t.Context(), proc.Command{
		Argv: proc.Shell(line), Dir: "/", Stdout: &printed, Stderr: &printed, Network: n.File(), Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
	})
	must(t, err)
	return strings.TrimSpace(printed.String()), exit.OK()
}

// mounts are the places below a folder at which something is mounted.
func mounts(t testing.TB, dir string) (all []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); strings.HasPrefix(f[4], dir) {
			all = append(all, f[4])
		}
	}
	return all
}

// eventually polls until what is asked for holds; why says what is still wrong.
func eventually(t testing.TB, why func() string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		wrong := why()
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(wrong)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
