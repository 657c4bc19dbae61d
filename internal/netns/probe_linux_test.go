package netns_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"greenroom/internal/netns"
	"greenroom/internal/proc"
)

const nobody = 65534

// probe runs the self-test, in a namespace or, where that is nil, in the machine's network.
func probe(t testing.TB, n *netns.Network, uid int, tries ...netns.Try) (answers netns.Answers) {
	t.Helper()
	question, err := json.Marshal(netns.Question{UID: uid, GID: uid, Tries: tries})
	must(t, err)
	var out bytes.Buffer
	c := proc.Command{Argv: self("probe"), Dir: "/", Stdin: bytes.NewReader(question), Stdout: &out, Stderr: os.Stderr}
	if n != nil {
		c.Network = n.File()
	}
	exit, err := proc.Run(t.Context(), c)
	must(t, err)
	if !exit.OK() {
		t.Fatalf("the self-test: %s", exit)
	}
	must(t, json.Unmarshal(out.Bytes(), &answers))
	return answers
}

// The same tries, outside and inside: what can be reached outside can't be inside.
func TestProbe(t *testing.T) {
	n := newNetwork(t)
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755)) //nolint:gosec // another user has to pass
	}
	tcp, err := netns.NewDecoy("tcp", "127.0.0.1:0")
	must(t, err)
	defer tcp.Close()
	abstract, err := netns.NewDecoy("unix", "@greenroom-test-"+filepath.Base(filepath.Dir(dir)))
	must(t, err)
	defer abstract.Close()
	open, err := netns.NewDecoy("unix", filepath.Join(dir, "open.sock"))
	must(t, err)
	defer open.Close()
	must(t, os.Chmod(open.Try.Address, 0o777)) //nolint:gosec // everybody can speak to it
	closed, err := netns.NewDecoy("unix", filepath.Join(dir, "closed.sock"))
	must(t, err)
	defer closed.Close()
	must(t, os.Chmod(closed.Try.Address, 0o700)) //nolint:gosec // only we can
	hidden, err := netns.NewDecoy("unix", "/run/greenroom-test-"+fmt.Sprint(os.Getpid())+".sock")
	must(t, err)
	defer hidden.Close()
	must(t, os.Chmod(hidden.Try.Address, 0o777)) //nolint:gosec // everybody could speak to it
	names := answersNames(t)
	api := refusesAll(t, filepath.Join(dir, "api.sock"))
	vsock := netns.Try{Network: "family", Address: "40"} // outside, whether there is any is up to the kernel
	mistaken := tcp.Try
	mistaken.Token = strings.Repeat("x", len(mistaken.Token))

	tries := []netns.Try{tcp.Try, abstract.Try, open.Try, closed.Try, hidden.Try, {Network: "udp", Address: names}, {Network: "http", Address: api}, mistaken, vsock}
	const refused, unreadable, nofamily = syscall.ECONNREFUSED, syscall.EACCES, syscall.EAFNOSUPPORT
	for where, want := range map[string][]netns.Answer{
		"outside": {{Reached: true}, {Reached: true}, {Reached: true}, {Errno: unreadable}, {Reached: true}, {Reached: true},
			{Reached: true, Refused: true}, {Reached: true, Other: true}, vsock.Do(t.Context())},
		"inside": {{Errno: refused}, {Errno: refused}, {Reached: true}, {Errno: unreadable}, {Errno: syscall.ENOENT}, {Errno: refused},
			{Reached: true, Refused: true}, {Errno: refused}, {Errno: nofamily}},
	} {
		t.Run(where, func(t *testing.T) {
			at := &n
			if where == "outside" {
				at = nil
			}
			got := probe(t, at, nobody, tries...)
			if got.Fault != "" {
				t.Fatal(got.Fault)
			}
			if lone := slices.Equal(got.Interfaces, []string{"lo"}); lone != (at != nil) {
				t.Errorf("the interfaces are %v", got.Interfaces)
			}
			for i, a := range got.Answers {
				a.Error = ""
				if a != want[i] {
					t.Errorf("%s %s gave %+v, want %+v", tries[i].Network, tries[i].Address, got.Answers[i], want[i])
				}
			}
		})
	}
	t.Run("names", func(t *testing.T) {
		if got := probe(t, &n, nobody, netns.Try{Network: "name", Address: "example.com"}).Answers[0]; got.Reached || got.Late || got.Error == "" {
			t.Errorf("looked up inside: %+v", got)
		}
	})
}

// A self-test that would notice nothing says so.
func TestProbeFault(t *testing.T) {
	newNetwork(t)
	if got := probe(t, nil, 0); got.Fault == "" {
		t.Error("a test that stayed root finds no fault with that")
	}
}

// answersNames is the address of a server of names that says something to all questions.
func answersNames(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	t.Cleanup(func() {
		must(t, c.Close())
		<-done
	})
	return c.LocalAddr().String()
}

// refusesAll is the socket of an API that everybody can speak to, and which says to all that they may not.
func refusesAll(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("unix", name)
	must(t, err)
	must(t, os.Chmod(name, 0o777)) //nolint:gosec // everybody can speak to it
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) }))
	must(t, s.Listener.Close())
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return name
}
