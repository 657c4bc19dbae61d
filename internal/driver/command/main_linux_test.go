package command_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/command"
	"greenroom/internal/driver/drivertest"
	"greenroom/internal/driver/process"
)

// TestMain makes this program the application that is deployed, or a supervisor, when it was started as that.
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
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, dir string) *command.Driver {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d, err := process.New(process.Options{Dir: dir, Supervise: []string{"/usr/bin/env", drivertest.QuickEnd, self, "supervise"}})
	if err != nil {
		t.Fatal(err)
	}
	return command.New(d)
}

const application = "drivertest-app"

// deployed makes a spec of the suite's that of a deploy: a script that starts the suite's application in a session of its
// own and ends, a status command that looks at it, and a stop command that ends it. What the application prints goes where
// the script printed.
func deployed(_ *testing.T, s driver.Spec, folder string) driver.Spec {
	d := &driver.Deploy{}
	s.Deploy = d
	if len(s.Command) < 2 || s.Command[1] != application {
		if len(s.Health.Command) == 0 {
			s.Health = app.Health{Command: []string{"/bin/true"}}
		}
		return s
	}
	self, words := s.Command[0], s.Command[2:]
	pid := filepath.Join(folder, s.ID+".pid")
	s.Command = append([]string{"/bin/sh", "-c", `/usr/bin/setsid "$@" &`, "sh", self, application, "pid:" + pid}, words...)
	status := []string{self, application, "runs:" + pid}
	switch at := s.Listen.Network + ":" + s.Listen.Address; {
	case s.Listen.Network == "" && (s.Health.HTTP != "" || s.Health.TCP): // a mistake of the spec's, and it stays one
		status = nil
	case s.Health.HTTP != "":
		status, s.Health.HTTP = append(status, "up:"+at), ""
	case s.Health.TCP:
		status, s.Health.TCP = append(status, "dials:"+at), false
	case len(s.Health.Command) > 2:
		status = append(status, s.Health.Command[2:]...)
	}
	s.Health.Command, s.Restart = status, false
	d.Stop = []string{self, application, "end:" + s.Stop.Grace.String()}
	return s
}

func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.World{
		Open: func(t *testing.T, dir string) driver.Driver { return open(t, dir) },
		Fit:  deployed,
		Bare: true,            // what is there is only asked after
		Adds: []string{"PWD"}, // the script's shell
	},
		// The suite's stop command asks by SIGTERM: how a team's own asks is its affair.
		"StopSignal",
		// What was deployed ends with an exit code that nobody is told of. TestFaults has that of the deploy command.
		"Exits",
		// Nothing that a team deployed is started again, or cleaned up, by anybody but the team.
		"DiesAfterHealthy", "Flaps", "CrashLoop", "ExitsLeavingOthers",
		// The release before may listen where the next one will, and a deploy command prints what it likes about it.
		"TakenPort",
	)
}
