package netns_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/netns"
	"greenroom/internal/proc"
)

func TestNetwork(t *testing.T) {
	n := newNetwork(t)
	if out, _ := inside(t, n, "ls /sys/class/net >/dev/null; cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '"); out != "lo" {
		t.Errorf("inside there are the interfaces %q, want lo alone", out)
	}
	if out, _ := inside(t, n, "tail -n +2 /proc/net/route"); out != "" {
		t.Errorf("inside there are routes: %s", out)
	}
	was, _ := inside(t, n, "readlink /proc/self/ns/net")
	own, err := os.Readlink("/proc/self/ns/net")
	must(t, err)
	if was == own {
		t.Fatal("inside is outside")
	}
	must(t, n.Make())
	if now, _ := inside(t, n, "readlink /proc/self/ns/net"); now != was {
		t.Errorf("made once more it is another one: %s, then %s", was, now)
	}
	all, err := netns.List(filepath.Dir(filepath.Dir(n.Dir())), 2)
	must(t, err)
	if want := [][]string{{"app", "stage"}}; !slices.EqualFunc(all, want, slices.Equal) {
		t.Errorf("listed is %v, want %v", all, want)
	}
	must(t, n.Remove())
	wantNothing(t, n)
	must(t, n.Remove())
}

// wantNothing fails the test when anything of the namespace is left.
func wantNothing(t testing.TB, n netns.Network) {
	t.Helper()
	if there, err := n.Exists(); there || err != nil {
		t.Errorf("it exists: %v, %v", there, err)
	}
	if left := mounts(t, filepath.Dir(n.Dir())); len(left) > 0 {
		t.Errorf("still mounted: %v", left)
	}
	if _, err := os.Lstat(n.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left: %v", err)
	}
}

// A machine that was started anew has the files, and nothing is mounted there.
func TestStale(t *testing.T) {
	n := newNetwork(t)
	for _, do := range []func() error{n.Make, n.Remove} {
		must(t, n.Remove())
		must(t, os.MkdirAll(n.Dir(), 0o700))
		must(t, os.WriteFile(n.File(), nil, 0o600))
		must(t, os.WriteFile(n.Broker(), nil, 0o600))
		if there, err := n.Exists(); there || err != nil {
			t.Fatalf("a stale file is taken for a namespace: %v, %v", there, err)
		}
		if _, err := proc.Run(t.Context(), proc.Command{Argv: []string{"/bin/true"}, Network: n.File()}); err == nil {
			t.Fatal("a child was started where there is no namespace")
		}
		must(t, do())
	}
	wantNothing(t, n)
}

// Killed at any point, whoever makes and removes a namespace leaves what the next one can go on with.
func TestKilled(t *testing.T) {
	n := newNetwork(t)
	for range 40 {
		cmd := exec.Command(self("churn", n.Dir())[0], "churn", n.Dir())
		must(t, cmd.Start())
		time.Sleep(time.Duration(rand.IntN(30_000)) * time.Microsecond) //nolint:gosec // where it is killed is up to chance
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		must(t, n.Make())
		if out, ok := inside(t, n, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"); !ok || out != "lo" {
			t.Fatalf("after the kill it is not whole: %s", out)
		}
		if left := mounts(t, n.Dir()); len(left) != 1 {
			t.Fatalf("mounted is %v, want it once", left)
		}
	}
	must(t, n.Remove())
	wantNothing(t, n)
}

// What a process may not have is said in words, and nothing is left of the attempt.
func TestCanNotBeHad(t *testing.T) {
	newNetwork(t)
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755)) //nolint:gosec // another user has to pass
	must(t, os.Chmod(dir, 0o777))               //nolint:gosec // and to try
	program := filepath.Join(dir, "program")
	must(t, copyFile(program, self()[0]))
	for name, c := range map[string]struct {
		command []string
		says    string
	}{
		"not root":              {[]string{"setpriv", "--reuid=65534", "--clear-groups"}, "only root can"},
		"without CAP_SYS_ADMIN": {[]string{"setpriv", "--bounding-set=-sys_admin"}, "without the capability CAP_SYS_ADMIN"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath("setpriv"); err != nil {
				t.Skip("SKIPPED, the machine lacks setpriv")
			}
			where := filepath.Join(dir, "network")
			args := append(slices.Clone(c.command), program, "make", where)
			out, err := exec.Command(args[0], args[1:]...).CombinedOutput() //nolint:gosec // this test's own
			if err == nil || !strings.Contains(string(out), c.says) {
				t.Errorf("it said %q (%v), want %q", out, err, c.says)
			}
			if _, err := os.Lstat(where); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its folder is left: %v", err)
			}
		})
	}
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755) //nolint:gosec // another user runs it
}

