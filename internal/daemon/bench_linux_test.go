package daemon

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"greenroom/internal/api"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/driver/process"
	"greenroom/internal/plan"
	"greenroom/internal/release"
	"greenroom/internal/watch"
)

// Processes and containers beside each other, in one run: what a switch and a reconciliation cost. Each is a whole Greenroom, with
// an app that is ready as soon as it listens.

// plain is an app without a database, of services with so many replicas each. The first is the public one.
func plain(contained bool, replicas ...int) sources {
	s := sources{version: "v1", definition: `app: app
environments:
  production:
    rollout: {steps: [100%], watch: 0s, drain: 5s}
gates:
  production:
    except:
      migration: &because {because: what is measured is the promotion, until: 2099-12-31}
      old-on-new: *because
      rollback: *because
`}
	how := "    x-greenroom: {files: [bin/app, VERSION], run: bin/app cache}\n"
	if contained {
		s.definition, how = "driver: docker\n"+s.definition, "    command: bin/app cache\n    environment: {LISTEN: 0.0.0.0}\n"
	}
	var b strings.Builder
	b.WriteString("services:\n")
	for i, n := range replicas {
		port := "    expose: [\"8080\"]\n"
		if i == 0 {
			port = "    ports: [\"8080:8080\"]\n"
		}
		fmt.Fprintf(&b, "  web%d:\n    build: .\n    deploy: {replicas: %d}\n    stop_grace_period: 3s\n%s%s", i, n, port, how)
	}
	s.compose = b.String()
	return s
}

// own is what the app takes without anybody around it: from its start to its first answer, and from the wish that it ends until nothing
// of it is left.
type own struct{ start, end time.Duration }

// sides are what is compared. alone has the app run without anybody around it, a container in so many networks.
func sides(b *testing.B, run func(b *testing.B, contained bool, h *house, alone func(networks int) own)) {
	b.Run("processes", func(b *testing.B) {
		h := newHouse(b)
		run(b, false, h, func(int) own { return h.ownProcess() })
	})
	b.Run("containers", func(b *testing.B) {
		engine := dockertest.StartWide(b)
		b.Setenv("DOCKER_HOST", engine.Host)
		dir := newFolder(b)
		h := newHouseIn(b, dir, filepath.Join(dir, "home"), func(h *house) { h.engine = engine.Host })
		c, err := client.New(client.WithHost(engine.Host))
		must(b, err)
		b.Cleanup(func() { must(b, c.Close()) })
		run(b, true, h, func(networks int) own { return h.ownContainer(c, networks) })
	})
}

// BenchmarkSwitch tells of a promotion of one replica, all in all, and what it adds: to the app's own start until everybody is sent
// there, and to its own start and the end of the one before until the promotion has ended. Of that a container has a part because it is
// in a second network, its release's: what the Engine takes for that alone is told beside it.
func BenchmarkSwitch(b *testing.B) {
	sides(b, func(b *testing.B, contained bool, h *house, alone func(networks int) own) {
		releases := []release.Digest{h.live(plain(contained, 1)), h.build(plain(contained, 1).as("v2", ""))}
		took := map[string][]time.Duration{}
		for n := 1; b.Loop(); {
			for range 9 {
				tell := func(what string, d time.Duration) { took[what] = append(took[what], d) }
				one := alone(1)
				tell("own-start", one.start)
				tell("own-end", one.end)
				if contained {
					two := alone(2)
					tell("second-network-start", two.start-one.start)
					tell("second-network-end", two.end-one.end)
				}
				r := h.wantOutcome(h.promote(releases[n%2]), plan.Succeeded)
				began, _ := stepAt(r, "start")
				_, shared := stepAt(r, "share-100")
				all := r.Ended.Sub(r.Started)
				tell("promotion", all)
				tell("added-to-traffic", shared.Sub(began)-one.start)
				tell("added", all-one.start-one.end)
				n++
			}
		}
		for what, all := range took {
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2])/float64(time.Millisecond), "ms-"+what)
		}
	})
}

