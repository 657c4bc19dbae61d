package process_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"greenroom/internal/driver"
	"greenroom/internal/driver/drivertest"
	"greenroom/internal/driver/process"
)

// TestMain makes this program the application under test, a supervisor, or a daemon, when it was started as that.
func TestMain(m *testing.M) {
	drivertest.Main()
	if len(os.Args) == 3 && os.Args[1] == "supervise" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := process.Supervise(ctx, os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "daemon" {
		runDaemon(os.Args[2])
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string) driver.Driver { return openProcess(t, dir) }

func openProcess(t testing.TB, dir string) *process.Driver {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d, err := process.New(process.Options{Dir: dir, Supervise: []string{"/usr/bin/env", drivertest.QuickEnd, self, "supervise"}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) { drivertest.Run(t, drivertest.World{Open: open}) }