// Fifty come and go, and neither a descriptor nor a thread nor a mount is left of them.
func TestMany(t *testing.T) {
	newNetwork(t)
	dir := t.TempDir()
	round := func(times int) {
		for i := range times {
			n := netns.At(filepath.Join(dir, fmt.Sprint(i)))
			must(t, n.Make())
			cmd := startBroker(t, n)
			l, err := netns.Listen(t.Context(), broker(t, n), "127.0.0.1:8000")
			must(t, err)
			c, err := netns.Dial(t.Context(), broker(t, n), "127.0.0.1:8000")
			must(t, err)
			must(t, errors.Join(c.Close(), l.Close(), cmd.Process.Kill()))
			_ = cmd.Wait()
			must(t, n.Remove())
		}
	}
	round(5) // what the runtime keeps
	descriptors, threads := count(t, "fd"), count(t, "task")
	round(50)
	eventually(t, func() string {
		if now := count(t, "fd"); now > descriptors {
			return fmt.Sprintf("descriptors: %d, then %d", descriptors, now)
		}
		if now := count(t, "task"); now > threads+20 { // the runtime makes more where system calls take long
			return fmt.Sprintf("threads: %d, then %d", threads, now)
		}
		return ""
	})
	if left := mounts(t, dir); len(left) > 0 {
		t.Errorf("still mounted: %v", left)
	}
}

func count(t testing.TB, what string) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/" + what)
	must(t, err)
	return len(all)
}

func TestBroker(t *testing.T) {
	n := newNetwork(t)
	process := startBroker(t, n)
	outside, err := netns.NewDecoy("tcp", "127.0.0.1:0")
	must(t, err)
	defer outside.Close()
	for address, want := range map[string]syscall.Errno{
		outside.Try.Address: syscall.ECONNREFUSED, // it is another 127.0.0.1
		"192.0.2.1:80":      syscall.ENETUNREACH,
		"[2001:db8::1]:80":  syscall.ENETUNREACH,
	} {
		if c, err := netns.Dial(t.Context(), broker(t, n), address); !errors.Is(err, want) {
			t.Errorf("dialled inside, %s gave %v, %v, want %v", address, c, err, want)
		}
	}

	l, err := netns.Listen(t.Context(), broker(t, n), outside.Try.Address) // the address is free inside
	must(t, err)
	defer l.Close()
	if again, err := netns.Listen(t.Context(), broker(t, n), outside.Try.Address); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("taken twice: %v, %v", again, err)
	}
	if got := outside.Try.Do(t.Context()); !got.Reached || got.Other {
		t.Errorf("from outside one does not come to who listens outside: %+v", got)
	}
	near, err := netns.Dial(t.Context(), broker(t, n), outside.Try.Address)
	must(t, err)
	defer near.Close()
	far, err := l.Accept()
	must(t, err)
	defer far.Close()

	must(t, process.Process.Kill())
	_ = process.Wait()
	if _, err := near.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "hello" {
		t.Errorf("after the broker's death a connection gave %q, %v", got, err)
	}
	startBroker(t, n)
	next, err := netns.Dial(t.Context(), broker(t, n), outside.Try.Address)
	must(t, err)
	must(t, next.Close())
}

// A broker that is spoken to wrongly, or by whoever goes away, goes on.
func TestBrokerGoesOn(t *testing.T) {
	n := newNetwork(t)
	startBroker(t, n)
	for _, say := range []string{"", "{", "\n\n", "GET / HTTP/1.1\r\n\r\n", `{"dial":true,"address":"` + strings.Repeat("x", 1<<20)} {
		c := broker(t, n)
		_, _ = io.WriteString(c, say) // it may have hung up by then
		must(t, c.Close())
	}
	for _, address := range []string{"", "nowhere", "127.0.0.1", "127.0.0.1:99999", "[::", "example.com:80"} {
		if c, err := netns.Dial(t.Context(), broker(t, n), address); err == nil {
			t.Errorf("%q was dialled: %v", address, c)
		}
	}
	if l, err := netns.Listen(t.Context(), broker(t, n), "127.0.0.1:8000"); err != nil {
		t.Fatal(err)
	} else if _, ok := l.(*net.TCPListener); !ok {
		t.Errorf("it is a %T", l)
	} else {
		must(t, l.Close())
	}
}
