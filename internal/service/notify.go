package service

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Notify tells systemd something of this process, as sd_notify(3) does: one datagram to the socket that NOTIFY_SOCKET
// names, a name that begins with @ being an abstract one. Where systemd did not start this process nothing is told.
func Notify(lines ...string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(strings.Join(lines, "\n")))
	return errors.Join(err, c.Close())
}

// Ready tells systemd that this process serves, and is the unit's main process from now on: the edge that takes over from
// another is not the one that systemd started.
func Ready() error { return Notify("READY=1", "MAINPID="+strconv.Itoa(os.Getpid())) }

// Stopping tells systemd that this process is ending.
func Stopping() error { return Notify("STOPPING=1") }

// firstFD is the first descriptor that systemd hands over (SD_LISTEN_FDS_START).
const firstFD = 3

// Listener is a listening socket that systemd opened.
type Listener struct {
	Name string // FileDescriptorName of the socket's unit
	*net.TCPListener
}

// Listeners takes the sockets that systemd opened for this process, as sd_listen_fds_with_names(3) does: LISTEN_FDS
// descriptors from 3 on, if LISTEN_PID is this process, with LISTEN_FDNAMES between colons. None is no error. What is
// taken is not there for a second call, nor for children.
func Listeners() ([]Listener, error) {
	mine := os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid())
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(v) // it fails only for names that can't be
	}
	if !mine {
		return nil, nil
	}
	var all []Listener
	for i := range n {
		fd := firstFD + i
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "from systemd")
		ln, err := net.FileListener(f)
		if err := errors.Join(err, f.Close()); err != nil { // the listener has a descriptor of its own
			return nil, fmt.Errorf("descriptor %d from systemd is no listening socket: %w", fd, err)
		}
		tcp, ok := ln.(*net.TCPListener)
		if !ok {
			return nil, errors.Join(fmt.Errorf("descriptor %d from systemd listens on %s, which is not TCP", fd, ln.Addr()), ln.Close())
		}
		l := Listener{TCPListener: tcp}
		if i < len(names) {
			l.Name = names[i]
		}
		all = append(all, l)
	}
	return all, nil
}
