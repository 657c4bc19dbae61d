//go:build !linux && !darwin

package api

import (
	"errors"
	"net"
)

// peerCredentials are unknown here: this system is not supported as a place for the daemon.
func peerCredentials(*net.UnixConn) (uid uint32, gids []uint32, err error) {
	return 0, nil, errors.New("the user of a socket's peer cannot be read on this system")
}
