package home

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Give makes a folder with everything in it a user's and his group's. The folder itself comes last, so that who owns it
// says whether that was done: a call that is cut off is done again, and one that is not needed costs one look. Links are
// given themselves, never what they lead to. Nothing of the folder's owner may run meanwhile.
func Give(dir string, uid, gid int) error {
	if own, err := Belongs(dir, uid, gid); own || err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		return root.Lchown(filepath.FromSlash(name), uid, gid)
	})
	if err = errors.Join(err, root.Close()); err != nil {
		return err
	}
	return os.Lchown(dir, uid, gid)
}

// Belongs says whether Give has nothing to do.
func Belongs(dir string, uid, gid int) (bool, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == uid && int(st.Gid) == gid, nil
}
