package environment

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/process"
	"greenroom/internal/release"
)

// The ports of environments' own addresses: people type these, so they are few and low.
const (
	FirstAddress = 7000 // FirstAddress is the front's, unless World.FirstAddress says otherwise; the environments' follow.
	lastAddress  = 7999
)

// listen is the address of a route, the same one for as long as the environment exists.
func (e *Environment) listen(ctx context.Context, route string) ([]string, error) {
	choose := process.FreePort
	if route == e.RouteName() {
		choose = e.world.freeAddress
	}
	port, err := e.world.Store.Reserve(ctx, addressKey(route), choose)
	if err != nil {
		return nil, err
	}
	return []string{loopback(port)}, nil
}

// addressKey is the key of a route's port in the store.
func addressKey(route string) string { return "route:" + route }

// replicaKey is the key of a replica's port in the store.
func replicaKey(id string) string { return "replica:" + id }

// Front is the address at which every environment is found by its hosts.
func (w *World) Front(ctx context.Context) (string, error) {
	port, err := w.Store.Reserve(ctx, "front", func(taken func(int) bool) (int, error) { return freeFrom(w.FirstAddress, taken) })
	return loopback(port), err
}

// freeAddress finds a port for an environment's address.
func (w *World) freeAddress(taken func(int) bool) (int, error) {
	return freeFrom(w.FirstAddress+1, taken)
}

func freeFrom(first int, taken func(int) bool) (int, error) {
	for port := first; port <= lastAddress; port++ {
		if taken(port) {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no port from %d to %d is free", first, lastAddress)
}

// replicaID names a replica for the driver.
func (e *Environment) replicaID(r release.Release, s app.Service, index int) string {
	return e.replicas(r, s) + strconv.Itoa(index)
}

// replicas is how the names of a service's replicas begin, and no others do.
func (e *Environment) replicas(r release.Release, s app.Service) string {
	return fmt.Sprintf("%s.%s.%s.%s.", e.App, e.Name, s.Name, identity(r, s))
}

func (e *Environment) replicaPort(ctx context.Context, id string) (int, error) {
	return e.world.Store.Reserve(ctx, replicaKey(id), process.FreePort)
}

// endpoint is where a replica of a service that listens is dialled from this machine, whether it runs or not.
func (e *Environment) endpoint(ctx context.Context, s app.Service, id string) (driver.Endpoint, error) {
	if !onLoopback(s) {
		return e.containerEndpoint(ctx, s, id)
	}
	port, err := e.replicaPort(ctx, id)
	return driver.Endpoint{Network: "tcp", Address: loopback(port)}, err
}

// onLoopback says whether a service's replicas are dialled at ports of this machine. Elsewhere than on Linux the addresses of
// containers lead nowhere, and their ports are published.
func onLoopback(s app.Service) bool { return s.Kind != app.KindContainer || runtime.GOOS != "linux" }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// claim makes sure that the ports which the environment and these releases are about to use can be had, and says whether
// any had to be given up for another. A port is promised before anybody listens on it, and in between any program of the
// machine can take it. The environment's own address is changed only while nobody knows it: from then on people hear
// who has it.
func (e *Environment) claim(ctx context.Context, releases []release.Release) (renewed bool, err error) {
	promised := e.promised(releases)
	listens, err := e.listening(ctx, promised)
	if err != nil {
		return false, err
	}
	for _, key := range promised {
		if listens[key] {
			continue
		}
		again, err := e.world.renewIfTaken(ctx, key, process.FreePort)
		if err != nil {
			return false, err
		}
		renewed = renewed || again
	}
	own := addressKey(e.RouteName())
	record, err := e.world.Store.Environment(ctx, e.App, e.Name)
	if err != nil || listens[own] || record.Live != "" {
		return renewed, err
	}
	again, err := e.world.renewIfTaken(ctx, own, e.world.freeAddress)
	return renewed || again, err
}

// listening are those keys of ports on which replicas of the environment, or the edge for it, listen already.
func (e *Environment) listening(ctx context.Context, promised []string) (map[string]bool, error) {
	table, err := e.world.Edge.Table(ctx)
	if err != nil {
		return nil, err
	}
	listens := map[string]bool{}
	if slices.ContainsFunc(promised, func(key string) bool { return strings.HasPrefix(key, replicaKey("")) }) {
		here, err := e.world.Driver.List(ctx, driver.Filter{App: e.App, Environment: e.Name})
		if err != nil {
			return nil, err
		}
		for _, s := range here {
			listens[replicaKey(s.ID)] = true
		}
	}
	for _, r := range table.Routes {
		listens[addressKey(r.Name)] = true
	}
	return listens, nil
}

// promised are the keys of all ports of these releases' replicas and local balancers.
func (e *Environment) promised(releases []release.Release) []string {
	keys := []string{addressKey(e.candidateRoute())}
	for _, r := range releases {
		for _, s := range r.Contents.Services {
			if !s.Released() || s.Port == 0 {
				continue
			}
			keys = append(keys, addressKey(e.internalRoute(s.Name, r.Digest())))
			if !onLoopback(s) {
				continue
			}
			for i := range e.Settings.Scale.Of(s.Replicas) {
				keys = append(keys, replicaKey(e.replicaID(r, s, i)))
			}
		}
	}
	return keys
}

// containerKeys are the keys of the addresses of a release's containers, which nobody else of the machine can take.
func (e *Environment) containerKeys(r release.Release) (keys []string) {
	for _, s := range r.Contents.Services {
		if !s.Released() || onLoopback(s) {
			continue
		}
		for i := range e.Settings.Scale.Of(s.Replicas) {
			keys = append(keys, replicaKey(e.replicaID(r, s, i)))
		}
	}
	return keys
}

// forgetOthers gives back the ports that were promised to releases which are not live: those of a run that needs an
// operator stay until then, because nothing after it takes it back.
func (e *Environment) forgetOthers(ctx context.Context, live *release.Release) error {
	var keep []string
	if live != nil {
		keep = append(e.promised([]release.Release{*live}), e.containerKeys(*live)...)
	}
	if err := e.leaveNetworks(ctx, func(name string) bool { return name == common || live != nil && name == live.Digest().Short() }); err != nil {
		return err
	}
	var gone []string
	for _, prefix := range []string{addressKey(e.RouteName() + "/"), replicaKey(e.App + "." + e.Name + ".")} {
		keys, err := e.world.Store.NumberKeys(ctx, prefix)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if !slices.Contains(keep, key) && !strings.HasSuffix(key, serverSuffix) && key != addressKey(e.candidateRoute()) {
				gone = append(gone, key)
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return e.world.Store.ReleasePrefixes(ctx, gone...)
}

// renewIfTaken gives a key another port when somebody listens on the one that it has.
func (w *World) renewIfTaken(ctx context.Context, key string, choose func(func(int) bool) (int, error)) (bool, error) {
	port, known, err := w.Store.Number(ctx, key)
	if err != nil || !known {
		return false, err
	}
	l, err := net.Listen("tcp", loopback(port))
	if err == nil {
		return false, l.Close()
	}
	w.Log.Warn("a promised port was taken by somebody else", "port", port, "for", key)
	_, err = w.Store.Renew(ctx, key, choose)
	return true, err
}
