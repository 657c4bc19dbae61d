package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// An Engine at ssh://[USER@]HOST[:PORT][/SOCKET] is reached as the docker command reaches it: each connection is an ssh that runs
// `docker system dial-stdio` there. Nobody is there who could be asked for a password, so ssh has to get in by a key.

// sshDialer makes connections to an Engine by ssh.
type sshDialer struct {
	host string
	argv []string

	ctx    context.Context // ends every ssh
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// remotePath is a socket's path that means the same to every shell.
var remotePath = regexp.MustCompile(`^[A-Za-z0-9._/-]*$`)

// sshTime is how long ssh may take to find the other machine, in seconds.
const sshTime = "15"

// newSSHDialer reads an address of an Engine that is reached by ssh.
func newSSHDialer(host string) (*sshDialer, error) {
	u, err := url.Parse(host)
	wrong := func(why string) error {
		return problem.New(problem.Invalid, "%q is no address of an Engine that is reached by ssh: %s", host, why).
			WithHint("write it as in DOCKER_HOST: ssh://USER@HOST or ssh://USER@HOST:PORT")
	}
	switch {
	case err != nil:
		return nil, wrong("it can't be read")
	case u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-"):
		return nil, wrong("it names no host")
	case strings.HasPrefix(u.User.Username(), "-"):
		return nil, wrong("it names no user")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, wrong("there is something behind the host")
	case !remotePath.MatchString(u.Path):
		return nil, wrong("its socket has a name that a shell would read otherwise")
	}
	if _, given := u.User.Password(); given {
		return nil, problem.New(problem.Invalid, "an address of an Engine takes no password").WithHint("let ssh get in by a key: ssh-copy-id %s", u.Hostname())
	}
	argv := []string{"ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=" + sshTime}
	if name := u.User.Username(); name != "" {
		argv = append(argv, "-l", name)
	}
	if port := u.Port(); port != "" {
		argv = append(argv, "-p", port)
	}
	argv = append(argv, "--", u.Hostname(), "docker")
	if socket := path.Clean(u.Path); u.Path != "" && socket != "/" {
		argv = append(argv, "--host", "unix://"+socket)
	}
	d := &sshDialer{host: host, argv: append(argv, "system", "dial-stdio")}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// dial begins a connection. Whether the other side is there shows when it is read from.
func (d *sshDialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := errors.Join(ctx.Err(), d.ctx.Err()); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	// One that is given up ends at once, and not when ssh has found out for itself.
	running, end := context.WithCancel(d.ctx)
	c := &sshConn{UnixConn: ours, end: end, ended: make(chan struct{})}
	d.all.Go(func() {
		defer close(c.ended)
		defer end()
		says := proc.NewTail(1 << 10)
		exit, err := proc.Run(running, proc.Command{Argv: d.argv, Env: os.Environ(), Stdin: theirs, Stdout: theirs, Stderr: says, Grace: time.Second})
		_ = theirs.Close() // what it has sent is read all the same
		if err == nil && !exit.OK() {
			err = fmt.Errorf("%s", exit)
		}
		if err != nil {
			c.why = &sshError{host: d.host, err: err, says: driver.Printable(strings.TrimSpace(says.String()), 300)}
		}
	})
	return c, nil
}

// close ends all connections.
func (d *sshDialer) close() {
	d.cancel()
	d.all.Wait()
}

// socketPair is a connection within this process, whose other end a child can have.
func socketPair() (*net.UnixConn, *os.File, error) {
	syscall.ForkLock.RLock() // no other child gets an end that it would keep open
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		syscall.ForkLock.RUnlock()
		return nil, nil, err
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	ours, theirs := os.NewFile(uintptr(fds[0]), "ssh"), os.NewFile(uintptr(fds[1]), "ssh") //nolint:gosec // descriptors
	conn, err := net.FileConn(ours)
	if err := errors.Join(err, ours.Close()); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}

// sshConn is a connection that an ssh carries.
type sshConn struct {
	*net.UnixConn
	end   context.CancelFunc
	ended chan struct{}
	why   error // of the end, when ended is closed
	began atomic.Bool
}

// Read tells why there is nothing to be read, where ssh has said it.
func (c *sshConn) Read(p []byte) (int, error) {
	n, err := c.UnixConn.Read(p)
	if n > 0 {
		c.began.Store(true)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) || c.began.Load() {
		return n, err
	}
	<-c.ended // nothing can be read because it has ended
	if c.why != nil {
		err = c.why
	}
	return n, err
}

func (c *sshConn) Close() error {
	defer c.end()
	return c.UnixConn.Close()
}

// sshError says that there is no connection, in the words of ssh or of what it ran.
type sshError struct {
	host string
	err  error
	says string
}

func (e *sshError) Error() string {
	if e.says == "" {
		return "ssh: " + e.err.Error()
	}
	return "ssh: " + e.says
}

func (e *sshError) Unwrap() error { return e.err }

// problem says what can be done about it.
func (e *sshError) problem() error {
	says := func(words string) bool { return strings.Contains(e.says, words) }
	p := problem.New(problem.Unavailable, "the Docker Engine at %s is not reached: %w", e.host, e)
	switch {
	case says("Host key verification failed"):
		return p.WithHint("as the user that Greenroom runs as, say once that the host is known: ssh %s", sshTarget(e.host))
	case says("Permission denied"):
		return p.WithHint("let the user that Greenroom runs as in by a key without a passphrase: ssh-copy-id %s", sshTarget(e.host))
	case says("not found"), says("dial-stdio"):
		return p.WithHint("install the docker command there, which ssh is to run: docker system dial-stdio")
	case says("permission denied"):
		return p.WithHint("there the user needs to be one that may speak to the Engine: usermod -aG docker USER")
	}
	return p.WithHint("see what it says by hand: ssh %s docker version", sshTarget(e.host))
}

// sshTarget is an Engine's address as ssh takes it.
func sshTarget(host string) string { return strings.TrimPrefix(host, "ssh://") }
