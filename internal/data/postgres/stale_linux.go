package postgres

import (
	"fmt"
	"os"
	"path/filepath"
)

// serves says whether the process of this pid is the server of that data folder: a server's working folder is its data.
func serves(pid int, data string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(data)
	return err == nil && cwd == real
}
