package environment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// A container is in two networks. One is its release's: there its service's name stands for the replicas of that release,
// so that the services of one release find each other and never those of another that runs beside it. The other is the
// environment's, in which each has an address that the edge reaches, and in which the database has its name.

// containers is the Engine, where the service's container runs, with its image in it.
func (e *Environment) containers(ctx context.Context, r release.Release, s app.Service) (*docker.Driver, error) {
	d, err := e.world.Engine.begin(e.App)
	if err != nil {
		return nil, err
	}
	return d, e.asked.image(s.Image, func() error {
		has, err := d.Has(ctx, s.Image)
		if err != nil || has {
			return err
		}
		return e.bringImage(ctx, d, r, s)
	})
}

// bringImage puts an image into the Engine that was taken out of it, or came to this machine with the release.
func (e *Environment) bringImage(ctx context.Context, d *docker.Driver, r release.Release, s app.Service) error {
	name := artifact.ImageFiles(s.Name)
	if _, ok := r.Files[name]; !ok {
		return problem.New(problem.Unavailable, "the Docker Engine has lost the image of %s (%s), and release %s does not hold it", s.Name, s.Image, r.Digest().Short()).
			WithHint("greenroom build it once more, or docker pull it")
	}
	dir, err := os.MkdirTemp(e.world.Home.Runs(), e.App+"-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is looked through again at the next start
	if err := e.world.Artifacts.Unpack(ctx, r.Digest(), name, filepath.Join(dir, "image")); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(dir, "image", artifact.ImageArchive))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read from
	if err := artifact.CheckImage(f, s.Image); err != nil {
		return problem.New(problem.Invalid, "the image of %s that release %s holds is not taken into the Docker Engine: %w", s.Name, r.Digest().Short(), err).
			WithHint("greenroom build it anew, from its sources")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	tag, err := d.KeepTag(s.Image)
	if err != nil {
		return err
	}
	named := artifact.Named(f, tag)
	defer named.Close() //nolint:errcheck // only read from
	return d.Bring(ctx, named, s.Image)
}

// containerSpec is what the Engine needs to run one replica of a container.
func (e *Environment) containerSpec(ctx context.Context, r release.Release, s app.Service, v variables, index int) (driver.Spec, error) {
	spec := driver.Spec{
		ID: e.replicaID(r, s, index), App: e.App, Environment: e.Name, Service: s.Name,
		Release: string(r.Digest()), Index: index, Dir: s.Dir, User: s.Container.User, Health: s.Health, Stop: s.Stop, Restart: s.Restart,
	}
	if s.Container.Network == "" { // in the machine's network it finds the others as a process of the machine does
		v = v.fromContainers()
	}
	v.port = s.Port
	spec.Command, spec.Secrets = v.command(s), v.secretsOf(s)
	spec.Env = v.inContainer(s)
	spec.Health.Command = expandAll(s.Health.Command, v.known())
	d, err := e.containers(ctx, r, s)
	if err != nil {
		return spec, err
	}
	c := settings(s)
	if err := e.seal(ctx, s, &c); err != nil {
		return spec, err
	}
	if c.Networks, err = e.attach(ctx, d, r, s); err != nil {
		return spec, err
	}
	if c.Mounts, err = e.mounts(ctx, d, r, s); err != nil {
		return spec, err
	}
	if c.Files, err = v.files(s); err != nil {
		return spec, err
	}
	spec.Container = &c
	if r.Contents.Lasting(s) {
		e.asLasting(&spec, s, v)
	}
	if s.Port == 0 || s.Job {
		return spec, nil
	}
	return spec, e.dial(ctx, &spec, s)
}

// settings are those of a container that mean the same everywhere.
func settings(s app.Service) driver.Container {
	from := s.Container
	c := driver.Container{
		Image: s.Image, Entrypoint: from.Entrypoint, Resources: driver.Resources(from.Resources), CapAdd: from.CapAdd, CapDrop: from.CapDrop,
		ReadOnly: from.ReadOnly, Init: from.Init, Sysctls: from.Sysctls, Hostname: from.Hostname, ExtraHosts: from.ExtraHosts,
		RestartPolicy: driver.RestartPolicy(from.Restart), Log: driver.LogLimits(from.Log), NoNewPrivs: from.NoNewPrivs,
		Privileged: from.Privileged, Network: from.Network, PID: from.PID, IPC: from.IPC, Devices: from.Devices, SecurityOpt: from.SecurityOpt,
	}
	for _, u := range from.Ulimits {
		c.Ulimits = append(c.Ulimits, driver.Ulimit(u))
	}
	for _, t := range from.Tmpfs {
		c.Tmpfs = append(c.Tmpfs, driver.Tmpfs(t))
	}
	return c
}

// attach is which networks a container of the release is in: none of the Engine's where it is in the machine's own. All are there
// when it returns.
func (e *Environment) attach(ctx context.Context, d *docker.Driver, r release.Release, s app.Service) ([]driver.Attach, error) {
	if s.Container.Network != "" {
		return nil, e.outside(s)
	}
	own, err := e.engineNetwork(ctx, d, r.Digest().Short())
	if err != nil {
		return nil, err
	}
	all, err := e.commonNetwork(ctx, d)
	if err != nil {
		return nil, err
	}
	names := append([]string{s.Name}, s.Container.Aliases...)
	if r.Contents.Lasting(s) { // first, so that its way out stays when it leaves the other
		return []driver.Attach{{Network: all.ID, Aliases: names}, {Network: own.ID, Passing: true}}, nil
	}
	return []driver.Attach{{Network: own.ID, Aliases: names}, {Network: all.ID}}, nil
}

// outside says why a service can't be in the machine's network. A definition is refused for the port; what another Greenroom
// has built may not have been read by this one.
func (e *Environment) outside(s app.Service) error {
	secluded, err := e.secluded()
	switch {
	case err != nil:
		return err
	case secluded:
		return problem.New(problem.Blocked, "%s is in the machine's network (network_mode: host), out of which %s is to have no way", s.Name, e.Name).
			WithHint("remove network_mode from %s, and build the release again", s.Name)
	case s.Port != 0:
		return problem.New(problem.Invalid, "%s is in the machine's network (network_mode: host) and has port %d, which one release of one environment alone could have", s.Name, s.Port).
			WithHint("remove network_mode or the port of %s, and build the release again", s.Name)
	}
	return nil
}

// dial says where a replica of a container is dialled, and has it listen there.
func (e *Environment) dial(ctx context.Context, spec *driver.Spec, s app.Service) (err error) {
	if spec.Listen, err = e.endpoint(ctx, s, spec.ID); err != nil {
		return err
	}
	at, err := netip.ParseAddrPort(spec.Listen.Address)
	if err != nil {
		return err
	}
	if onLoopback(s) {
		spec.Container.Publish = []driver.Publish{{Port: at.Port(), Container: uint16(s.Port), Protocol: "tcp"}} //nolint:gosec // a port
		return nil
	}
	for i, n := range slices.Backward(spec.Container.Networks) {
		if !n.Passing {
			spec.Container.Networks[i].IPv4 = at.Addr()
			break
		}
	}
	return nil
}

// containerEndpoint is a replica's address in the environment's network, the same one for as long as it is promised and the
// network is there.
func (e *Environment) containerEndpoint(ctx context.Context, s app.Service, id string) (driver.Endpoint, error) {
	d, err := e.world.Engine.begin(e.App)
	if err != nil {
		return driver.Endpoint{}, err
	}
	n, err := e.commonNetwork(ctx, d)
	if err != nil {
		return driver.Endpoint{}, err
	}
	choose := func(taken func(int) bool) (int, error) { return freeIn(n.Subnet, taken) }
	number, err := e.world.Store.Reserve(ctx, replicaKey(id), choose)
	if err == nil && !n.Subnet.Contains(addressOf(number)) { // the network was made anew since, with other addresses
		number, err = e.world.Store.Renew(ctx, replicaKey(id), choose)
	}
	return driver.Endpoint{Network: "tcp", Address: netip.AddrPortFrom(addressOf(number), uint16(s.Port)).String()}, err //nolint:gosec // a port
}

// common is the name of the environment's own network among its networks. No release's short digest is it.
const common = "environment"

// commonNetwork is the environment's own network.
func (e *Environment) commonNetwork(ctx context.Context, d *docker.Driver) (docker.Network, error) {
	return e.engineNetwork(ctx, d, common)
}

func (e *Environment) engineNetwork(ctx context.Context, d *docker.Driver, name string) (docker.Network, error) {
	return e.asked.network(name, func() (docker.Network, error) { return e.walled(ctx, d, name) })
}

// freeIn is an address of the upper half of a subnet: those of the lower one the Engine gives to whoever asks for none.
func freeIn(subnet netip.Prefix, taken func(int) bool) (int, error) {
	if !subnet.Addr().Is4() || subnet.Bits() > 30 {
		return 0, problem.New(problem.Unavailable, "the network %s is too small for containers", subnet)
	}
	size := 1 << (32 - subnet.Bits())
	first := numberOf(subnet.Masked().Addr())
	for n := first + size - 2; n >= first+size/2; n-- { // the last one is the broadcast address
		if !taken(n) {
			return n, nil
		}
	}
	return 0, problem.New(problem.Unavailable, "the network %s has no address left", subnet).
		WithHint("give the Docker Engine larger ones, as default-address-pools in its daemon.json; then stop the environment and start it again")
}

func numberOf(a netip.Addr) int {
	four := a.As4()
	return int(binary.BigEndian.Uint32(four[:]))
}

func addressOf(n int) netip.Addr {
	var four [4]byte
	binary.BigEndian.PutUint32(four[:], uint32(n)) //nolint:gosec // it was made of one
	return netip.AddrFrom4(four)
}

// mounts are a container's volumes, which are the environment's own, and the files that came with the release.
func (e *Environment) mounts(ctx context.Context, d *docker.Driver, r release.Release, s app.Service) ([]driver.Mount, error) {
	var out []driver.Mount
	for _, m := range s.Container.Mounts {
		to := driver.Mount{Path: m.Path, Target: m.Target, ReadOnly: m.ReadOnly}
		switch {
		case m.Volume != "":
			name, err := d.EnsureVolume(ctx, e.App, e.Name, m.Volume)
			if err != nil {
				return nil, err
			}
			to.Volume = name
		case m.Files != "":
			dir, err := e.Files(ctx, r, s.Name)
			if err != nil {
				return nil, err
			}
			to.Path, to.ReadOnly = filepath.Join(dir, filepath.FromSlash(m.Files)), true
		}
		out = append(out, to)
	}
	return out, nil
}

// files are the secrets and configs that a container finds as files.
func (v variables) files(s app.Service) ([]driver.File, error) {
	var out []driver.File
	for _, f := range s.Container.Secrets {
		value, ok := v.secrets[f.Name]
		if !ok {
			return nil, problem.New(problem.Invalid, "%s has no value for the secret %s, which %s names", v.environment, f.Name, s.Name).
				WithHint("greenroom secret set %s --environment %s", f.Name, v.environment)
		}
		out = append(out, driver.File{Target: f.Target, Content: []byte(value), Mode: f.Mode, UID: f.UID, GID: f.GID, Secret: true})
	}
	for _, f := range s.Container.Configs {
		out = append(out, driver.File{Target: f.Target, Content: f.Content, Mode: f.Mode, UID: f.UID, GID: f.GID})
	}
	return out, nil
}

// inContainer is what a container's environment has beside what its image sets: the same as a process's, but for what only
// a process of this machine has a use for.
func (v variables) inContainer(s app.Service) map[string]string {
	env := v.of(s)
	for _, name := range []string{"PATH", "HOME", "LANG"} {
		if _, own := s.Env[name]; !own {
			delete(env, name)
		}
	}
	return env
}

// fromContainers are the variables as a container sees the others: by their names, and by the ports that they listen on.
func (v variables) fromContainers() variables {
	addresses := maps.Clone(v.addresses)
	for _, s := range v.contents.Services {
		if s.Container != nil && s.Port != 0 {
			addresses[s.Name] = s.Name + ":" + strconv.Itoa(s.Port)
		}
	}
	v.addresses = addresses
	return v
}

func (e *Environment) runContainerJob(ctx context.Context, r release.Release, s app.Service, v variables) error {
	spec, err := e.containerSpec(ctx, r, s, v, 0)
	if err != nil {
		return err
	}
	env, sweep := e.world.marked(spec.Env)
	defer sweep()
	spec.Env = env
	exit, output, err := e.runContainer(ctx, spec)
	if err == nil && exit != 0 {
		err = problem.New(problem.Fail, "job %s of %s: exit code %d: %s", s.Name, r.Digest().Short(), exit, v.redact(output))
	}
	return err
}

// commandSuffix ends the id of a container in which a command of a release runs.
const commandSuffix = ".command"

// containerCommand is command for a service that is a container: it runs in another one of the same image. One that an earlier
// control plane left behind is ended first.
func (e *Environment) containerCommand(ctx context.Context, r release.Release, s app.Service, v variables, line string, more map[string]string, timeout time.Duration) (failed, output string, err error) {
	spec, err := e.containerSpec(ctx, r, s, v, 0)
	if err != nil {
		return "", "", err
	}
	spec.ID = strings.Join([]string{e.App, e.Name, s.Name, r.Digest().Short()}, ".") + commandSuffix
	spec.Command, spec.Container.Entrypoint = withoutShell(line)
	for i := range spec.Container.Networks { // the names and the address are the service's
		spec.Container.Networks[i].Aliases, spec.Container.Networks[i].IPv4 = nil, netip.Addr{}
	}
	env, sweep := e.world.marked(spec.Env)
	defer sweep()
	spec.Env = env
	addTo(spec.Env, more)
	if err := e.world.Driver.Stop(ctx, spec.ID); err != nil {
		return "", "", err
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	exit, output, err := e.runContainer(limited, spec)
	output = v.redact(output)
	switch {
	case ctx.Err() != nil:
		return "", output, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		failed = fmt.Sprintf("%q did not end within %s", line, timeout)
		if p := (*problem.Error)(nil); errors.As(err, &p) { // it may go on
			failed += "; and " + p.Message
		}
		return failed, output, nil
	case err != nil:
		return err.Error(), output, nil
	case exit != 0:
		return fmt.Sprintf("%q: exit code %d", line, exit), output, nil
	}
	return "", output, nil
}

// withoutShell is how a command line runs in an image: by itself, since many have no shell, unless it has what only a shell
// understands.
func withoutShell(line string) (command, entrypoint []string) {
	words := strings.Fields(line)
	if len(words) == 0 || strings.ContainsAny(line, "|&;<>()$`\\\"'*?[]#~=%{}!\n") {
		return []string{line}, []string{"/bin/sh", "-c"}
	}
	return words[1:], words[:1]
}

// runContainer runs a container of a release to its end, in place of the one that its service is: a job, or a command of the
// release's, and returns how it ended and the end of what it printed. What a control plane that died has left running is
// waited for.
func (e *Environment) runContainer(ctx context.Context, spec driver.Spec) (exit int, output string, err error) {
	d, err := e.world.Engine.begin(e.App)
	if err != nil {
		return 0, "", err
	}
	spec.Restart, spec.Container.RestartPolicy = false, driver.RestartPolicy{Name: "no"}
	spec.Health, spec.Listen, spec.Container.Publish = app.Health{}, driver.Endpoint{}, nil
	if _, err := d.Start(ctx, spec); err != nil {
		return 0, "", err
	}
	ended, err := d.Ended(ctx, spec.ID)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), spec.Stop.Grace+time.Minute)
	defer cancel()
	out := proc.NewTail(jobOutput)
	left := errors.Join(d.Logs(late, spec.ID, driver.LogOptions{}, out), d.Stop(late, spec.ID))
	if left != nil && late.Err() != nil { // else it would look as if the container had taken too long
		left = problem.New(problem.Unavailable, "what %s printed, and whether it is gone, is not known: the Docker Engine is too slow", spec.ID).
			WithHint("look at it: systemctl status docker")
	}
	return ended.ExitCode, out.String(), errors.Join(err, left)
}

// leaveNetworks takes away those of the environment's networks that are not kept, and in which nothing is any more.
func (e *Environment) leaveNetworks(ctx context.Context, kept func(name string) bool) error {
	d, err := e.world.Engine.of(e.App)
	if err != nil || d == nil {
		return err
	}
	defer e.asked.forget()
	return d.RemoveNetworks(ctx, e.App, e.Name, kept)
}

// leaveEngine takes away what is in the Engine for the environment when nothing of it runs any more: its networks, and with
// data its volumes.
func (e *Environment) leaveEngine(ctx context.Context, data bool) error {
	d, err := e.world.Engine.of(e.App)
	if err != nil || d == nil {
		return err
	}
	defer e.asked.forget()
	return d.Remove(ctx, e.App, e.Name, data)
}
