package api

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID is the user of the process that connected, by LOCAL_PEERCRED (unix(4) of macOS).
func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Xucred
	var opErr error
	if err := raw.Control(func(fd uintptr) {
		cred, opErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if opErr != nil {
		return 0, opErr
	}
	return cred.Uid, nil
}
