//go:build !linux && !darwin

package api

import (
	"errors"
	"net"
)

// peerUID is unknown here: this system is not supported as a place for the daemon.
func peerUID(*net.UnixConn) (uint32, error) {
	return 0, errors.New("the user of a socket's peer cannot be read on this system")
}
