//go:build !linux

package wall

import (
	"net/netip"

	"greenroom/internal/problem"
)

// Build fails here.
func (w Wall) Build() error { return w.Check() }

// Check fails here.
func (w Wall) Check() error {
	return problem.New(problem.Unavailable, "only on Linux the Docker Engine's networks are this machine's")
}

// Plug is nothing here.
type Plug struct{}

// Plug fails here.
func (w Wall) Plug(netip.Addr) (*Plug, error) { return nil, w.Check() }

// File is nothing here.
func (p *Plug) File() string { return "" }

// Close does nothing here.
func (p *Plug) Close() error { return nil }

// LinkLocal fails here.
func (w Wall) LinkLocal() (string, error) { return "", w.Check() }
