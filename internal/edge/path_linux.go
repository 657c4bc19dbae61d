package edge

import (
	"fmt"
	"os"
	"path/filepath"

	"greenroom/internal/problem"
)

// maxSocketPath is what a socket address can hold on Linux, without the final NUL.
const maxSocketPath = 107

// shortPath is a path to a file in dir that fits into a socket address, valid until done: the kernel resolves a long
// one through the descriptor of its folder.
func shortPath(dir, file string) (path string, done func(), err error) {
	if p := filepath.Join(dir, file); len(p) <= maxSocketPath {
		return p, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, problem.New(problem.Unavailable, "the edge's folder cannot be opened: %w", err)
	}
	var fd int
	if err := control(d, func(n int) error { fd = n; return nil }); err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, file), func() { _ = d.Close() }, nil
}
