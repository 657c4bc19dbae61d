package docker

import (
	"context"
	"slices"
	"time"

	"github.com/moby/moby/client"

	"greenroom/internal/problem"
)

// soonTime is how long an Engine may take that is asked whether it is there, by somebody who does not wait for it.
const soonTime = 5 * time.Second

// Answers asks the Engine once, without patience. Where it does not answer the error is a problem (problem.Unavailable).
func (d *Driver) Answers(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, soonTime)
	defer cancel()
	_, err := d.engine.Ping(soon, client.PingOptions{})
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case soon.Err() != nil:
		return problem.New(problem.Unavailable, "the Docker Engine at %s does not answer", d.engine.host).WithHint("look at it: systemctl status docker")
	}
	return d.engine.none(err)
}

// Environments are the apps and environments that containers are there for, each once.
func (d *Driver) Environments(ctx context.Context) (all [][2]string, err error) {
	there, err := d.containers(ctx)
	for _, c := range there {
		if at := [2]string{c.Labels[labelApp], c.Labels[labelEnvironment]}; at[0] != "" && !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all, err
}

// Anything says whether there is anything that was made for an app: a container, a network or a volume.
func (d *Driver) Anything(ctx context.Context, app string) (bool, error) {
	places, err := d.Places(ctx, app)
	return len(places) > 0, err
}

// Places are the environments of an app for which there is anything: a container, a network or a volume.
func (d *Driver) Places(ctx context.Context, app string) (environments []string, err error) {
	add := func(labels map[string]string) {
		if name := labels[labelEnvironment]; !slices.Contains(environments, name) {
			environments = append(environments, name)
		}
	}
	containers, err := d.containers(ctx, labelApp, app)
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		add(c.Labels)
	}
	networks, err := d.networks(ctx, d.filters(labelApp, app))
	if err != nil {
		return nil, err
	}
	for _, n := range networks {
		add(n.Labels)
	}
	volumes, err := d.volumes(ctx, labelApp, app)
	for _, v := range volumes {
		add(v.Labels)
	}
	return environments, err
}
