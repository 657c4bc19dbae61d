package docker_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	engine "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/problem"
)

// strangersContainer makes a container that is none of ours and runs.
func (f *fixture) strangersContainer(name string, labels map[string]string, networks *network.NetworkingConfig) string {
	f.Helper()
	host := &engine.HostConfig{NetworkMode: "none"}
	if networks != nil {
		for n := range networks.EndpointsConfig {
			host.NetworkMode = engine.NetworkMode(n)
		}
	}
	made, err := f.stranger.ContainerCreate(f.ctx, client.ContainerCreateOptions{
		Name: name, Config: &engine.Config{Image: f.image, Labels: labels}, HostConfig: host, NetworkingConfig: networks,
	})
	if err == nil {
		_, err = f.stranger.ContainerStart(f.ctx, made.ID, client.ContainerStartOptions{})
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = f.stranger.ContainerRemove(ctx, made.ID, client.ContainerRemoveOptions{Force: true}) // a test may have done it
	})
	return made.ID
}

// TestStrangers sets things beside ours that have their names but for a letter, and their labels but for one, and then does all
// that takes something away.
func TestStrangers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Start(t))
	n := f.network("qa", "default", docker.Addressed)
	v, err := f.EnsureVolume(f.ctx, "shop", "qa", "data")
	if err != nil {
		t.Fatal(err)
	}
	s := f.spec("web", "stay")
	s.Container.Networks = []driver.Attach{{Network: n.ID}}
	s.Container.Mounts = append(s.Container.Mounts, driver.Mount{Volume: v, Target: "/data"})
	f.startAndWait(s)
	ours, err := f.stranger.ContainerInspect(f.ctx, f.nameOf("web"), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(ours.Container.Name, "/")
	i := dockertest.App(t)
	i.Comment = t.Name()
	if _, err := f.Load(f.ctx, bytes.NewReader(i.Archive(t))); err != nil {
		t.Fatal(err)
	}

	others := map[string]map[string]string{ // the labels of ours, as somebody might have them
		"none":       nil,
		"no home":    {"greenroom.app": "shop", "greenroom.environment": "qa", "greenroom.service": "web", "greenroom.replica": "web", "greenroom.name": "data"},
		"empty home": {"greenroom.home": "", "greenroom.app": "shop", "greenroom.environment": "qa", "greenroom.replica": "web", "greenroom.name": "data"},
		"like ours":  {"greenroom.home": t.Name() + "/", "greenroom.app": "shop", "greenroom.environment": "qa", "greenroom.replica": "web", "greenroom.name": "data"},
	}
	var containers, networks, volumes []string
	for _, labels := range others {
		suffix := string(rune('a' + len(containers)))
		containers = append(containers, f.strangersContainer(name+suffix, labels, nil))
		made, err := f.stranger.NetworkCreate(f.ctx, n.Name+suffix, client.NetworkCreateOptions{Driver: "bridge", Labels: labels})
		if err != nil {
			t.Fatal(err)
		}
		networks = append(networks, made.ID)
		if _, err := f.stranger.VolumeCreate(f.ctx, client.VolumeCreateOptions{Name: v + suffix, Labels: labels}); err != nil {
			t.Fatal(err)
		}
		volumes = append(volumes, v+suffix)
	}
	repository, _, _ := strings.Cut(name, ".")
	for _, tag := range []string{repository + ".image:latest", repository + ".image.old:" + strings.TrimPrefix(i.ID(t), "sha256:")} {
		if _, err := f.stranger.ImageTag(f.ctx, client.ImageTagOptions{Source: i.ID(t), Target: tag}); err != nil {
			t.Fatal(err)
		}
	}

	if all, err := f.List(f.ctx, driver.Filter{}); err != nil || len(all) != 1 || all[0].ID != "web" {
		t.Errorf("listed: %+v, %v", all, err)
	}
	if pruned, err := f.Prune(f.ctx, nil); err != nil || len(pruned) != 0 {
		t.Errorf("pruned %v, %v", pruned, err)
	}
	err = errors.Join(
		f.Stop(f.ctx, "web"), f.Stop(f.ctx, "web"),
		f.RemoveNetworks(f.ctx, "shop", "qa", func(string) bool { return false }),
		f.Remove(f.ctx, "shop", "qa", true), f.Remove(f.ctx, "", "", true),
	)
	if err != nil {
		t.Error(err)
	}
	f.wantNothing("shop", "qa")
	for _, id := range containers {
		if in, err := f.stranger.ContainerInspect(f.ctx, id, client.ContainerInspectOptions{}); err != nil || !in.Container.State.Running {
			t.Errorf("a stranger's container: %+v, %v", in.Container.State, err)
		}
	}
	for _, id := range networks {
		if _, err := f.stranger.NetworkInspect(f.ctx, id, client.NetworkInspectOptions{}); err != nil {
			t.Errorf("a stranger's network: %v", err)
		}
	}
	for _, id := range volumes {
		if _, err := f.stranger.VolumeInspect(f.ctx, id, client.VolumeInspectOptions{}); err != nil {
			t.Errorf("a stranger's volume: %v", err)
		}
	}
	if in, err := f.stranger.ImageInspect(f.ctx, i.ID(t)); err != nil || len(in.RepoTags) != 2 {
		t.Errorf("a stranger's image: %v, %v", in.RepoTags, err)
	}
}

