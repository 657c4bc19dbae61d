package docker

import (
	"context"

	"greenroom/internal/driver"
)

// Create creates a replica's container and leaves it, as a driver that is killed then does.
func Create(ctx context.Context, d *Driver, s driver.Spec) error {
	_, err := d.create(ctx, s.WithDefaults())
	return err
}
