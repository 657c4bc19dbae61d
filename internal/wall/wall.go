// Package wall closes this machine to the containers of a network of the Docker Engine, and keeps them open to it: they
// answer on connections that the machine made to them, and begin none. So nothing that listens on the machine can be
// reached from the network, by whatever address, protocol or frame; and nothing goes through the machine to anywhere else,
// whether it forwards packets or not.
//
// The wall is a filter on the network's bridge itself, where a frame leaves the bridge for the machine, before any of the
// machine's own rules. It is no rule of the packet filter: the Engine, firewalld, or whoever else writes those anew, knows
// nothing of it. It lasts as long as the bridge. The Engine gives the bridge no address (see
// docker.Driver.EnsureNetwork); the machine gets one only when the wall stands. So a bridge that was made anew, after the
// machine was, leads nowhere until then.
package wall

import "net/netip"

// Wall stands between a bridge and this machine.
type Wall struct {
	Bridge  string       // the interface
	Address netip.Prefix // of this machine in the bridge's network, IPv4, with the network's size
}
