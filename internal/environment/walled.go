package environment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/edge"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/wall"
)

// The containers of a stage that is to hold production's data are in networks of the Engine that have no way out, and
// between each of these and the machine stands a wall. Edge and daemon reach the containers, whose answers come through; what
// is no container of the stage is in the stage's network namespace, as it is where services are processes, and there the
// edge listens for it.

// nobodyToAsk is whom the Engine asks for the names that it does not know: in each container's own network, where nobody
// listens. Before version 26 it would ask the machine's own server of names for a container that has no way out
// (CVE-2024-29018).
var nobodyToAsk = netip.AddrFrom4([4]byte{127, 83, 71, 53})

// engineNames is where containers ask the Engine for names.
const engineNames = "127.0.0.11:53"

// wallName is the name of the network with which it is tried whether a wall can be built. No release's short digest is it.
const wallName = "wall"

func wallOf(n docker.Network) wall.Wall {
	return wall.Wall{Bridge: n.Bridge, Address: netip.PrefixFrom(n.Gateway, n.Subnet.Bits())}
}

// walled makes a network of a stage that is in one of its own, or one as all others.
func (e *Environment) walled(ctx context.Context, d *docker.Driver, name string) (docker.Network, error) {
	inside, err := e.network(ctx)
	if err != nil {
		return docker.Network{}, err
	}
	kind := docker.Names // of a release
	switch {
	case inside != "":
		kind = docker.Internal
	case name == common:
		kind = docker.Addressed // see dial
	}
	n, err := d.EnsureNetwork(ctx, e.App, e.Name, name, kind)
	if err != nil || inside == "" {
		return n, err
	}
	return n, wallOf(n).Build()
}

// seal is what a container of a stage that is in a network of its own has to have beside its own settings.
func (e *Environment) seal(ctx context.Context, s app.Service, c *driver.Container) error {
	inside, err := e.network(ctx)
	if err != nil || inside == "" {
		return err
	}
	why, err := breaksOut(s)
	if err != nil {
		return err
	}
	if why != "" {
		return e.refused(why)
	}
	c.DNS = []netip.Addr{nobodyToAsk}
	return nil
}

// breaksOut says which setting of a service lets its container around every wall; "" for none.
func breaksOut(s app.Service) (string, error) {
	for _, setting := range s.Dangers() {
		if !strings.HasPrefix(setting, "volumes ") {
			return fmt.Sprintf("service %s has %s, which is a way around every wall", s.Name, setting), nil
		}
	}
	if s.Container == nil {
		return "", nil
	}
	for _, m := range s.Container.Mounts {
		if m.Path == "" {
			continue
		}
		what, err := leadsOut(m.Path)
		if err != nil {
			return "", err
		}
		if what != "" {
			return fmt.Sprintf("service %s has volumes %s, in which is %s", s.Name, m.Path, what), nil
		}
	}
	return "", nil
}

// systems are the folders by which the machine itself is changed and spoken to.
var systems = []string{"/dev", "/proc", "/run", "/sys"}

// leadsOut says what of a folder of the machine leads out of a container that has it: the machine's own files of that kind,
// or the socket of a program; "" for nothing.
func leadsOut(folder string) (string, error) {
	paths := []string{filepath.Clean(folder), followed(filepath.Clean(folder))}
	there, err := machineSockets()
	if err != nil {
		return "", err
	}
	for _, p := range paths {
		for _, s := range systems {
			if inFolder(s, p) || inFolder(p, s) {
				return "the machine's " + s, nil
			}
		}
		for _, a := range there {
			if inFolder(a.try.Address, p) {
				return "the socket " + a.try.Address, nil
			}
		}
	}
	return "", nil
}

// followed is where a path leads, as far as it is there.
func followed(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil || path == "/" {
		return real
	}
	dir, name := filepath.Split(path)
	return filepath.Join(followed(filepath.Clean(dir)), name)
}

