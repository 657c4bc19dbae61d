//go:build !linux

package proc

import (
	"errors"
	"os/exec"
)

// errNoNetworks says that this system has no network namespaces.
var errNoNetworks = errors.New("only Linux has network namespaces")

// Confine does nothing here.
func Confine() error { return nil }

// Enter fails here.
func Enter(string) error { return errNoNetworks }

// Seclude fails here.
func Seclude(string) error { return errNoNetworks }

// StartIn fails here.
func StartIn(string, *exec.Cmd) error { return errNoNetworks }

func (c Command) startConfined(cmd *exec.Cmd) error {
	if c.Network != "" {
		return errNoNetworks
	}
	return cmd.Start()
}
