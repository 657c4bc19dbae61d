package api

import (
	"context"
	"net"
	"os/user"
	"strconv"
)

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
		return WithActor(ctx, "unknown")
	}
	uid, err := peerUID(uc)
	if err != nil {
		return WithActor(ctx, "unknown")
	}
	return WithActor(ctx, userName(uid))
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(id)
	if err != nil {
		return "uid " + id
	}
	return u.Username
}
