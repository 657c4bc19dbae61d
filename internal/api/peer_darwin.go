package api

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerCredentials are the user and the groups of the process that connected, by LOCAL_PEERCRED (unix(4) of macOS).
func peerCredentials(c *net.UnixConn) (uid uint32, gids []uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var cred *unix.Xucred
	var opErr error
	if err := raw.Control(func(fd uintptr) {
		cred, opErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	}); err != nil {
		return 0, nil, err
	}
	if opErr != nil {
		return 0, nil, opErr
	}
	n := min(max(int(cred.Ngroups), 0), len(cred.Groups))
	return cred.Uid, cred.Groups[:n], nil
}
