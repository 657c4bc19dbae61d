package docker

import (
	"context"

	"github.com/containerd/errdefs"

	"greenroom/internal/driver"
)

// Ended returns when a replica that is not started again has ended, and tells how. It stays until it is stopped.
func (d *Driver) Ended(ctx context.Context, id string) (driver.Status, error) {
	there, err := d.find(ctx, id)
	if err != nil {
		return driver.Status{}, err
	}
	for _, c := range there {
		d.awaitEnd(ctx, c.ID)
		if err := ctx.Err(); err != nil {
			return driver.Status{}, err
		}
		v, err := d.view(ctx, c.ID)
		if !errdefs.IsNotFound(err) {
			return v.status, err
		}
	}
	return driver.Status{}, driver.ErrNotFound
}
