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
	c := &clients{port: at.Port(), own: true, was: map[netip.AddrPort]bool{},
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
