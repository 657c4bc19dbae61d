package process_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"greenroom/internal/driver"
	"greenroom/internal/driver/drivertest"
	"greenroom/internal/netns"
)

// secluded starts everything in a network of its own.
type secluded struct {
	driver.Driver
	network string
}

func (s secluded) Start(ctx context.Context, spec driver.Spec) (driver.Status, error) {
	spec.Network = s.network
	return s.Driver.Start(ctx, spec)
}

// What is promised of replicas holds in a network of their own as well: they are asked after their health from inside.
func TestConformanceInNetwork(t *testing.T) {
	n := netns.At(filepath.Join(t.TempDir(), "network"))
	t.Cleanup(func() {
		if err := n.Remove(); err != nil {
			t.Error(err)
		}
	})
	if err := n.Make(); err != nil {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	open := func(t *testing.T, dir string) driver.Driver { return secluded{openProcess(t, dir), n.File()} }
	drivertest.Run(t, drivertest.World{Open: open}, "TakenPort") // the port is taken outside, which means nothing inside
}
