package environment

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"greenroom/internal/evidence"
	"greenroom/internal/netns"
)

func TestJudges(t *testing.T) {
	const pass, fail, unsure = evidence.Pass, evidence.Fail, evidence.Inconclusive
	got := func(e syscall.Errno) netns.Answer { return netns.Answer{Error: e.Error(), Errno: e} }
	for _, c := range []struct {
		name   string
		kind   kind
		answer netns.Answer
		want   evidence.Verdict
	}{
		{"outside, no route", abroad, got(syscall.ENETUNREACH), pass},
		{"outside, no such family", abroad, got(syscall.EAFNOSUPPORT), pass},
		{"outside, refused: somebody was there to refuse it", abroad, got(syscall.ECONNREFUSED), unsure},
		{"outside, a wall of the machine's", abroad, got(syscall.EHOSTUNREACH), unsure},
		{"outside, silence", abroad, netns.Answer{Late: true, Error: "i/o timeout"}, unsure},
		{"outside, silence with a number", abroad, netns.Answer{Late: true, Errno: syscall.ENETUNREACH}, unsure},
		{"outside, reached", abroad, netns.Answer{Reached: true}, fail},
		{"outside, nothing at all", abroad, netns.Answer{}, unsure},
		{"decoy, refused", decoys, got(syscall.ECONNREFUSED), pass},
		{"decoy, reached", decoys, netns.Answer{Reached: true}, fail},
		{"decoy, another answered", decoys, netns.Answer{Reached: true, Other: true}, unsure},
		{"environment, refused", others, got(syscall.ECONNREFUSED), pass},
		{"environment, reached", others, netns.Answer{Reached: true}, fail},
		{"socket, hidden", sockets, got(syscall.ENOENT), pass},
		{"socket, closed", sockets, got(syscall.EACCES), pass},
		{"socket, reached", sockets, netns.Answer{Reached: true}, fail},
		{"socket, full", sockets, got(syscall.EAGAIN), unsure},
		{"API, closed", apis, got(syscall.EACCES), pass},
		{"API, may not", apis, netns.Answer{Reached: true, Refused: true}, pass},
		{"API, answers", apis, netns.Answer{Reached: true, Error: "200 OK"}, fail},
		{"API, silence", apis, netns.Answer{Late: true}, unsure},
		{"name, nobody to ask", lookups, netns.Answer{Error: "dial udp 127.0.0.1:53: connect: network is unreachable"}, pass},
		{"name, found or known not to be", lookups, netns.Answer{Reached: true}, fail},
		{"name, silence", lookups, netns.Answer{Late: true, Error: "i/o timeout"}, unsure},
		{"server of names, refused", names, got(syscall.ECONNREFUSED), pass},
		{"server of names, silence", names, netns.Answer{Late: true}, unsure},
		{"kind of socket, not to be had", foreign, got(syscall.EAFNOSUPPORT), pass},
		{"kind of socket, opened", foreign, netns.Answer{Reached: true}, fail},
		{"behind a wall, a decoy is silent", walledOff, netns.Answer{Late: true, Error: "i/o timeout"}, pass},
		{"behind a wall, a decoy is reached", walledOff, netns.Answer{Reached: true}, fail},
		{"behind a wall, a decoy is reached and silent", walledOff, netns.Answer{Reached: true, Other: true, Late: true}, unsure},
		{"behind a wall, no route to a decoy", walledOff, got(syscall.ENETUNREACH), pass},
		{"behind a wall, another environment is silent", neighbors, netns.Answer{Late: true}, pass},
		{"behind a wall, another environment is reached", neighbors, netns.Answer{Reached: true}, fail},
		{"from a container, the gateway is not there", gateless, got(syscall.EHOSTUNREACH), pass},
		{"from a container, no route", gateless, got(syscall.ENETUNREACH), pass},
		{"from a container, silence", gateless, netns.Answer{Late: true, Errno: syscall.EHOSTUNREACH}, unsure},
		{"from a container, outside is reached", gateless, netns.Answer{Reached: true}, fail},
		{"from a container, outside refuses", gateless, got(syscall.ECONNREFUSED), unsure},
		{"from a container, a server of names refuses", namesGateless, got(syscall.ECONNREFUSED), pass},
		{"from a container, a server of names is reached", namesGateless, netns.Answer{Reached: true}, fail},
		{"a datagram that nobody heard", datagrams, netns.Answer{Sent: true}, pass},
		{"a datagram that was heard", datagrams, netns.Answer{Sent: true, Reached: true}, fail},
		{"a datagram that had no way", datagrams, got(syscall.ENETUNREACH), pass},
		{"a datagram that was not sent", datagrams, got(syscall.ENOBUFS), unsure},
		{"the Engine asks the container itself", resolvers, netns.Answer{Own: true, Late: true}, pass},
		{"the Engine asks the container itself, and somebody else", resolvers, netns.Answer{Own: true, Reached: true}, fail},
		{"the Engine says that it can't", resolvers, netns.Answer{Refused: true}, pass},
		{"the Engine knows that there is no such name", resolvers, netns.Answer{Reached: true}, fail},
		{"the Engine is silent", resolvers, netns.Answer{Late: true}, unsure},
		{"own, reached", own, netns.Answer{Reached: true}, pass},
		{"own, refused", own, got(syscall.ECONNREFUSED), unsure},
	} {
		if verdict, found := c.kind.judge(c.answer); verdict != c.want || found == "" {
			t.Errorf("%s: %s (%q), want %s", c.name, verdict, found, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	inside := netns.Answers{Namespace: "net:[1]", Interfaces: []string{"lo"}}
	refused := netns.Answer{Error: "connection refused", Errno: syscall.ECONNREFUSED}
	for _, c := range []struct {
		name     string
		change   func(a *netns.Answers)
		isolated bool
		says     string
	}{
		{"nothing was reached", func(*netns.Answers) {}, true, "addresses outside the machine (1), listeners of the machine (3); its own services (1) were"},
		{"a decoy was", func(a *netns.Answers) { a.Answers[2] = netns.Answer{Reached: true} }, false, "from inside, tcp b:2: it was reached"},
		{"two things are not known", func(a *netns.Answers) { a.Answers[0], a.Answers[3] = netns.Answer{Late: true}, netns.Answer{} }, false, "tcp a:1: no answer in 2 s, which proves nothing; tcp d:4: "},
		{"five things were", func(a *netns.Answers) {
			for i := range a.Answers {
				a.Answers[i] = netns.Answer{Reached: true, Other: true}
			}
		}, false, "tcp a:1: somebody else answered there; tcp c:3: somebody else answered there; tcp b:2: somebody else answered there; and 1 more"},
		{"its own service was not", func(a *netns.Answers) { a.Answers[4] = refused }, false, "tcp e:5: it can't be reached: connection refused"},
		{"another interface", func(a *netns.Answers) { a.Interfaces = []string{"lo", "eth0"} }, false, "the list of interfaces: lo, eth0"},
		{"no network is known", func(a *netns.Answers) { a.Namespace = "" }, false, "not known in which network"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := inside
			a.Answers = []netns.Answer{{Error: "network is unreachable", Errno: syscall.ENETUNREACH}, refused, refused, refused, {Reached: true}}
			c.change(&a)
			try := func(k kind, address string) attempt {
				return attempt{kind: k, try: netns.Try{Network: "tcp", Address: address}}
			}
			got := judge([]attempt{try(abroad, "a:1"), try(decoys, "c:3"), try(decoys, "b:2"), try(decoys, "d:4"), try(own, "e:5")}, a)
			if got.Isolated != c.isolated || !strings.Contains(got.String(), c.says) || strings.HasPrefix(got.String(), "isolated: ") != c.isolated {
				t.Errorf("%v, %s", got.Isolated, got)
			}
		})
	}
}

const socketTable = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01     8 /run/a.sock
ffff9d4e00000000: 00000002 00000000 00010000 0005 01 12345 /run/b c.sock
ffff9d4e00000000: 00000002 00000000 00000000 0002 01 12345 /dev/log
ffff9d4e00000000: 00000003 00000000 00000000 0001 03 12346 /run/a.sock
ffff9d4e00000000: 00000003 00000000 00000000 0001 03 12347
ffff9d4e00000000: 00000002 00000000 00010000 0001 01 12348 @/tmp/dbus
ffff9d4e00000000: 00000002 00000000 00010000 0001 01 12349 relative.sock
ffff9d4e00000000: 00000002 00000000 00010000 0001 01 12349 /run/a.sock
`

func TestParseSockets(t *testing.T) {
	want := []attempt{
		{try: netns.Try{Network: "unix", Address: "/run/a.sock"}, inodes: []uint64{8, 12349}},
		{try: netns.Try{Network: "unixpacket", Address: "/run/b c.sock"}, inodes: []uint64{12345}},
		{try: netns.Try{Network: "unixgram", Address: "/dev/log"}, inodes: []uint64{12345}},
		{try: netns.Try{Network: "unix", Address: "@/tmp/dbus"}, inodes: []uint64{12348}},
	}
	got := parseSockets([]byte(socketTable))
	if d := cmp.Diff(want, got, cmp.AllowUnexported(attempt{}), cmpopts.IgnoreFields(attempt{}, "kind")); d != "" {
		t.Error(d)
	}
	for _, a := range got {
		if a.kind.what != sockets.what {
			t.Errorf("%s is tried as %s", a.try.Address, a.kind.what)
		}
	}
}

// TestSocketOfAnother: a program that everybody may speak to is named, with what is to be done about it; what could not be
// reached is left alone.
func TestSocketOfAnother(t *testing.T) {
	file := filepath.Join(t.TempDir(), "open.sock")
	l, err := net.Listen("unix", file)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing to lose
	there, err := machineSockets()
	if err != nil {
		t.Fatal(err)
	}
	if there == nil {
		t.Skip("this kernel does not list its sockets")
	}
	i := slices.IndexFunc(there, func(a attempt) bool { return a.try.Address == file })
	if i < 0 {
		t.Fatal("it is not found")
	}
	nobodys := attempt{kind: sockets, try: netns.Try{Network: "unix", Address: "/nobody"}}
	attempts := []attempt{there[i], nobodys, nobodys}
	answers := []netns.Answer{{Reached: true}, {Errno: syscall.EACCES, Error: "permission denied"}, {Reached: true}}
	advise(attempts, answers)
	got := judge(attempts, netns.Answers{Answers: answers, Namespace: "net:[1]", Interfaces: []string{"lo"}})
	for _, want := range []string{
		fmt.Sprintf("unix %s: it was reached: stop ", file), fmt.Sprintf("(process %d of the user ", os.Getpid()),
		"have it keep that file in a folder that only its own user may enter; ", "unix /nobody: it was reached: stop whoever listens there",
	} {
		if !strings.Contains(got.Because, want) {
			t.Errorf("%q does not say %q", got.Because, want)
		}
	}
	if attempts[1].remedy != "" {
		t.Errorf("%q", attempts[1].remedy)
	}
}

// A program may give its socket any name.
func FuzzParseSockets(f *testing.F) {
	f.Add([]byte(socketTable))
	f.Add([]byte("0: 2 0 00010000 0001 01 1 /\x00\xff  x\n\n: \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, a := range parseSockets(b) {
			s := a.try
			if s.Address == "" || s.Address[0] != '/' && s.Address[0] != '@' || strings.ContainsAny(s.Address, "\n") {
				t.Errorf("%+v", s)
			}
		}
	})
}
