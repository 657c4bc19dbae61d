package docker

import (
	"context"
	"time"

	"greenroom/internal/driver"
)

// Create creates a replica's container and leaves it, as a driver that is killed then does.
func Create(ctx context.Context, d *Driver, s driver.Spec) error {
	_, err := d.create(ctx, s.WithDefaults())
	return err
}

// Hurry has a driver wait for the Engine only the given part of its time.
func Hurry(d *Driver, part int) *Driver {
	d.engine.hurry = time.Duration(part)
	return d
}
