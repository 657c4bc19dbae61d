package data

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"greenroom/internal/problem"
)

// CloneFile copies a file to a name that must not exist. Where the file system can share blocks between files it does (how is
// "clone"), so that it takes no time and no room whatever the size; otherwise bytes are copied (how is "file copy"). The copy is durable and has these
// permissions whatever the umask; without it nothing is left.
func CloneFile(from, to string, perm fs.FileMode) (how string, err error) {
	source, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, target.Close()); err != nil {
			err = noRoom(to, errors.Join(err, os.Remove(to)))
		}
	}()
	how = "clone"
	if reflink(target, source) != nil {
		how = "file copy"
		if _, err := io.Copy(target, source); err != nil {
			return "", err
		}
	}
	return how, errors.Join(target.Chmod(perm), target.Sync())
}

// noRoom makes a problem of a full disk.
func noRoom(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return problem.New(problem.Unavailable, "the disk is full where %s is copied to: %w", dir, err).
			WithHint("make room there: df -h %s", filepath.Dir(dir))
	}
	return err
}
