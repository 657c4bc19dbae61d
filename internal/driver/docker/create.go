package docker

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// environ is the container's environment: the spec's, and the marker.
func environ(s driver.Spec, name string) []string {
	env := []string{driver.Marker + "=" + name}
	for _, k := range slices.Sorted(maps.Keys(s.Env)) {
		if k != driver.Marker {
			env = append(env, k+"="+s.Env[k])
		}
	}
	return env
}

// create creates the replica's container, which does not run yet.
func (d *Driver) create(ctx context.Context, s driver.Spec) (id string, err error) {
	options, err := d.creation(s)
	if err != nil {
		return "", err
	}
	if err := d.ensureFileVolumes(ctx, s); err != nil {
		return "", err
	}
	err = d.engine.ask(ctx, func(ctx context.Context) error {
		made, err := d.engine.ContainerCreate(ctx, options)
		id = made.ID
		return err
	})
	switch {
	case err == nil:
		return id, nil
	case errdefs.IsNotFound(err) && strings.Contains(err.Error(), "image"):
		return "", d.vanished(s, s.Container.Image)
	case errdefs.IsNotFound(err) && strings.Contains(err.Error(), "network"):
		return "", networkGone(s, err)
	case errdefs.IsConflict(err):
		return "", d.nameTaken(ctx, s)
	}
	return "", failed(err, "%s can't be created", s.ID)
}

// networkGone says that somebody removed a network since it was made for the container.
func networkGone(s driver.Spec, err error) error {
	return problem.New(problem.Unavailable, "%s can't be started: %s", s.ID, said(err)).WithHint("deploy the release again, which makes its networks")
}

// errOurs says that the name which a container was to have is that of another of ours: somebody was faster.
var errOurs = errors.New("another of ours has the name")

// nameTaken says whose container it is that has the name of a replica's.
func (d *Driver) nameTaken(ctx context.Context, s driver.Spec) error {
	name := d.named(s.ID)
	var other container.InspectResponse
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		got, err := d.engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
		other = got.Container
		return err
	})
	switch {
	case errdefs.IsNotFound(err): // gone again
		return errOurs
	case err != nil:
		return failed(err, "%s can't be created", s.ID)
	case other.Config != nil && has(other.Config.Labels, d.labels(labelReplica, s.ID)):
		return errOurs
	}
	return problem.New(problem.Blocked, "%s can't be started: its name %s is that of a container which Greenroom did not make (%.12s)", s.ID, name, other.ID).
		WithHint("look at it with: docker inspect %s; and rename it: docker rename %s OTHER", name, name)
}

func (d *Driver) vanished(s driver.Spec, image string) error {
	return problem.New(problem.NotFound, "%s can't be started: the Docker Engine has no image %s any more", s.ID, image).
		WithHint("bring it back: greenroom build again, or docker load or docker pull it; what is wanted is exactly this digest")
}

// creation is a spec in the Engine's words.
func (d *Driver) creation(s driver.Spec) (client.ContainerCreateOptions, error) {
	rec, err := recordOf(s)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	labels, err := d.labelsOf(s, rec)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	c := s.Container
	name := d.named(s.ID)
	ports, bindings, err := portsOf(s)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	grace := int((s.Stop.Grace + time.Second - 1) / time.Second)
	config := &container.Config{
		Hostname: c.Hostname, User: s.User, ExposedPorts: ports, Env: environ(s, name), Cmd: s.Command, Healthcheck: d.healthcheck(s),
		Image: c.Image, WorkingDir: s.Dir, Entrypoint: c.Entrypoint, Labels: labels, StopSignal: s.Stop.Signal,
		StopTimeout: &grace, // for whoever else stops it, such as an Engine that is going down
	}
	host := &container.HostConfig{
		LogConfig: logConfig(c.Log), PortBindings: bindings, RestartPolicy: policyOf(rec, false),
		CapAdd: c.CapAdd, CapDrop: c.CapDrop, ReadonlyRootfs: c.ReadOnly, Sysctls: c.Sysctls, ExtraHosts: c.ExtraHosts, DNS: c.DNS,
		Resources: resourcesOf(c), Mounts: append(mountsOf(c), d.fileMounts(s)...), Init: &c.Init, NetworkMode: "none",
		Privileged: c.Privileged, PidMode: container.PidMode(c.PID), IpcMode: container.IpcMode(c.IPC), ShmSize: c.Resources.Shared,
	}
	confine(host, c)
	networks := &network.NetworkingConfig{}
	if c.Network != "" {
		host.NetworkMode = container.NetworkMode(c.Network)
	}
	if len(c.Networks) > 0 {
		first := c.Networks[0]
		host.NetworkMode = container.NetworkMode(first.Network)
		networks.EndpointsConfig = map[string]*network.EndpointSettings{first.Network: endpointOf(first)}
	}
	return client.ContainerCreateOptions{Name: name, Config: config, HostConfig: host, NetworkingConfig: networks}, nil
}

