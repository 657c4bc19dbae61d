package wall_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"greenroom/internal/netns"
	"greenroom/internal/proc"
	"greenroom/internal/wall"
)

// made numbers the bridges of this program's tests.
var made atomic.Int32

// street is a bridge as the Engine makes one, with the namespace of one container on it, which may all that root may.
type street struct {
	testing.TB
	wall    wall.Wall
	bridge  netlink.Link
	inside  netns.Network
	address netip.Addr // inside
	end     int        // the number of the interface there: by its name another one is known outside
}

func newStreet(t *testing.T) *street {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can make bridges")
	}
	n := int(made.Add(1))
	name := fmt.Sprintf("gw%d-%d", os.Getpid()%100000, n)
	subnet := netip.MustParseAddr(fmt.Sprintf("198.18.%d.0", n)) // RFC 2544
	s := &street{TB: t, address: subnet.Next().Next(), inside: netns.At(filepath.Join(t.TempDir(), "ns"))}
	s.wall = wall.Wall{Bridge: name, Address: netip.PrefixFrom(subnet.Next(), 24)}
	if err := s.inside.Make(); err != nil {
		t.Skip("SKIPPED, " + err.Error())
	}
	t.Cleanup(func() { must(t, s.inside.Remove()) })
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	s.bridge = &netlink.Bridge{LinkAttrs: attrs}
	must(t, netlink.LinkAdd(s.bridge))
	t.Cleanup(func() { must(t, netlink.LinkDel(s.bridge)) })
	must(t, netlink.LinkSetUp(s.bridge))
	s.movesIn(name)
	return s
}

// movesIn puts the container's end of a cable into its namespace, with an address and a way to everywhere.
func (s *street) movesIn(name string) {
	s.Helper()
	ns, err := os.Open(s.inside.File())
	must(s, err)
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = name+"h", s.bridge.Attrs().Index
	cable := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(ns.Fd()))}
	must(s, netlink.LinkAdd(cable))
	must(s, netlink.LinkSetUp(cable))
	s.within(func() error {
		end, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		at := &net.IPNet{IP: s.address.AsSlice(), Mask: net.CIDRMask(24, 32)}
		return errors.Join(
			netlink.AddrAdd(end, &netlink.Addr{IPNet: at}), netlink.LinkSetUp(end),
			netlink.RouteAdd(&netlink.Route{LinkIndex: end.Attrs().Index, Gw: s.wall.Address.Addr().AsSlice()}),
		)
	})
	s.within(func() error {
		end, err := netlink.LinkByName("eth0")
		must(s, err)
		s.end = end.Attrs().Index
		s.linkLocalOf(end)
		return nil
	})
}

// within has something done in the container's namespace.
func (s *street) within(do func() error) {
	s.Helper()
	must(s, proc.OnThread(func() error {
		if err := proc.Enter(s.inside.File()); err != nil {
			return err
		}
		return do()
	}))
}

// tried is how long a connection that should not come about is tried, with the second packet that TCP sends.
const tried = 1500 * time.Millisecond

// reaches says what came through, of all ways from the container to this machine: by kind.
func (s *street) reaches() map[string]bool {
	s.Helper()
	got := map[string]bool{}
	other := s.other()
	for what, at := range map[string]string{
		"tcp to the bridge's address":       netip.AddrPortFrom(s.wall.Address.Addr(), 0).String(),
		"tcp to another of the machine's":   net.JoinHostPort(other, "0"),
		"tcp to the bridge's IPv6 address":  net.JoinHostPort(s.linkLocal(), "0"),
		"tcp to a listener on all of them":  "0.0.0.0:0",
		"tcp to a listener on all, by IPv6": "[::]:0",
	} {
		l, err := net.Listen("tcp", at)
		must(s, err)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		target := net.JoinHostPort(s.wall.Address.Addr().String(), port)
		switch {
		case strings.HasSuffix(what, "another of the machine's"):
			target = l.Addr().String()
		case strings.Contains(what, "IPv6"):
			host, _, _ := strings.Cut(s.linkLocal(), "%")
			target = net.JoinHostPort(fmt.Sprint(host, "%", s.end), port)
		}
		s.within(func() error {
			c, err := net.DialTimeout("tcp", target, tried)
			if got[what] = err == nil; err == nil {
				return c.Close()
			}
			return nil
		})
		must(s, l.Close())
	}
	for what, target := range map[string]string{
		"udp": s.wall.Address.Addr().String(), "udp to another": other, "udp to all": "255.255.255.255", "udp to the network": s.broadcast(),
	} {
		got[what] = s.hears(target)
	}
	return got
}

