package wall

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"greenroom/internal/problem"
)

// Where the filter is among those of the bridge: before all others.
const (
	filterName     = "greenroom"
	filterPriority = 1
)

// Build makes the wall, and then gives the machine its address. What is there already is left as it is. Killed at any
// point, it leaves a bridge that leads nowhere or a whole wall. A problem of code Unavailable says why there can be none.
func (w Wall) Build() error {
	bridge, err := w.bridge()
	if err != nil {
		return err
	}
	filter, err := w.load()
	if err != nil {
		return cannot(err)
	}
	defer filter.Close() //nolint:errcheck // the bridge keeps it
	if w.stands(bridge, filter) != nil {
		if err := errors.Join(w.raise(bridge, filter), w.stands(bridge, filter)); err != nil {
			return cannot(err)
		}
	}
	if err := w.settle(bridge); err != nil {
		return cannot(fmt.Errorf("the machine gets no address on %s: %w", w.Bridge, err))
	}
	return nil
}

// settle gives the machine its address on the bridge, as the only one: from another one it would ask in vain.
func (w Wall) settle(bridge netlink.Link) error {
	all, err := netlink.AddrList(bridge, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.IPNet.String() == w.Address.String() {
			continue
		}
		if err := netlink.AddrDel(bridge, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
	}
	ip := w.Address.Addr().As4()
	return netlink.AddrReplace(bridge, &netlink.Addr{IPNet: &net.IPNet{IP: ip[:], Mask: net.CIDRMask(w.Address.Bits(), 32)}})
}

// Check says why the wall does not stand; nil is that it does, and the machine has its address behind it.
func (w Wall) Check() error {
	bridge, err := w.bridge()
	if err != nil {
		return err
	}
	filter, err := w.load()
	if err != nil {
		return cannot(err)
	}
	defer filter.Close() //nolint:errcheck // it was only looked at
	if err := w.stands(bridge, filter); err != nil {
		return err
	}
	all, err := netlink.AddrList(bridge, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	if len(all) != 1 || all[0].IPNet.String() != w.Address.String() {
		return fmt.Errorf("on %s the machine has not the address %s alone", w.Bridge, w.Address)
	}
	return nil
}

// bridge is the interface. That it is not this machine's is no surprise: the Engine may be another one's.
func (w Wall) bridge() (netlink.Link, error) {
	l, err := netlink.LinkByName(w.Bridge)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil, problem.New(problem.Unavailable, "this machine has no interface %s: the Docker Engine that made the network is on another one, or in a virtual one", w.Bridge)
	}
	if err == nil && l.Type() != "bridge" {
		return nil, problem.New(problem.Unavailable, "%s is no bridge, but a %s", w.Bridge, l.Type())
	}
	return l, err
}

// load gives the filter to the kernel, which verifies it.
func (w Wall) load() (*ebpf.Program, error) {
	p, err := ebpf.NewProgramWithOptions(w.program(), ebpf.ProgramOptions{LogDisabled: true})
	if err != nil {
		return nil, fmt.Errorf("the kernel does not take the filter: %w", err)
	}
	return p, nil
}

// raise puts the filter in place. One that is there is exchanged in one step.
func (w Wall) raise(bridge netlink.Link, filter *ebpf.Program) error {
	hook := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: bridge.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := netlink.QdiscAdd(hook); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("no filter can be put on %s: %w", w.Bridge, err)
	}
	err := netlink.FilterReplace(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: bridge.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: filterPriority,
		},
		Fd: filter.FD(), Name: filterName, DirectAction: true,
	})
	if err != nil {
		return fmt.Errorf("the filter can't be put on %s: %w", w.Bridge, err)
	}
	return nil
}

// stands says why the filter is not the first one that a frame comes to. The kernel's digest of it tells: how it is computed
// differs between kernels.
func (w Wall) stands(bridge netlink.Link, filter *ebpf.Program) error {
	want, err := filter.Info()
	if err != nil {
		return err
	}
	all, err := netlink.FilterList(bridge, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Attrs().Priority > filterPriority {
			break
		}
		b, ok := f.(*netlink.BpfFilter)
		if ok && b.Name == filterName && b.Tag == want.Tag && b.DirectAction && b.Protocol == unix.ETH_P_ALL {
			return nil
		}
		if ok && b.Name == filterName {
			return fmt.Errorf("the wall on %s is another one", w.Bridge)
		}
	}
	return fmt.Errorf("no wall stands on %s", w.Bridge)
}

// cannot says in words why this process can build no wall.
func cannot(err error) error {
	why := "no wall can be built between the stage's network and this machine"
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		why = "building a wall between the stage's network and this machine is refused to this process"
		if os.Geteuid() != 0 {
			why = "only root can build a wall between the stage's network and this machine"
		}
	}
	return problem.New(problem.Unavailable, "%s: %w", why, err)
}