// stepAt is when a step began and when it was done.
func stepAt(r api.RunView, step string) (began, done time.Time) {
	for _, e := range r.Journal {
		if e.Step == step && e.State == plan.Started {
			began = e.At
		}
		if e.Step == step && e.State == plan.Done {
			done = e.At
		}
	}
	return began, done
}

// BenchmarkReconcile is one pass over an environment of 20 services with 50 replicas in which nothing changed.
func BenchmarkReconcile(b *testing.B) {
	replicas := slices.Concat(slices.Repeat([]int{3}, 10), slices.Repeat([]int{2}, 10))
	sides(b, func(b *testing.B, contained bool, h *house, _ func(int) own) {
		h.live(plain(contained, replicas...))
		h.killDaemon()
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		w, err := open(b.Context(), Options{Home: h.home, Version: "test", Program: built.greenroom, Log: log})
		must(b, err)
		defer func() { must(b, cmp.Or(w.Engine.Close(), w.Store.Close())) }()
		loop := &watch.Loop{World: w, Log: log, Locks: new(watch.Locks)}
		for b.Loop() {
			loop.Once(b.Context())
		}
		if said.Len() > 0 {
			b.Fatalf("it had something to do:\n%s", said.String())
		}
	})
}

// ownProcess runs the app as a child of this test.
func (h *house) ownProcess() (took own) {
	h.Helper()
	port, err := process.FreePort(func(int) bool { return false })
	must(h, err)
	cmd := exec.Command(built.app, "cache")
	cmd.Env = []string{"PORT=" + strconv.Itoa(port)}
	began := time.Now()
	must(h, cmd.Start())
	h.firstAnswer(fmt.Sprintf("http://127.0.0.1:%d/up", port))
	took.start = time.Since(began)
	began = time.Now()
	must(h, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait() // a signal ended it
	took.end = time.Since(began)
	return took
}

// ownContainer runs a container of the app that nobody but the Engine makes, starts, ends and removes. Its networks are there before,
// and stay.
func (h *house) ownContainer(c *client.Client, networks int) (took own) {
	h.Helper()
	ctx := h.ctx()
	images, err := c.ImageList(ctx, client.ImageListOptions{})
	must(h, err)
	in := make([]string, networks)
	for i := range in {
		n, err := c.NetworkCreate(ctx, fmt.Sprint("bench", i), client.NetworkCreateOptions{Driver: "bridge"})
		must(h, err)
		in[i] = n.ID
	}
	began := time.Now()
	made, err := c.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config:           &container.Config{Image: images.Items[0].ID, Cmd: []string{"bin/app", "cache"}, Env: []string{"LISTEN=0.0.0.0", "PORT=8080"}},
		HostConfig:       &container.HostConfig{NetworkMode: container.NetworkMode(in[0])},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{in[0]: {}}},
	})
	must(h, err)
	for _, other := range in[1:] {
		_, err := c.NetworkConnect(ctx, other, client.NetworkConnectOptions{Container: made.ID})
		must(h, err)
	}
	_, err = c.ContainerStart(ctx, made.ID, client.ContainerStartOptions{})
	must(h, err)
	is, err := c.ContainerInspect(ctx, made.ID, client.ContainerInspectOptions{})
	must(h, err)
	var at netip.Addr
	for _, e := range is.Container.NetworkSettings.Networks {
		at = e.IPAddress
	}
	h.firstAnswer("http://" + netip.AddrPortFrom(at, 8080).String() + "/up")
	took.start = time.Since(began)
	began = time.Now()
	_, err = c.ContainerStop(ctx, made.ID, client.ContainerStopOptions{})
	must(h, err)
	_, err = c.ContainerRemove(ctx, made.ID, client.ContainerRemoveOptions{})
	must(h, err)
	took.end = time.Since(began)
	for _, id := range in {
		_, err = c.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
		must(h, err)
	}
	return took
}

func (h *house) firstAnswer(url string) {
	h.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		res, err := http.Get(url)
		if err == nil {
			must(h, res.Body.Close())
			return
		}
		if time.Since(began) > patience {
			h.Fatal(err)
		}
	}
}