// inFolder says whether a path is in a folder, or the folder.
func inFolder(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// canBeWalled says, as a noNetwork, why no wall would keep the stage's containers in.
func (e *Environment) canBeWalled(ctx context.Context) error {
	for _, s := range e.contained {
		why, err := breaksOut(s)
		if err != nil {
			return err
		}
		if why != "" {
			return noNetwork{errors.New(why)}
		}
	}
	d, err := e.world.Engine.begin(e.App)
	if err != nil {
		return err
	}
	return e.world.Engine.walls(func() error { return e.tryWall(ctx, d) })
}

// tryWall builds a wall for a network of the Engine, and takes both away again.
func (e *Environment) tryWall(ctx context.Context, d *docker.Driver) error {
	n, err := d.EnsureNetwork(ctx, e.App, e.Name, wallName, docker.Internal)
	if err != nil {
		return err
	}
	built := wallOf(n).Build()
	if p := problem.From(built); p != nil && p.Code == problem.Unavailable {
		built = noNetwork{built}
	}
	return errors.Join(built, d.RemoveNetworks(ctx, e.App, e.Name, func(name string) bool { return name != wallName }))
}

// walls remembers why walls can't be built for the Engine's networks: that does not change while this process runs.
func (e *Engine) walls(try func() error) error {
	e.wall.Lock()
	defer e.wall.Unlock()
	if e.tried {
		return e.noWall
	}
	err := try()
	var none noNetwork
	if err == nil || errors.As(err, &none) {
		e.tried, e.noWall = true, err
	}
	return err
}

// rebuild makes sure that the walls of all networks of the stage stand: the Engine may have made a bridge anew since.
func (e *Environment) rebuild(ctx context.Context) error {
	all, err := e.internal(ctx)
	for _, n := range all {
		err = errors.Join(err, wallOf(n).Build())
	}
	return err
}

// internal are the stage's networks in the Engine that have no way out.
func (e *Environment) internal(ctx context.Context) ([]docker.Network, error) {
	d, err := e.world.Engine.of(e.App)
	if err != nil || d == nil || runtime.GOOS != "linux" {
		return nil, err
	}
	return d.InternalNetworks(ctx, e.App, e.Name)
}

// databaseRoute is how what is in the stage's network namespace, such as its checks, reaches a database server that is a
// container; none where the stage has no namespace, or its server is in it.
func (e *Environment) databaseRoute(ctx context.Context, t Traffic) ([]edge.Route, error) {
	there, err := e.namespace().Exists()
	if err != nil || !there {
		return nil, err
	}
	for _, r := range t.Running {
		if _, ok := databaseContainer(r); !ok {
			continue
		}
		to, err := e.serverAddress(ctx, r)
		if err != nil {
			return nil, err
		}
		route := edge.Route{Name: e.serverRoute(r), Protocol: edge.TCP, Internal: true, Pools: []edge.Pool{{
			Release: string(r.Digest()), Weight: 100, Backends: []edge.Backend{{ID: e.serverID(r), Network: "tcp", Address: to}},
		}}}
		route.Listen, err = e.listen(ctx, route.Name)
		return []edge.Route{route}, err // a stage has one server, whatever runs there
	}
	return nil, nil
}

// serverRoute is the name of the database server's route.
func (e *Environment) serverRoute(r release.Release) string {
	return e.RouteName() + "/" + e.serverName(r) + serverSuffix
}

// serverWithin is the database server's address for a process of the environment's: in the stage's network namespace, where
// it has one.
func (e *Environment) serverWithin(ctx context.Context, r release.Release) (string, error) {
	there, err := e.namespace().Exists()
	if _, ok := databaseContainer(r); err != nil || !there || !ok {
		address, addressErr := e.serverAddress(ctx, r)
		return address, errors.Join(err, addressErr)
	}
	addresses, err := e.listen(ctx, e.serverRoute(r))
	if err != nil {
		return "", err
	}
	return addresses[0], nil
}
