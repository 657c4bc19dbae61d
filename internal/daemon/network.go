package daemon

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"

	"greenroom/internal/home"
	"greenroom/internal/netns"
	"greenroom/internal/problem"
)

// runNetwork is what runs inside a stage's network beside the stage: the broker, in the network's folder ("serve"), or the
// self-test ("probe").
func runNetwork(ctx context.Context, _ home.Home, args []string) error {
	switch {
	case slices.Equal(args, []string{"serve"}):
		return serveNetwork(ctx)
	case slices.Equal(args, []string{"probe"}):
		return netns.Probe(ctx, os.Stdin, os.Stdout)
	}
	return problem.New(problem.Invalid, "network takes serve or probe")
}

// serveNetwork is the broker of the network whose folder is the working one, so that the socket's name is short. The one
// before is dead: its supervisor has only one child.
func serveNetwork(ctx context.Context) error {
	if err := os.Remove(netns.SocketFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: netns.SocketFile, Net: "unix"})
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(netns.SocketFile, 0o600), netns.Serve(ctx, l))
}
