package api

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerCredentials are the user and the group of the process that connected, by SO_PEERCRED (unix(7)): those that it had
// when it did.
func peerCredentials(c *net.UnixConn) (uid uint32, gids []uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var cred *unix.Ucred
	var opErr error
	if err := raw.Control(func(fd uintptr) {
		cred, opErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, nil, err
	}
	if opErr != nil {
		return 0, nil, opErr
	}
	return cred.Uid, []uint32{cred.Gid}, nil
}
