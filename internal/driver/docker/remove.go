package docker

import (
	"context"
	"errors"
	"sync"

	"greenroom/internal/driver"
)

// Remove takes away all that was made for an environment, and nothing else: its containers, its networks, and with volumes
// also its data. It goes on after what can't be removed, and says what that is.
func (d *Driver) Remove(ctx context.Context, app, environment string, volumes bool) error {
	there, err := d.containers(ctx, labelApp, app, labelEnvironment, environment)
	if err != nil {
		return err
	}
	errs := make([]error, len(there))
	slots := make(chan struct{}, looksAtOnce)
	var wg sync.WaitGroup
	for i, c := range there {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if id := c.Labels[labelReplica]; driver.ValidID(id) {
				errs[i] = d.Stop(ctx, id)
			} else { // somebody spoiled its labels
				errs[i] = d.remove(ctx, c.ID)
			}
		})
	}
	wg.Wait()
	networks, err := d.networks(ctx, d.filters(labelApp, app, labelEnvironment, environment))
	errs = append(errs, err)
	for _, n := range networks {
		errs = append(errs, d.removeNetwork(ctx, n))
	}
	if volumes {
		errs = append(errs, d.removeVolumes(ctx, labelApp, app, labelEnvironment, environment))
	}
	return errors.Join(errs...)
}

// RemoveNetworks takes away the networks of an environment that keep says no to, by the names that they were made with. Its
// replicas that are in them leave them.
func (d *Driver) RemoveNetworks(ctx context.Context, app, environment string, keep func(name string) bool) error {
	there, err := d.networks(ctx, d.filters(labelApp, app, labelEnvironment, environment))
	errs := []error{err}
	for _, n := range there {
		if !keep(n.Labels[labelName]) {
			errs = append(errs, d.leave(ctx, n), d.removeNetwork(ctx, n))
		}
	}
	return errors.Join(errs...)
}
