package data

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// How the bytes of a copy came to where they are.
const (
	Cloned = "clone"     // the file system shares them until one of the two changes
	Copied = "file copy" // byte by byte
)

// CloneFile copies a file to a name that must not exist, and says how: as a clone, which takes no time whatever its size,
// where the file system can, else byte by byte. The copy is durable and has these permissions whatever the umask.
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
			err = errors.Join(err, os.Remove(to))
		}
	}()
	how = Cloned
	if cloned(target, source) != nil {
		how = Copied
		if _, err := io.Copy(target, source); err != nil {
			return "", err
		}
	}
	return how, errors.Join(target.Chmod(perm), target.Sync())
}
