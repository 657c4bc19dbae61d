package edge

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
)

// The files of an edge's folder.
const (
	adminFile = "admin.sock"
	lockFile  = "edge.lock"
	tableFile = "table.json"
)

// errLocked says that an edge runs in the folder.
var errLocked = errors.New("an edge runs here already")

// lock makes this process the folder's only edge, for as long as the file is open: the kernel gives the lock back when
// the process dies, however it dies.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, problem.New(problem.Unavailable, "the edge cannot use its folder: %w", err)
	}
	err = control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errLocked
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// loadTable reads the last good table; an empty one when there never was any. A damaged file is put aside and told.
func loadTable(dir string, now time.Time) (Table, error) {
	name := filepath.Join(dir, tableFile)
	// What an edge was writing when it was killed.
	torn, _ := filepath.Glob(filepath.Join(dir, "."+tableFile+".tmp-*")) // the pattern is right
	for _, f := range torn {
		_ = os.Remove(f) // it is only in the way
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Table{Format: Format}, nil
	}
	if err != nil {
		return Table{}, problem.New(problem.Unavailable, "the edge cannot read its table: %w", err)
	}
	t, err := Decode(b)
	if err == nil {
		return t, nil
	}
	aside := name + ".damaged-" + now.UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(name, aside); err != nil {
		return Table{}, problem.New(problem.Unavailable, "the edge cannot put its damaged table aside: %w", err)
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return Table{}, err
	}
	return Table{}, problem.New(problem.Invalid, "the edge's table was damaged and is kept as %s: %w", aside, err).
		WithHint("start the edge again: it begins empty, and the control plane gives it a new table")
}

// saveTable keeps a table. When it returns nil, a machine that loses its power now has it afterwards.
func saveTable(dir string, t Table) error {
	b, err := t.Encode()
	if err != nil {
		return err
	}
	switch err := atomicfile.Write(filepath.Join(dir, tableFile), append(b, '\n'), 0o600); {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC):
		return problem.New(problem.Unavailable, "the disk is full, the edge cannot keep its table: %w", err).
			WithHint("make room there (df -h %s); the table that was in force still is", dir)
	default:
		return problem.New(problem.Unavailable, "the edge cannot keep its table: %w", err).
			WithHint("see what holds it up in %s; the table that was in force still is", dir)
	}
}

// listenAdmin binds the admin socket. The caller has the folder's lock, so a socket that is there is a dead edge's.
func listenAdmin(dir string) (*net.UnixListener, error) {
	name, done, err := shortPath(dir, adminFile)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.Unavailable, "the edge cannot clear its admin socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, problem.New(problem.Unavailable, "the edge cannot open its admin socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // the name may be a successor's by then
	if err := os.Chmod(name, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func dialAdmin(ctx context.Context, dir string) (net.Conn, error) {
	name, done, err := shortPath(dir, adminFile)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", name)
}

// control runs fn with the file's descriptor, without making it a blocking one as Fd does.
func control(f syscall.Conn, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := c.Control(func(fd uintptr) { ferr = fn(int(fd)) }); err != nil {
		return err
	}
	return ferr
}
