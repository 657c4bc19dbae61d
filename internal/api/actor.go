package api

import (
	"context"
	"net"
	"os/user"
	"slices"
	"strconv"
)

// Peer is the system user on the other side of the socket. Who that is says the kernel, what he is called and which
// groups he is in says the system's user database, both when the connection is made.
type Peer struct {
	UID    int      // -1 when it is not known who asks, or nobody does
	Name   string   // "uid 1234" for one without a name; "" when it is not known
	Groups []string // names, sorted; a group without a name is "gid 1234"
}

// nobody is the peer of whom nothing is known. Its number is nobody's: the zero value would be root.
func nobody() Peer { return Peer{UID: -1} }

type peerKey struct{}

// PeerOf is who asks. Of the daemon's own doings, and where the kernel could not tell, it is nobody: UID -1, no name.
func PeerOf(ctx context.Context) Peer {
	if p, ok := ctx.Value(peerKey{}).(Peer); ok {
		return p
	}
	return nobody()
}

// WithPeer returns a context in which p asks, and is the actor.
func WithPeer(ctx context.Context, p Peer) context.Context {
	name := p.Name
	if name == "" {
		name = "unknown"
	}
	return WithActor(context.WithValue(ctx, peerKey{}, p), name)
}

type actorKey struct{}

// Actor is the name of the system user on the other side of the socket, "uid 1234" for one without a name, and
// "greenroom" for what the daemon does by itself.
func Actor(ctx context.Context) string {
	if name, ok := ctx.Value(actorKey{}).(string); ok {
		return name
	}
	return "greenroom"
}

// WithActor returns a context in which name acts.
func WithActor(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, name)
}

// identify is the server's ConnContext: who connected is asked of the kernel, once per connection, and never of the
// request, where anything could be written.
func identify(ctx context.Context, c net.Conn) context.Context {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return WithPeer(ctx, nobody())
	}
	uid, gids, err := peerCredentials(uc)
	if err != nil {
		return WithPeer(ctx, nobody())
	}
	return WithPeer(ctx, peer(uid, gids))
}

// peer is a user with the groups that the kernel gave and those that the user database has him in: a person who was put
// into a group just now need not sign in again.
func peer(uid uint32, gids []uint32) Peer {
	ids := make([]string, 0, len(gids))
	for _, gid := range gids {
		ids = append(ids, strconv.FormatUint(uint64(gid), 10))
	}
	id := strconv.FormatUint(uint64(uid), 10)
	p := Peer{UID: int(uid), Name: "uid " + id}
	if u, err := user.LookupId(id); err == nil {
		p.Name = u.Username
		if more, err := u.GroupIds(); err == nil {
			ids = append(ids, more...)
		}
	}
	for _, id := range ids {
		p.Groups = append(p.Groups, groupName(id))
	}
	slices.Sort(p.Groups)
	p.Groups = slices.Compact(p.Groups)
	return p
}

func groupName(id string) string {
	g, err := user.LookupGroupId(id)
	if err != nil {
		return "gid " + id
	}
	return g.Name
}