// TestAddressTaken has a stranger's container have the address that a replica is promised.
func TestAddressTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	n := f.network("qa", "default", docker.Addressed)
	address := n.Gateway.Next().Next().Next()
	other := f.strangersContainer("squatter", nil, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		n.ID: {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address}},
	}})
	s := f.spec("web", "serve:tcp:0.0.0.0:80", "stay")
	s.Listen = driver.Endpoint{Network: "tcp", Address: netip.AddrPortFrom(address, 80).String()}
	s.Container.Networks = []driver.Attach{{Network: n.ID, IPv4: address}}
	_, err := f.Start(f.ctx, s)
	wantProblem(t, err, problem.Unavailable, "an address that it is to have in a network is another container's")
	if _, err := f.Status(f.ctx, "web"); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("what could not be started: %v", err)
	}
	// As the second network it is taken up when the container is there already.
	inner := f.network("qa", "inner", docker.Internal)
	s.Container.Networks = append([]driver.Attach{{Network: inner.ID}}, s.Container.Networks...)
	_, err = f.Start(f.ctx, s)
	wantProblem(t, err, problem.Unavailable, "an address that it is to have in a network is another container's")

	err = f.Remove(f.ctx, "shop", "qa", true)
	wantProblem(t, err, problem.Blocked, "a container that is not Greenroom's is in it")
	if _, err := f.stranger.ContainerRemove(f.ctx, other, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	again, inner2 := f.network("qa", "default", docker.Addressed), f.network("qa", "inner", docker.Internal)
	s.Container.Networks = []driver.Attach{{Network: inner2.ID}, {Network: again.ID, IPv4: address}}
	if again.Subnet != n.Subnet {
		t.Errorf("the network that could not be removed was %+v, and is %+v", n, again)
	}
	f.startAndWait(s)
}

// TestNetworkGone has a network removed by hand between its making and a start.
func TestNetworkGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	first, second := f.network("qa", "default", docker.Addressed), f.network("qa", "other", docker.Addressed)
	s := f.spec("web", "stay")
	for name, two := range map[string]bool{"the only one": false, "the second": true} {
		s.Container.Networks = []driver.Attach{{Network: first.ID}}
		if two {
			s.Container.Networks = []driver.Attach{{Network: second.ID}, {Network: first.ID}}
		}
		if _, err := f.stranger.NetworkRemove(f.ctx, first.ID, client.NetworkRemoveOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := f.Start(f.ctx, s)
		wantProblem(t, err, problem.Unavailable, first.ID[:12])
		if _, err := f.Status(f.ctx, "web"); !errors.Is(err, driver.ErrNotFound) {
			t.Errorf("%s: what could not be started: %v", name, err)
		}
		first = f.network("qa", "default", docker.Addressed)
	}
}

