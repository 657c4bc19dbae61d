package service_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

// The whole of it, in a container. It takes two minutes and root, so it is asked for.
func TestInAContainer(t *testing.T) {
	if os.Getenv(phaseEnv) != "container" {
		t.Skip("NOT RUN: systemd as the first process of a container. GREENROOM_SERVICE_TEST=container runs it, and so does scripts/service-test")
	}
	cmd := exec.Command("../../scripts/service-test")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 {
		t.Skip("IT CAN'T BE RUN HERE, see above")
	}
	if err != nil {
		t.Error(err)
	}
}
