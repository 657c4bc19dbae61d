package docker

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Network is an environment's network in the Engine.
type Network struct {
	ID      string // what a driver.Attach takes: a name may be had by two
	Name    string
	Subnet  netip.Prefix
	Gateway netip.Addr // this machine, as its containers see it; on Linux their addresses are reached from here (see EnsureNetwork for an internal one's)
	Bridge  string     // the interface that it is, on the machine that the Engine runs on
}

// noAddress keeps the Engine from giving the machine that it runs on an address in a network.
const noAddress = "com.docker.network.bridge.inhibit_ipv4"

// machine is the name of the address that is kept for it there. Older Engines give containers of an internal network a
// default route all the same; so its gateway is an address that nobody has, which they ask for in vain.
const machine = "greenroom"

// Kind is what a network is for.
type Kind int

// The kinds. In a network for names containers take the addresses that the Engine gives them; the Engine makes such a one without
// the other that is removed again (see freeSubnet), which takes much longer than all else. In an internal one containers reach one
// another alone, and the machine has no address: whoever wants to reach them from here gives it the Gateway's, which is kept for it,
// on the Bridge, behind a wall.
const (
	Addressed Kind = iota // a container in it may be given a fixed address of its subnet
	Names
	Internal // and the addresses are fixed
)

// EnsureNetwork makes sure that an environment has the network of that name. One that is there, and has a way out where it should have
// none or the other way round, is a problem, since its containers would have to leave it first.
func (d *Driver) EnsureNetwork(ctx context.Context, app, environment, name string, kind Kind) (Network, error) {
	full := d.named(app, environment, name)
	labels := d.labels(labelApp, app, labelEnvironment, environment, labelName, name)
	defer d.starts.lock("network " + full)()
	mine := "" // made here, and not known yet to be the only one
	for attempt := range attempts {
		there, err := d.networks(ctx, client.Filters{}.Add("name", full))
		if err != nil {
			return Network{}, err
		}
		there = slices.DeleteFunc(there, func(n network.Summary) bool { return n.Name != full }) // the filter finds parts of names
		if i := slices.IndexFunc(there, func(n network.Summary) bool { return !has(n.Labels, labels) }); i >= 0 {
			return Network{}, problem.New(problem.Blocked, "network %s is there already, and Greenroom did not make it for this (%.12s)", full, there[i].ID).
				WithHint("look at it: docker network inspect %.12s; and remove it if nobody needs it", there[i].ID)
		}
		switch len(there) {
		case 0:
			mine, err = d.createNetwork(ctx, full, kind, labels)
		case 1:
			n, err := asAsked(there[0], kind == Internal)
			if err == nil {
				err = d.reached(n, kind == Internal)
			}
			return n, err
		default:
			err = d.yield(ctx, there, mine, attempt > attempts/2)
			mine = ""
		}
		if err != nil {
			return Network{}, err
		}
	}
	return Network{}, problem.New(problem.Unavailable, "network %s can't be made: somebody removes it all the time", full)
}

// yield has one network be left of several of one name, which several drivers made at once. Who made one can't know whether another one
// was given out before his was seen: so he takes his own away. What one that was killed left is taken away by whoever has waited for that
// in vain.
func (d *Driver) yield(ctx context.Context, there []network.Summary, mine string, inVain bool) error {
	if i := slices.IndexFunc(there, func(n network.Summary) bool { return n.ID == mine }); i >= 0 {
		pause := firstPause * time.Duration(1+mine[0]%16) // two that do the same must not do so for ever
		return errors.Join(d.removeNetwork(ctx, there[i]), driver.Sleep(ctx, pause))
	}
	if !inVain {
		return driver.Sleep(ctx, firstPause)
	}
	slices.SortFunc(there, func(a, b network.Summary) int { // the youngest first
		return cmp.Or(time.Time(b.Created).Compare(time.Time(a.Created)), strings.Compare(a.ID, b.ID))
	})
	var used []error
	for i, n := range there {
		if i-len(used) == len(there)-1 { // the last one
			return nil
		}
		if err := d.removeNetwork(ctx, n); err != nil {
			used = append(used, err)
		}
	}
	if len(used) == 1 {
		return nil
	}
	return errors.Join(used...)
}