// confine says how a container is confined beside what it may reach.
func confine(host *container.HostConfig, c *driver.Container) {
	if c.NoNewPrivs {
		host.SecurityOpt = append(host.SecurityOpt, "no-new-privileges")
	}
	for _, o := range c.SecurityOpt {
		if o == "systempaths=unconfined" { // a word of the docker command's, which an Engine knows as two lists
			host.MaskedPaths, host.ReadonlyPaths = []string{}, []string{}
			continue
		}
		host.SecurityOpt = append(host.SecurityOpt, o)
	}
}

func endpointOf(a driver.Attach) *network.EndpointSettings {
	e := &network.EndpointSettings{Aliases: a.Aliases}
	if a.IPv4.IsValid() {
		e.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: a.IPv4}
	}
	return e
}

// policyOf is the restart policy. A careful replica gets the one that it wants when it was healthy.
func policyOf(r record, wasHealthy bool) container.RestartPolicy {
	if r.Careful && !wasHealthy {
		return container.RestartPolicy{Name: container.RestartPolicyDisabled}
	}
	return container.RestartPolicy{Name: container.RestartPolicyMode(r.Restart.Name), MaximumRetryCount: r.Restart.Max}
}

// soonStart is how often a starting container is asked by Engines that can do so, which are those from version 25 on.
const soonStart = 200 * time.Millisecond

func (d *Driver) healthcheck(s driver.Spec) *container.HealthConfig {
	if len(s.Health.Command) == 0 {
		return &container.HealthConfig{Test: []string{"NONE"}} // the image's own is not what was asked for
	}
	return &container.HealthConfig{
		Test: append([]string{"CMD"}, s.Health.Command...), Interval: s.Health.Interval, Timeout: d.engineTimeout(s.Health.Timeout),
		Retries: s.Health.Retries, StartPeriod: s.Health.Start,
		StartInterval: min(soonStart, s.Health.Interval),
	}
}

func portsOf(s driver.Spec) (network.PortSet, network.PortMap, error) {
	set, bindings := network.PortSet{}, network.PortMap{}
	for _, p := range s.Container.Publish {
		protocol := network.TCP
		if p.Protocol != "" {
			protocol = network.IPProtocol(p.Protocol)
		}
		port, ok := network.PortFrom(p.Container, protocol)
		if !ok || p.Port == 0 || p.Container == 0 {
			return nil, nil, problem.New(problem.Invalid, "replica %s: port %d/%s can't be published", s.ID, p.Container, protocol)
		}
		set[port] = struct{}{}
		bindings[port] = append(bindings[port], network.PortBinding{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), HostPort: strconv.Itoa(int(p.Port))})
	}
	return set, bindings, nil
}

func mountsOf(c *driver.Container) []mount.Mount {
	var all []mount.Mount
	for _, m := range c.Mounts {
		one := mount.Mount{Type: mount.TypeVolume, Source: m.Volume, Target: m.Target, ReadOnly: m.ReadOnly}
		if m.Path != "" {
			one.Type, one.Source = mount.TypeBind, m.Path
		}
		all = append(all, one)
	}
	for _, t := range c.Tmpfs {
		all = append(all, mount.Mount{Type: mount.TypeTmpfs, Target: t.Target, TmpfsOptions: &mount.TmpfsOptions{SizeBytes: t.Size, Mode: tmpfsMode(t.Mode)}})
	}
	return all
}

func tmpfsMode(bits uint32) os.FileMode {
	if bits == 0 {
		bits = 0o1777
	}
	mode := os.FileMode(bits & 0o777)
	if bits&0o1000 != 0 {
		mode |= os.ModeSticky
	}
	return mode
}

func resourcesOf(c *driver.Container) container.Resources {
	r := container.Resources{NanoCPUs: int64(c.Resources.CPUs * 1e9), Memory: c.Resources.Memory, MemorySwap: c.Resources.Memory}
	if c.Resources.Pids > 0 {
		r.PidsLimit = &c.Resources.Pids
	}
	for _, d := range c.Devices {
		if outside, inside, permissions, ok := driver.SplitDevice(d); ok {
			r.Devices = append(r.Devices, container.DeviceMapping{PathOnHost: outside, PathInContainer: inside, CgroupPermissions: permissions})
		}
	}
	for _, u := range c.Ulimits {
		r.Ulimits = append(r.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	return r
}

// logConfig bounds what is kept, in the Engine's oldest format: its newer one loses the ends of long lines before version 23.
func logConfig(l driver.LogLimits) container.LogConfig {
	size, files := l.Size, l.Files
	if size == 0 {
		size = driver.DefaultLogSize
	}
	if files == 0 {
		files = driver.DefaultLogFiles
	}
	return container.LogConfig{Type: "json-file", Config: map[string]string{
		"max-size": strconv.FormatInt(size, 10), "max-file": strconv.Itoa(files),
	}}
}
