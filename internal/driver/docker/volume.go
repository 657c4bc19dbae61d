package docker

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"greenroom/internal/problem"
)

// EnsureVolume makes sure that an environment has the volume of that name, and returns its name in the Engine, which a
// driver.Mount takes. No other environment gets the same one.
func (d *Driver) EnsureVolume(ctx context.Context, app, environment, name string) (string, error) {
	full := d.named(app, environment, name)
	return full, d.ensureVolume(ctx, full, d.labels(labelApp, app, labelEnvironment, environment, labelName, name))
}

func (d *Driver) ensureVolume(ctx context.Context, name string, labels map[string]string) error {
	var made volume.Volume
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		got, err := d.engine.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Labels: labels})
		made = got.Volume
		return err
	})
	if err != nil {
		return failed(err, "volume %s can't be made", name)
	}
	if !has(made.Labels, labels) { // the Engine gives the one that is there
		return problem.New(problem.Blocked, "volume %s is there already, and Greenroom did not make it for this", name).
			WithHint("look at it: docker volume inspect %s; and remove it if nobody needs it", name)
	}
	return nil
}

// volumes are those with these labels.
func (d *Driver) volumes(ctx context.Context, pairs ...string) (there []volume.Volume, err error) {
	err = d.engine.ask(ctx, func(ctx context.Context) error {
		got, err := d.engine.VolumeList(ctx, client.VolumeListOptions{Filters: d.filters(pairs...)})
		there = got.Items
		return err
	})
	if err != nil {
		return nil, failed(err, "the volumes can't be listed")
	}
	return there, nil
}

// removeVolumes removes the volumes with these labels.
func (d *Driver) removeVolumes(ctx context.Context, pairs ...string) error {
	there, err := d.volumes(ctx, pairs...)
	if err != nil {
		return err
	}
	var all []error
	for _, v := range there {
		err := d.engine.ask(ctx, func(ctx context.Context) error {
			_, err := d.engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
			return err
		})
		switch {
		case err == nil || errdefs.IsNotFound(err):
		case errdefs.IsConflict(err):
			all = append(all, problem.New(problem.Blocked, "volume %s can't be removed: a container that is not Greenroom's uses it (%s)", v.Name, said(err)).
				WithHint("remove that container first: docker ps -a --filter volume=%s", v.Name))
		default:
			all = append(all, failed(err, "volume %s can't be removed", v.Name))
		}
	}
	return errors.Join(all...)
}
