package proc

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// lookPath finds the program called name as the child will: in the PATH of its own environment, or in this process's
// where that has none. A name with a slash is taken as it is; the kernel resolves it in the child's folder.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path, ok := pathOf(env)
	if !ok {
		return exec.LookPath(name)
	}
	found := exec.ErrNotFound
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) { // as in os/exec: what lies in the working folder is run only when it is asked for
			continue
		}
		file := filepath.Join(dir, name)
		info, err := os.Stat(file)
		switch {
		case err != nil || info.IsDir():
		case info.Mode()&0o111 != 0:
			return file, nil
		default:
			found = &fs.PathError{Op: "exec", Path: file, Err: fs.ErrPermission}
		}
	}
	return "", fmt.Errorf("%s: %w (PATH is %s)", name, found, path)
}

// pathOf is the last PATH of an environment; later entries win, as in os/exec.
func pathOf(env []string) (path string, ok bool) {
	for _, e := range env {
		if v, is := strings.CutPrefix(e, "PATH="); is {
			path, ok = v, true
		}
	}
	return path, ok
}