// TestPaused has somebody pause a container: it is told with what ends it, a start leaves it, and a stop lets it end as it would.
func TestPaused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	s := f.spec("web", "print:hello", "bye", "stay")
	st := f.startAndWait(s)
	f.until("it listens for signals", func() bool { return f.logs("web") == "hello\n" })
	if _, err := f.stranger.ContainerPause(f.ctx, f.nameOf("web"), client.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := f.status("web"); got.Phase != driver.Sick || !strings.Contains(got.Reason, "somebody paused it: docker unpause greenroom-") || got.PID != st.PID {
		t.Errorf("status %+v", got)
	}
	if all, err := f.List(f.ctx, driver.Filter{}); err != nil || len(all) != 1 || all[0].Phase != driver.Sick {
		t.Errorf("list %+v, %v", all, err)
	}
	_, err := f.Wait(f.ctx, "web")
	if p := problem.From(err); p == nil || !strings.Contains(p.Message, "somebody paused it") {
		t.Errorf("wait: %v", err)
	}
	if got := f.start(s); got.PID != st.PID {
		t.Errorf("a start made it %+v of %+v", got, st)
	}
	if err := f.Stop(f.ctx, "web"); err != nil {
		t.Fatal(err)
	}
	if got := f.logs("web"); got != "hello\nbye, terminated\n" {
		t.Errorf("it printed %q", got)
	}
}

// TestRemoveInParts takes an environment away of which somebody has removed a part, and uses another: the rest goes, what can't
// is named, and goes when it can.
func TestRemoveInParts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, dockertest.Shared(t))
	first, second := f.network("qa", "first", docker.Addressed), f.network("qa", "second", docker.Addressed)
	var volumes []string
	for _, name := range []string{"data", "cache", "gone"} {
		v, err := f.EnsureVolume(f.ctx, "shop", "qa", name)
		if err != nil {
			t.Fatal(err)
		}
		volumes = append(volumes, v)
	}
	for _, id := range []string{"web", "worker"} {
		s := f.spec(id, "stay")
		s.Container.Networks = []driver.Attach{{Network: first.ID}}
		f.start(s)
	}
	_, err1 := f.stranger.ContainerRemove(f.ctx, f.nameOf("worker"), client.ContainerRemoveOptions{Force: true})
	_, err2 := f.stranger.VolumeRemove(f.ctx, volumes[2], client.VolumeRemoveOptions{})
	made, err3 := f.stranger.ContainerCreate(f.ctx, client.ContainerCreateOptions{
		Config:     &engine.Config{Image: f.image},
		HostConfig: &engine.HostConfig{Binds: []string{volumes[0] + ":/data"}, NetworkMode: engine.NetworkMode(second.ID)},
	})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if _, err := f.stranger.ContainerStart(f.ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	err := f.Remove(f.ctx, "shop", "qa", true)
	for _, left := range []string{second.Name, volumes[0]} {
		if err == nil || !strings.Contains(err.Error(), left) {
			t.Errorf("it is not said that %s can't be removed: %v", left, err)
		}
	}
	for _, gone := range []string{first.Name, volumes[1], volumes[2]} {
		if err != nil && strings.Contains(err.Error(), gone) {
			t.Errorf("%s can be removed: %v", gone, err)
		}
	}
	_, err1 = f.stranger.NetworkInspect(f.ctx, first.ID, client.NetworkInspectOptions{})
	_, err2 = f.stranger.VolumeInspect(f.ctx, volumes[1], client.VolumeInspectOptions{})
	if !errdefs.IsNotFound(err1) || !errdefs.IsNotFound(err2) {
		t.Errorf("what nobody uses: %v, %v", err1, err2)
	}
	if _, err := f.stranger.ContainerRemove(f.ctx, made.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Remove(f.ctx, "shop", "qa", true); err != nil {
			t.Error(err)
		}
		f.wantNothing("shop", "qa")
	}
}