// hears says whether a datagram that the container sends there comes to a program that listens everywhere.
func (s *street) hears(target string) bool {
	s.Helper()
	l, err := net.ListenUDP("udp4", &net.UDPAddr{})
	must(s, err)
	defer l.Close()
	to := &net.UDPAddr{IP: net.ParseIP(target), Port: l.LocalAddr().(*net.UDPAddr).Port}
	s.within(func() error {
		c, err := net.ListenUDP("udp4", nil)
		if err != nil {
			return err
		}
		defer c.Close()
		for range 3 {
			if _, err := c.WriteToUDP([]byte("hello"), to); err != nil && !errors.Is(err, unix.EHOSTUNREACH) {
				return err
			}
			time.Sleep(50 * time.Millisecond) // what asked for the neighbour's address first was lost
		}
		return nil
	})
	must(s, l.SetReadDeadline(time.Now().Add(500*time.Millisecond)))
	_, _, err = l.ReadFromUDP(make([]byte, 10))
	return err == nil
}

// other is an address of this machine beside the bridge's.
func (s *street) other() string {
	s.Helper()
	all, err := net.InterfaceAddrs()
	must(s, err)
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !s.wall.Address.Contains(netip.AddrFrom4([4]byte(n.IP.To4()))) {
			return n.IP.String()
		}
	}
	s.Skip("SKIPPED: this machine has no address but loopback's")
	return ""
}

func (s *street) linkLocal() string { return s.linkLocalOf(s.bridge) }

// linkLocalOf is an interface's IPv6 address, once it may be used.
func (s *street) linkLocalOf(l netlink.Link) string {
	s.Helper()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		all, err := netlink.AddrList(l, netlink.FAMILY_V6)
		must(s, err)
		for _, a := range all {
			if a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				return a.IP.String() + "%" + l.Attrs().Name
			}
		}
	}
	s.Fatal(l.Attrs().Name + " has no link-local address")
	return ""
}

func (s *street) broadcast() string {
	b := s.wall.Address.Masked().Addr().As4()
	b[3] = 255
	return netip.AddrFrom4(b).String()
}

// answers says whether a connection to the container comes about, and carries what it should.
func (s *street) answers() error {
	s.Helper()
	var l net.Listener
	s.within(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(s.address, 8080).String())
		return err
	})
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	must(s, c.SetDeadline(time.Now().Add(20*time.Second)))
	sent := strings.Repeat("hello ", 200_000)
	go func() {
		_, _ = io.WriteString(c, sent)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err == nil && string(got) != sent {
		err = fmt.Errorf("%d bytes came back of %d", len(got), len(sent))
	}
	return err
}

// TestWall has a container that may do all in its namespace try to reach the machine, without a wall and behind one.
func TestWall(t *testing.T) {
	s := newStreet(t)
	if err := s.wall.Check(); err == nil {
		t.Fatal("a wall stands that nobody built")
	}
	ip := s.wall.Address.Addr().As4()
	must(t, netlink.AddrAdd(s.bridge, &netlink.Addr{IPNet: &net.IPNet{IP: ip[:], Mask: net.CIDRMask(24, 32)}}))
	for what, got := range s.reaches() {
		if !got {
			t.Errorf("without a wall %s does not come through, so nothing is tested", what)
		}
	}
	must(t, s.answers())

	must(t, s.wall.Build())
	must(t, s.wall.Build())
	must(t, s.wall.Check())
	for what, got := range s.reaches() {
		if got {
			t.Errorf("%s comes through the wall", what)
		}
	}
	must(t, s.answers())
}

// TestWallIsMended has the filter or the address taken away, and another wall in this one's place.
func TestWallIsMended(t *testing.T) {
	s := newStreet(t)
	must(t, s.wall.Build())
	must(t, netlink.QdiscDel(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: s.bridge.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}))
	if err := s.wall.Check(); err == nil {
		t.Error("it is not noticed that the wall is gone")
	}
	must(t, s.wall.Build())
	must(t, s.wall.Check())

	was := s.wall
	s.wall.Address = netip.PrefixFrom(s.wall.Address.Addr().Next().Next().Next(), 24)
	if err := s.wall.Check(); err == nil {
		t.Error("another wall is taken for this one")
	}
	must(t, s.wall.Build())
	must(t, s.wall.Check())
	if err := was.Check(); err == nil {
		t.Error("the wall before still stands")
	}
	must(t, s.answers())
	if s.hears(was.Address.Addr().String()) {
		t.Error("the machine is reached at the address that it had before")
	}
}

// TestNoBridge names what is missing.
func TestNoBridge(t *testing.T) {
	for name, says := range map[string]string{"greenroom-none": "has no interface", "lo": "is no bridge"} {
		w := wall.Wall{Bridge: name, Address: netip.MustParsePrefix("198.18.0.1/24")}
		if err := w.Build(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
