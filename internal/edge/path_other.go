//go:build !linux

package edge

import (
	"path/filepath"

	"greenroom/internal/problem"
)

// maxSocketPath is what a socket address can hold on macOS and the BSDs, without the final NUL.
const maxSocketPath = 103

// shortPath is a path to a file in dir that fits into a socket address. Only Linux has a way around one that does not.
func shortPath(dir, file string) (path string, done func(), err error) {
	p := filepath.Join(dir, file)
	if len(p) > maxSocketPath {
		return "", nil, problem.New(problem.Invalid, "the path %s is too long for a socket by %d bytes", p, len(p)-maxSocketPath).
			WithHint("set GREENROOM_HOME to a shorter folder")
	}
	return p, func() {}, nil
}
