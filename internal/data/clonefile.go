package data

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// CloneFile copies a file to a name that must not exist, and says how, as CloneFolder does. The copy is durable and has these
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
