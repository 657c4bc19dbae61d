package dockertest

import (
	"fmt"
	"net"
	"os/exec"
)

// removeInterface removes a bridge.
func removeInterface(i net.Interface) error {
	if out, err := exec.Command("ip", "link", "delete", i.Name).CombinedOutput(); err != nil {
		return fmt.Errorf("interface %s is left: %w: %s", i.Name, err, out)
	}
	return nil
}
