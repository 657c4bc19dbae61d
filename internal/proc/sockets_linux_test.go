package proc

import (
	"maps"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSockets connects over IPv4 and IPv6 and finds each end, who holds it, and that nobody does once it is closed.
func TestSockets(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("%s: %v", address, err)
		}
		defer l.Close() //nolint:errcheck // nothing to lose
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		local, remote := netip.MustParseAddrPort(conn.LocalAddr().String()), netip.MustParseAddrPort(l.Addr().String())
		find := func() (s Socket) {
			t.Helper()
			all, err := Sockets(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range all {
				if one.Local == local && one.Remote == remote {
					s = one
				}
			}
			return s
		}
		held, err := Held(os.Getpid())
		if s := find(); err != nil || !held[s.Inode] {
			t.Errorf("%s: %+v is not held, %v", address, s, err)
		}
		if held, err := Held(os.Getppid()); err != nil || held[find().Inode] {
			t.Errorf("%s is another's: %v", address, err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if s := find(); s.Inode != 0 {
			t.Errorf("%s is closed, and is %+v", address, s)
		}
	}
	if held, err := Held(1 << 30); len(held) > 0 || err != nil {
		t.Errorf("of nobody: %v, %v", held, err)
	}
}

// TestHolders: who listens is found by his socket, with his name and his user's.
func TestHolders(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	held, err := Held(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(os.Args[0])
	found, err := Holders(slices.Collect(maps.Keys(held))...)
	i := slices.IndexFunc(found, func(h Holder) bool { return h.PID == os.Getpid() })
	if err != nil || i < 0 || found[i].User != me.Username || !strings.HasPrefix(name, found[i].Program) || found[i].Program == "" {
		t.Errorf("%+v, %v", found, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if found, err := Holders(); len(found) > 0 || err != nil {
		t.Errorf("of nothing: %+v, %v", found, err)
	}
	if got := holder(7, "Name:\ta\\nb c\nUmask:\t0022\nUid:\t4000000\t1\t2\t3\n"); got != (Holder{7, `a\nb c`, "4000000"}) {
		t.Errorf("%+v", got)
	}
	order := []Holder{{PID: 1}, {PID: 30}, {PID: 4}}
	slices.SortFunc(order, orderHolders)
	if order[0].PID != 4 || order[2].PID != 1 {
		t.Errorf("%+v", order)
	}
}

// FuzzParseSockets: whatever the kernel's list is, what comes out is whole.
func FuzzParseSockets(f *testing.F) {
	f.Add("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:1538 0100007F:B1E4 01 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0\n")
	f.Add("0: 0000000000000000FFFF00000100007F:1538 00000000000000000000000001000000:0050 08 0 0 0 0 0 7")
	f.Fuzz(func(t *testing.T, list string) {
		for _, s := range parseSockets(list) {
			if s.Inode == 0 || !s.Local.IsValid() || !s.Remote.IsValid() || s.Local.Addr().Is4In6() {
				t.Errorf("%+v", s)
			}
		}
	})
}
