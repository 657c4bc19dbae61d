package environment

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"greenroom/internal/data"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// dialler connects to an address from a grandchild, and tells from where.
const dialler = `sh -c 'exec 3<>/dev/tcp/127.0.0.1/%d; echo connected; cat >/dev/null'; true`

// TestClients tells a replica's connections, its children's too, from this program's, from those of who is gone, and from
// those of other machines.
func TestClients(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash, which can connect by itself")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing to lose
	at := netip.MustParseAddrPort(l.Addr().String())
	accept := func() (conn net.Conn, from netip.AddrPort) {
		t.Helper()
		if conn, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn, netip.MustParseAddrPort(conn.RemoteAddr().String())
	}
	replica := exec.Command(bash, "-c", strings.Replace(fmt.Sprintf(dialler, at.Port()), "sh -c", bash+" -c", 1))
	in, err := replica.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := replica.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Start(); err != nil {
		t.Fatal(err)
	}
	_, its := accept()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	own, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, mine := accept()
	elsewhere := netip.MustParseAddrPort("192.0.2.1:4711")

	main := 0
	c := &clients{port: at.Port(), own: true, list: proc.Sockets, was: map[netip.AddrPort]bool{},
		main: func(context.Context) int { return main }, pid: func(context.Context) (int, bool) { return os.Getpid(), true }}
	want := func(what string, wants ...data.End) {
		t.Helper()
		for i, end := range c.of(t.Context(), []netip.AddrPort{its, mine, elsewhere}) {
			if end != wants[i] {
				t.Errorf("%s: end %d is %d, want %d", what, i, end, wants[i])
			}
		}
	}
	want("before it is known", data.EndUnknown, data.EndUnknown, data.EndOther)
	main = replica.Process.Pid
	want("while it runs", data.EndMigrator, data.EndOther, data.EndOther)
	if err := own.Close(); err != nil {
		t.Fatal(err)
	}
	want("when we are gone", data.EndMigrator, data.EndGone, data.EndOther)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	_ = replica.Wait()
	main = 0
	want("when it is gone", data.EndMigrator, data.EndGone, data.EndOther)
	c.was, c.own = map[netip.AddrPort]bool{}, false
	want("in a server elsewhere", data.EndOther, data.EndOther, data.EndOther)
	c.pid = func(context.Context) (int, bool) { return 0, false }
	want("when there is no server", data.EndUnknown, data.EndUnknown, data.EndUnknown)
}

// TestGoneTwice: the kernel's list may lack an entry, so whoever is missed by one look is not taken for gone, nor for the replica
// that had the address before. Whoever is not here anyway costs no second look.
func TestGoneTwice(t *testing.T) {
	a, elsewhere := netip.MustParseAddrPort("127.0.0.1:4711"), netip.MustParseAddrPort("192.0.2.1:4711")
	server := netip.MustParseAddrPort("127.0.0.1:5432")
	there, none := []proc.Socket{{Local: a, Remote: server, Inode: 1 << 62}}, []proc.Socket(nil) // an inode that nobody holds
	for name, c := range map[string]struct {
		address netip.AddrPort
		was     bool // the replica's
		fails   bool // the second look
		looks   [][]proc.Socket
		want    data.End
	}{
		"there":                      {a, false, false, [][]proc.Socket{there}, data.EndOther},
		"missed":                     {a, false, false, [][]proc.Socket{none, there}, data.EndOther},
		"gone":                       {a, false, false, [][]proc.Socket{none, none}, data.EndGone},
		"not to be read":             {a, false, true, [][]proc.Socket{none, none}, data.EndUnknown},
		"the replica's":              {a, true, false, [][]proc.Socket{none, none}, data.EndMigrator},
		"missed, once the replica's": {a, true, false, [][]proc.Socket{none, there}, data.EndOther},
		"elsewhere":                  {elsewhere, false, false, [][]proc.Socket{none}, data.EndOther},
	} {
		t.Run(name, func(t *testing.T) {
			looks := 0
			x := &clients{port: 5432, own: true, was: map[netip.AddrPort]bool{c.address: c.was},
				main: func(context.Context) int { return os.Getpid() }, pid: func(context.Context) (int, bool) { return os.Getpid(), true },
				list: func(int) ([]proc.Socket, error) {
					if looks++; looks > len(c.looks) {
						t.Fatal("it looks once more")
					}
					if c.fails && looks == 2 {
						return nil, os.ErrPermission
					}
					return c.looks[looks-1], nil
				}}
			if end := x.of(t.Context(), []netip.AddrPort{c.address})[0]; end != c.want || looks != len(c.looks) {
				t.Errorf("it is %d after %d looks, not %d after %d", end, looks, c.want, len(c.looks))
			}
		})
	}
}

// at is a database of which only the address is asked.
type at struct {
	data.Database
	url string
}

func (a at) URL() string { return a.url }

// TestClientsOf: where the address does not say by itself to which port clients connect, nobody is told apart by it.
func TestClientsOf(t *testing.T) {
	e := &Environment{world: &World{}}
	for url, want := range map[string]uint16{
		"postgres://app@db.internal/app":                    5432,
		"postgres://app@db.internal:6432/app":               6432,
		"postgres:///app?host=/run/postgresql":              0,
		"postgres://app@db.internal/app?port=6432":          0,
		"postgres://app@db.internal/app?host=other":         0,
		"postgres://app@db.internal/app?hostaddr=192.0.2.1": 0,
		"postgres://app@one:1,two:2/app":                    0,
	} {
		c := e.clientsOf(release.Release{}, at{url: url}, "")
		if got := c != nil; got != (want != 0) || got && c.port != want {
			t.Errorf("%s: %+v, want port %d", url, c, want)
		}
	}
}
