package environment

import (
	"context"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"greenroom/internal/app"
	"greenroom/internal/data"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// A replica that migrates as it starts opens its sessions by itself, and whatever name it was told, it may take another. On
// this machine the kernel knows better: a session's client is a socket, and whoever has that open is at the other end of it.

// clients tells who is at the other end of a database's sessions: one replica, somebody else, or nobody.
type clients struct {
	port uint16                                // the server's
	pid  func(ctx context.Context) (int, bool) // a process in the network that the clients are in
	main func(ctx context.Context) int         // the replica's process; 0 while it has none
	own  bool                                  // the server runs here and is ours, so whoever reaches it by loopback is here too
	list func(pid int) ([]proc.Socket, error)  // proc.Sockets

	mu  sync.Mutex
	was map[netip.AddrPort]bool // it was the replica's
}

// clientsOf tells who is at the other end of the sessions of a release's database; nil where nobody can.
func (e *Environment) clientsOf(r release.Release, db data.Database, replica string) *clients {
	if slices.ContainsFunc(r.Contents.Services, func(s app.Service) bool { return s.Container != nil }) { // their sockets are in networks of their own
		return nil
	}
	u, err := url.Parse(db.URL())
	if err != nil || u.Hostname() == "" { // over a unix socket nobody sees who is there
		return nil
	}
	if q := u.Query(); q.Has("host") || q.Has("hostaddr") || q.Has("port") || strings.Contains(u.Host, ",") { // these count, and where they lead is not for us to say
		return nil
	}
	port := uint64(5432)
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return nil
		}
	}
	process := func(ctx context.Context, id string) int {
		s, err := e.world.Driver.Status(ctx, id)
		if err != nil {
			return 0
		}
		return s.PID
	}
	c := &clients{port: uint16(port), own: e.hasServer(r), list: proc.Sockets, was: map[netip.AddrPort]bool{}}
	c.main = func(ctx context.Context) int { return process(ctx, replica) }
	c.pid = func(ctx context.Context) (int, bool) {
		if !c.own {
			return os.Getpid(), true
		}
		pid := process(ctx, e.serverID(r))
		return pid, pid != 0
	}
	return c
}

// of is data.Clients. What can't be read is told as unknown: then the sessions' names are all that there is.
func (c *clients) of(ctx context.Context, addresses []netip.AddrPort) []data.End {
	ends := make([]data.End, len(addresses))
	pid, ok := c.pid(ctx)
	if !ok {
		return ends
	}
	open, err := c.open(pid, addresses)
	if err != nil {
		return ends
	}
	var mine map[uint64]bool
	known := false
	for _, a := range addresses { // it reads the whole table of processes, which whoever is elsewhere need not cost
		if len(open[a]) > 0 {
			mine, known = held(c.main(ctx))
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range addresses {
		ends[i] = c.end(a, open[a], mine, known)
	}
	return ends
}

// open are the sockets that lead to the server, by address, since one may lead to several places.
//
// Where one that is not there would mean that a session may be ended, there is a second look. The kernel hands its list out in
// pieces and locks nothing in between: it goes on by counting within a chain of its table, and so passes over an entry where a
// piece ended right there and another one of the same chain went away meanwhile. The next look meets that again only if yet
// another one does, at that place and in that instant. Time between the two would add nothing: whoever is there was there
// before the first, since the server told of the session.
func (c *clients) open(pid int, addresses []netip.AddrPort) (map[netip.AddrPort][]uint64, error) {
	open, err := c.look(pid)
	if err != nil || !c.lacks(open, addresses) {
		return open, err
	}
	again, err := c.look(pid)
	for a, sockets := range again {
		if len(open[a]) == 0 {
			open[a] = sockets
		}
	}
	return open, err
}

func (c *clients) look(pid int) (map[netip.AddrPort][]uint64, error) {
	sockets, err := c.list(pid)
	open := map[netip.AddrPort][]uint64{}
	for _, s := range sockets {
		if s.Remote.Port() == c.port {
			open[s.Local] = append(open[s.Local], s.Inode)
		}
	}
	return open, err
}

// lacks says whether an address is not open of which that means something: see end.
func (c *clients) lacks(open map[netip.AddrPort][]uint64, addresses []netip.AddrPort) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(addresses, func(a netip.AddrPort) bool { return len(open[a]) == 0 && (c.was[a] || c.here(a)) })
}

// here says whether the client at that address can only be a process in the network that is looked at.
func (c *clients) here(a netip.AddrPort) bool { return c.own && a.Addr().IsLoopback() }

// end is who is at one address, where these sockets are; mine are the replica's, where these are known.
func (c *clients) end(a netip.AddrPort, sockets []uint64, mine map[uint64]bool, known bool) data.End {
	for _, s := range sockets {
		if mine[s] {
			c.was[a] = true
			return data.EndMigrator
		}
	}
	switch {
	case len(sockets) > 0 && known:
		delete(c.was, a)
		return data.EndOther
	case len(sockets) > 0: // it may be the replica's, whose process is not known yet
		return data.EndUnknown
	case c.was[a]:
		return data.EndMigrator
	case c.here(a):
		return data.EndGone
	default: // on another machine, or as good as
		return data.EndOther
	}
}

// held are the sockets that a replica has open, with all that it started. known is false where they can't be told.
func held(main int) (mine map[uint64]bool, known bool) {
	if main == 0 {
		return nil, false
	}
	table, err := proc.Table()
	if err != nil {
		return nil, false
	}
	mine = map[uint64]bool{}
	for _, p := range append(proc.Descendants(table, main), proc.Process{Identity: proc.Identity{PID: main}}) {
		has, err := proc.Held(p.PID)
		if err != nil {
			return nil, false
		}
		for s := range has {
			mine[s] = true
		}
	}
	return mine, true
}
