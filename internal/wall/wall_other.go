//go:build !linux

package wall

import "greenroom/internal/problem"

// Build fails here.
func (w Wall) Build() error { return w.Check() }

// Check fails here.
func (w Wall) Check() error {
	return problem.New(problem.Unavailable, "only on Linux the Docker Engine's networks are this machine's")
}
