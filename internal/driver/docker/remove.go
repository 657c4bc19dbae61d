package docker

import (
	"context"
	"errors"
	"slices"

	"github.com/moby/moby/api/types/network"

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
	beside(len(there), func(i int) {
		if id := there[i].Labels[labelReplica]; driver.ValidID(id) {
			errs[i] = d.Stop(ctx, id)
		} else { // somebody spoiled its labels
			errs[i] = d.remove(ctx, there[i].ID)
		}
	})
	networks, err := d.networks(ctx, d.filters(labelApp, app, labelEnvironment, environment))
	errs = append(errs, err, eachNetwork(networks, func(n network.Summary) error { return d.removeNetwork(ctx, n) }))
	if volumes {
		errs = append(errs, d.removeVolumes(ctx, labelApp, app, labelEnvironment, environment))
	}
	return errors.Join(errs...)
}

// RemoveNetworks takes away the networks of an environment that keep says no to, by the names that they were made with. Its
// replicas that are in them leave them.
func (d *Driver) RemoveNetworks(ctx context.Context, app, environment string, keep func(name string) bool) error {
	there, err := d.networks(ctx, d.filters(labelApp, app, labelEnvironment, environment))
	there = slices.DeleteFunc(there, func(n network.Summary) bool { return keep(n.Labels[labelName]) })
	return errors.Join(err, eachNetwork(there, func(n network.Summary) error { return errors.Join(d.leave(ctx, n), d.removeNetwork(ctx, n)) }))
}

// eachNetwork calls f for all networks, some at a time: an Engine takes long for each of them, in which it waits for the kernel.
func eachNetwork(all []network.Summary, f func(network.Summary) error) error {
	errs := make([]error, len(all))
	beside(len(all), func(i int) { errs[i] = f(all[i]) })
	return errors.Join(errs...)
}
