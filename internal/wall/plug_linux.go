package wall

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"greenroom/internal/proc"
)

// Plug is a network namespace that is connected to a bridge as a container's is, and has a route to everywhere by this
// machine, which no container of the network has. What can't be reached from there can't be from any of them. It is gone
// when it is closed, or when this process ends.
type Plug struct {
	ns    *os.File
	cable netlink.Link
}

// Plug connects one with this address, which is free in the bridge's network.
func (w Wall) Plug(at netip.Addr) (p *Plug, err error) {
	bridge, err := w.bridge()
	if err != nil {
		return nil, err
	}
	p = &Plug{}
	defer func() {
		if err != nil {
			err = cannot(errors.Join(fmt.Errorf("nothing can be connected to %s: %w", w.Bridge, err), p.Close()))
		}
	}()
	err = proc.OnThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		p.ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return p, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = "gr"+strings.ToLower(rand.Text()[:10]), bridge.Attrs().Index
	cable := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(p.ns.Fd()))}
	if err := netlink.LinkAdd(cable); err != nil {
		return p, err
	}
	p.cable = cable
	if err := netlink.LinkSetUp(cable); err != nil {
		return p, err
	}
	return p, proc.OnThread(func() error {
		if err := proc.Enter(p.File()); err != nil {
			return err
		}
		return settleIn(netip.PrefixFrom(at, w.Address.Bits()), w.Address.Addr())
	})
}

// settleIn makes the interfaces of the calling thread's namespace work. Its IPv6 address is used without asking first
// whether another has it, which takes seconds.
func settleIn(own netip.Prefix, machine netip.Addr) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/accept_dad", []byte("0"), 0o600)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	end, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	at := &net.IPNet{IP: own.Addr().AsSlice(), Mask: net.CIDRMask(own.Bits(), own.Addr().BitLen())}
	for _, do := range []func() error{
		func() error { return netlink.LinkSetUp(lo) },
		func() error { return netlink.AddrAdd(end, &netlink.Addr{IPNet: at}) },
		func() error { return netlink.LinkSetUp(end) },
		func() error {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: end.Attrs().Index, Gw: machine.AsSlice()})
		},
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// File is what a process of this one's enters the namespace by: see proc.Command.
func (p *Plug) File() string { return fmt.Sprintf("/proc/self/fd/%d", p.ns.Fd()) }

// Close takes it out of the bridge. It is gone when the last process in it is.
func (p *Plug) Close() error {
	var errs []error
	if p.cable != nil {
		errs = append(errs, netlink.LinkDel(p.cable))
	}
	if p.ns != nil {
		errs = append(errs, p.ns.Close())
	}
	return errors.Join(errs...)
}

// LinkLocal is the bridge's own IPv6 address, as one that is connected to it by eth0 writes it; "" for none.
func (w Wall) LinkLocal() (string, error) {
	bridge, err := w.bridge()
	if err != nil {
		return "", err
	}
	all, err := netlink.AddrList(bridge, netlink.FAMILY_V6)
	for _, a := range all {
		if a.IP.IsLinkLocalUnicast() {
			return a.IP.String() + "%eth0", err
		}
	}
	return "", err
}