// InternalNetworks are those networks of an environment that are internal.
func (d *Driver) InternalNetworks(ctx context.Context, app, environment string) ([]Network, error) {
	there, err := d.networks(ctx, d.filters(labelApp, app, labelEnvironment, environment))
	if err != nil {
		return nil, err
	}
	var all []Network
	for _, n := range there {
		if !n.Internal || n.Name != d.named(app, environment, n.Labels[labelName]) { // a trial, see freeSubnet
			continue
		}
		one, err := asAsked(n, true)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func asAsked(n network.Summary, internal bool) (Network, error) {
	if n.Internal != internal || internal && n.Options[noAddress] != "true" {
		return Network{}, problem.New(problem.Blocked, "network %s is there, and whether it has a way out is not as it should be", n.Name).
			WithHint("stop what runs in it, and start it again: the network is made anew then")
	}
	got := Network{ID: n.ID, Name: n.Name, Bridge: "br-" + n.ID[:min(12, len(n.ID))]}
	for _, c := range n.IPAM.Config {
		if c.Subnet.IsValid() && c.Subnet.Addr().Is4() {
			got.Subnet, got.Gateway = c.Subnet, c.Gateway
			if own, ok := c.AuxAddress[machine]; ok {
				got.Gateway = own
			}
		}
	}
	if !got.Gateway.IsValid() && got.Subnet.IsValid() {
		got.Gateway = got.Subnet.Masked().Addr().Next()
	}
	return got, nil
}

// reached says why containers in a network are not reached from this machine at their addresses. Where they are, the Engine gave
// this machine an address in it; an internal one gives it none, but has its bridge here. One in a machine of its own, or in a
// network of its own as a rootless one, has both there.
func (d *Driver) reached(n Network, internal bool) error {
	if runtime.GOOS != "linux" || !n.Gateway.IsValid() { // there their ports are published
		return nil
	}
	if internal {
		if _, err := net.InterfaceByName(n.Bridge); err == nil {
			return nil
		}
		return d.away(n)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == n.Gateway {
			return nil
		}
	}
	return d.away(n)
}

func (d *Driver) away(n Network) error {
	return problem.New(problem.Unavailable, "the Docker Engine at %s is elsewhere: its containers have networks that this machine is not in (%s), so what runs in them is not reached from here",
		d.engine.host, n.Subnet).
		WithHint("run Greenroom on the machine of the Engine, and there with an Engine that is neither rootless nor in a machine of its own (Docker Desktop)")
}

// createNetwork makes a network, and returns its id. That there is one by now of that name is no error.
func (d *Driver) createNetwork(ctx context.Context, name string, kind Kind, labels map[string]string) (string, error) {
	if kind == Names {
		id, err := d.tryNetwork(ctx, name, kind, labels, nil)
		return id, networkProblem(name, err)
	}
	for range 5 {
		subnet, err := d.freeSubnet(ctx, name, labels)
		if err != nil {
			return "", err
		}
		config := network.IPAMConfig{Subnet: subnet}
		if kind == Internal {
			first := subnet.Masked().Addr().Next()
			config.AuxAddress, config.Gateway = map[string]netip.Addr{machine: first}, first.Next()
		}
		id, err := d.tryNetwork(ctx, name, kind, labels, &network.IPAM{Driver: "default", Config: []network.IPAMConfig{config}})
		if err == nil || !strings.Contains(err.Error(), "overlaps") { // else somebody else got it meanwhile
			return id, networkProblem(name, err)
		}
	}
	return "", problem.New(problem.Unavailable, "network %s can't be made: others take every range of addresses at the same time", name).WithHint("try again")
}

func (d *Driver) tryNetwork(ctx context.Context, name string, kind Kind, labels map[string]string, addresses *network.IPAM) (id string, err error) {
	options := map[string]string{}
	if kind == Internal {
		options[noAddress] = "true"
	}
	err = d.engine.ask(ctx, func(ctx context.Context) error {
		made, err := d.engine.NetworkCreate(ctx, name, client.NetworkCreateOptions{
			Driver: "bridge", Internal: kind == Internal, Labels: labels, Options: options, IPAM: addresses,
		})
		id = made.ID
		return err
	})
	if errdefs.IsConflict(err) {
		return "", nil
	}
	return id, err
}

// freeSubnet is what a network's definition says where an address in it can be chosen: no other allows that. Which subnet is free the
// Engine alone knows, so it is asked with a network that is removed again.
func (d *Driver) freeSubnet(ctx context.Context, name string, labels map[string]string) (netip.Prefix, error) {
	trial := name + ".trial"
	var id string
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		made, err := d.engine.NetworkCreate(ctx, trial, client.NetworkCreateOptions{Driver: "bridge", Internal: true, Labels: labels})
		id = made.ID
		return err
	})
	if err != nil && !errdefs.IsConflict(err) { // a killed driver's is as good
		return netip.Prefix{}, networkProblem(name, err)
	}
	there, err := d.networks(ctx, d.filters().Add("name", trial))
	var subnet netip.Prefix
	for _, n := range there {
		abandoned := time.Since(time.Time(n.Created)) > time.Minute // by a driver that was killed
		if n.Name != trial || id != "" && n.ID != id && !abandoned {
			continue
		}
		for _, c := range n.IPAM.Config {
			if id == "" || n.ID == id {
				subnet = c.Subnet
			}
		}
		err = errors.Join(err, d.removeNetwork(ctx, n))
	}
	if err == nil && !subnet.IsValid() {
		err = problem.New(problem.Unavailable, "network %s can't be made: the Docker Engine gives it no addresses", name)
	}
	return subnet, err
}

func networkProblem(name string, err error) error {
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "non-overlapping") || strings.Contains(err.Error(), "address pools have been fully subnetted") {
		return problem.New(problem.Unavailable, "network %s can't be made: the Docker Engine has no range of addresses left", name).
			WithHint("remove networks that nobody uses: docker network prune; or give the Engine more: default-address-pools in daemon.json")
	}
	return failed(err, "network %s can't be made", name)
}

func (d *Driver) networks(ctx context.Context, f client.Filters) (all []network.Summary, err error) {
	err = d.engine.ask(ctx, func(ctx context.Context) error {
		got, err := d.engine.NetworkList(ctx, client.NetworkListOptions{Filters: f})
		all = got.Items
		return err
	})
	if err != nil {
		return nil, failed(err, "the networks can't be listed")
	}
	return all, nil
}

func (d *Driver) removeNetwork(ctx context.Context, n network.Summary) error {
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		_, err := d.engine.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		return err
	})
	switch {
	case err == nil || errdefs.IsNotFound(err):
		return nil
	case strings.Contains(err.Error(), "has active endpoints"):
		return problem.New(problem.Blocked, "network %s can't be removed: a container that is not Greenroom's is in it (%s)", n.Name, said(err)).
			WithHint("take that container out: docker network disconnect %s CONTAINER", n.Name)
	}
	return failed(err, "network %s can't be removed", n.Name)
}
