package docker

import (
	"context"
	"errors"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Join puts a replica that runs into a network besides, unless it is in it. It is found there by no name of its own. One that is
// gone joins nothing.
func (d *Driver) Join(ctx context.Context, id, network string) error {
	there, err := d.find(ctx, id)
	if err != nil {
		return err
	}
	for _, c := range there {
		err := d.engine.ask(ctx, func(ctx context.Context) error {
			_, err := d.engine.NetworkConnect(ctx, network, client.NetworkConnectOptions{Container: c.ID})
			return err
		})
		if err != nil && !strings.Contains(err.Error(), "already exists in network") && !goneMeanwhile(err) {
			return failed(err, "%s can't be put into network %s", id, network)
		}
	}
	return nil
}

// leave takes those of the environment's replicas out of a network that outlive releases. What else is in it stays.
func (d *Driver) leave(ctx context.Context, n network.Summary) error {
	in, err := d.containers(ctx, labelApp, n.Labels[labelApp], labelEnvironment, n.Labels[labelEnvironment])
	if err != nil {
		return err
	}
	var all []error
	for _, c := range in {
		if c.NetworkSettings == nil || c.Labels[labelRelease] != "" {
			continue
		}
		for _, e := range c.NetworkSettings.Networks {
			if e == nil || e.NetworkID != n.ID {
				continue
			}
			err := d.engine.ask(ctx, func(ctx context.Context) error {
				_, err := d.engine.NetworkDisconnect(ctx, n.ID, client.NetworkDisconnectOptions{Container: c.ID, Force: true})
				return err
			})
			if err != nil && !errdefs.IsNotFound(err) && !strings.Contains(err.Error(), "is not connected to") {
				all = append(all, failed(err, "%s can't be taken out of network %s", c.Labels[labelReplica], n.Name))
			}
		}
	}
	return errors.Join(all...)
}
