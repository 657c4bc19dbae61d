package data

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"greenroom/internal/problem"
)

// CloneFolder copies what is in the folder from into the folder to, which may be there as long as it is empty: folders and
// files with their permissions, as this process's user. Where the file system can share blocks between files it does
// (how is "clone"), so that it takes no time and no room whatever the size; otherwise bytes are copied, several files at
// the same time (how is "file copy"). A link, a socket or anything else is refused: what it leads to would be shared.
//
// Whoever was cut off left a part behind: give to its name only afterwards. Nothing may write to from meanwhile. It does not
// wait for the disk: what is copied has to be worth no more than copying it again.
func CloneFolder(ctx context.Context, from, to string) (how string, err error) {
	source, err := os.OpenRoot(from)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	files, err := cloneFolders(ctx, source, to)
	if err != nil {
		return "", err
	}
	c := cloning{ctx: ctx, source: source, to: to, names: make(chan string)}
	c.share.Store(true)
	var all sync.WaitGroup
	for range min(4, runtime.NumCPU()) {
		all.Go(c.work)
	}
	for _, name := range files {
		c.names <- name
	}
	close(c.names)
	all.Wait()
	if err := errors.Join(ctx.Err(), c.err); err != nil {
		return "", noRoom(to, err)
	}
	if len(files) > 0 && !c.share.Load() {
		return "file copy", nil
	}
	return "clone", nil
}

// noRoom makes a problem of a full disk.
func noRoom(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return problem.New(problem.Unavailable, "the disk is full where %s is copied to: %w", dir, err).
			WithHint("make room there: df -h %s", filepath.Dir(dir))
	}
	return err
}

// cloneFolders makes the folders and returns the files that are to be put there.
func cloneFolders(ctx context.Context, source *os.Root, to string) (files []string, err error) {
	if err := emptyFolder(to); err != nil {
		return nil, err
	}
	err = fs.WalkDir(source.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case e.Type().IsRegular():
			files = append(files, name)
			return nil
		case !e.IsDir():
			return problem.New(problem.Blocked, "%s is neither a file nor a folder: it can't be copied", filepath.Join(source.Name(), name))
		case name == ".":
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		// Whatever the umask, and whatever the folder allows its owner: files have to get in.
		return errors.Join(os.Mkdir(target, 0o700), os.Chmod(target, info.Mode().Perm()|0o700))
	})
	return files, err
}

func emptyFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = problem.New(problem.Blocked, "the folder %s is not empty", dir)
	}
	return err
}

// cloning is a folder's files on their way.
type cloning struct {
	ctx    context.Context
	source *os.Root
	to     string
	names  chan string
	share  atomic.Bool // whether blocks can be shared, as far as is known
	mu     sync.Mutex
	err    error
}

func (c *cloning) work() {
	for name := range c.names {
		c.mu.Lock()
		stop := c.err != nil || c.ctx.Err() != nil
		c.mu.Unlock()
		if stop {
			continue // the rest of the names is taken, so that nobody waits for ever
		}
		if err := c.one(name); err != nil {
			c.mu.Lock()
			c.err = errors.Join(c.err, err)
			c.mu.Unlock()
		}
	}
}

func (c *cloning) one(name string) (err error) {
	in, err := c.source.Open(name)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // read only
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(c.to, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if info.Size() == 0 {
		return nil
	}
	if c.share.Load() && reflink(out, in) == nil {
		return nil
	}
	c.share.Store(false)
	return c.bytes(out, in)
}

// piece is how many bytes are copied before it is asked whether to go on.
const piece = 64 << 20

// bytes copies a file; on Linux that is copy_file_range, which stays in the kernel.
func (c *cloning) bytes(out, in *os.File) error {
	for c.ctx.Err() == nil {
		_, err := io.CopyN(out, in, piece)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return c.ctx.Err()
}
