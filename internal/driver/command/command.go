// Package command is the driver of teams that keep their own deploy: what Greenroom knows of a release's life is a command
// that deploys it, one that tells whether it is live, and perhaps one that takes it away.
//
// It stands on a driver of processes, whose supervisors know a spec with a Deploy: each outlives whoever started it, keeps
// what the command prints and how it ended, and asks after what it deployed. So a control plane that was killed during a
// deploy finds it again, waits for it, and never deploys twice.
package command

import (
	"context"
	"io"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Processes is the driver of processes that deploys run in.
type Processes interface {
	driver.Driver
	// Forget is Stop that leaves what was deployed as it is.
	Forget(ctx context.Context, id string) error
}

// Driver is a driver.Driver. A replica is one deploy of a release, and what is known of it afterwards. It is Starting while
// the command runs and until the status command says that the release is live, Healthy then, Sick when it says so no more,
// and Exited where the command failed: then its Reason tells what the status command says all the same.
type Driver struct{ processes Processes }

var _ driver.Driver = (*Driver)(nil)

// New is the driver over that of processes.
func New(p Processes) *Driver { return &Driver{p} }

// Start is driver.Driver's. A deploy that is under way, or that worked, is left as it is; one that failed is done again.
func (d *Driver) Start(ctx context.Context, s driver.Spec) (driver.Status, error) {
	if s.Deploy == nil {
		return driver.Status{}, problem.New(problem.Invalid, "replica %s: nothing says how it is deployed", s.ID)
	}
	if s.Container != nil {
		return driver.Status{}, problem.New(problem.Invalid, "replica %s: it is a container and has a deploy command: one of them is too many", s.ID)
	}
	return d.processes.Start(ctx, s)
}

// Stop is driver.Driver's: it ends a deploy that is under way, with its whole group, and has the stop command take away
// what was deployed. Without one that stays as it is.
func (d *Driver) Stop(ctx context.Context, id string) error { return d.processes.Stop(ctx, id) }

// Forget ends a deploy that is under way, and leaves what was deployed as it is: another release has taken its place.
func (d *Driver) Forget(ctx context.Context, id string) error { return d.processes.Forget(ctx, id) }

// Status is driver.Driver's.
func (d *Driver) Status(ctx context.Context, id string) (driver.Status, error) {
	return d.processes.Status(ctx, id)
}

// List is driver.Driver's.
func (d *Driver) List(ctx context.Context, f driver.Filter) ([]driver.Status, error) {
	return d.processes.List(ctx, f)
}

// Wait is driver.Driver's.
func (d *Driver) Wait(ctx context.Context, id string) (driver.Status, error) {
	return d.processes.Wait(ctx, id)
}

// Logs is driver.Driver's: what the deploy command printed, and what it left running prints on to the same output.
func (d *Driver) Logs(ctx context.Context, id string, o driver.LogOptions, w io.Writer) error {
	return d.processes.Logs(ctx, id, o, w)
}
