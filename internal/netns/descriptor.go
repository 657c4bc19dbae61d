package netns

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Send passes a descriptor to the other end of a unix socket, together with some bytes, of which there must be one at
// least. The sender keeps its own.
func Send(c *net.UnixConn, with []byte, thing syscall.Conn) error {
	raw, err := thing.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { // unlike its Fd, this leaves it as it is
		_, _, sent = c.WriteMsgUnix(with, unix.UnixRights(int(fd)), nil)
	})
	return errors.Join(err, sent)
}

// Receive takes what Send passed, with at most len(with) bytes. No file is no error: the bytes say why.
func Receive(c *net.UnixConn, with []byte) (n int, f *os.File, err error) {
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ReadMsgUnix(with, oob)
	if err != nil {
		return n, nil, err
	}
	if n == 0 {
		return n, nil, io.ErrUnexpectedEOF
	}
	if oobn == 0 {
		return n, nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		return n, nil, errors.Join(errors.New("a descriptor did not arrive"), err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return n, nil, errors.Join(errors.New("a descriptor did not arrive"), err)
	}
	unix.CloseOnExec(fds[0])
	return n, os.NewFile(uintptr(fds[0]), "received"), nil
}
