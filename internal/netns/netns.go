// Package netns makes network namespaces in which there is nothing but a loopback interface: a stage that holds
// production's data lives in one, and reaches its own services and nothing else. It opens no way out.
//
// A namespace has a folder. It lives as long as the file ns in it is mounted, whoever lives or dies meanwhile. How it is
// reached from outside is the broker's affair (see Serve): a process inside that hands out sockets of the namespace.
package netns

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a namespace's folder.
const (
	mountFile = "ns"
	// SocketFile is where the broker listens.
	SocketFile = "broker.sock"
)

// Network is the network namespace of a folder, whether it is there or not.
type Network struct{ dir string }

// At is the network namespace of this folder, which is its own.
func At(dir string) Network { return Network{dir} }

// Dir is the folder.
func (n Network) Dir() string { return n.dir }

// File is what a process enters the namespace by: see proc.Command.
func (n Network) File() string { return filepath.Join(n.dir, mountFile) }

// Broker is the path of the socket of the namespace's broker. It may be longer than the kernel takes.
func (n Network) Broker() string { return filepath.Join(n.dir, SocketFile) }

// Make makes the namespace; one that is there is left as it is. Killed at any point, it leaves a whole namespace or none.
// A problem of code Unavailable says why namespaces can't be had here. Two must not make or remove the same one at once.
func (n Network) Make() error {
	there, err := n.Exists()
	if err != nil || there {
		return err
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(n.File(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = mountNew(n.File())
	}
	if err != nil { // an empty folder would look like a namespace that somebody has forgotten
		return errors.Join(err, n.Remove())
	}
	return nil
}

// Remove takes the namespace's name away, and its folder. It is gone when the last process in it is, and the last socket.
// One that is not there is no error.
func (n Network) Remove() error {
	if err := unmount(n.File()); err != nil {
		return err
	}
	return os.RemoveAll(n.dir)
}

// Exists says whether the namespace is there. What is left of one after the machine was started anew is not one.
func (n Network) Exists() (bool, error) {
	there, err := isMounted(n.File())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return there, err
}

// List names the namespaces, and what is left of some, whose folders are this deep below dir: by the folders' names.
func List(dir string, depth int) ([][]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all [][]string
	for _, e := range entries {
		switch {
		case !e.IsDir():
		case depth == 1:
			all = append(all, []string{e.Name()})
		default:
			below, err := List(filepath.Join(dir, e.Name()), depth-1)
			if err != nil {
				return nil, err
			}
			for _, names := range below {
				all = append(all, append([]string{e.Name()}, names...))
			}
		}
	}
	return all, err
}
