package docker_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"go.uber.org/goleak"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/driver/drivertest"
)

func TestMain(m *testing.M) {
	drivertest.Main()
	dialStdio()
	dockertest.Enter()
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // they wait for the Engine, not for a processor
		panic(err)
	}
	code := m.Run()
	if err := dockertest.Leave(); err != nil {
		fmt.Fprintln(os.Stderr, "the Docker Engine does not end cleanly:", err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func openOn(t testing.TB, e *dockertest.Engine, home string) *docker.Driver {
	t.Helper()
	d, err := docker.New(docker.Options{Host: e.Host, Home: home, Logs: filepath.Join(t.TempDir(), "logs")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// loaded is the id of the suite's application in an Engine.
func loaded(t testing.TB, e *dockertest.Engine, d *docker.Driver) string {
	t.Helper()
	application.Do(func() {
		i := dockertest.App(t)
		application.id, application.archive = i.ID(t), i.Archive(t)
	})
	if application.id == "" {
		t.Fatal("the application could not be built")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if ok, err := d.Has(ctx, application.id); err != nil || ok {
		return application.id
	}
	images, err := d.Load(ctx, bytes.NewReader(application.archive))
	if err != nil || len(images) != 1 || images[0].ID != application.id {
		t.Fatalf("loading the application gave %+v, %v; want %s", images, err, application.id)
	}
	return application.id
}

// application is the suite's application as an image, which takes a while to be put together.
var application struct {
	sync.Once
	id      string
	archive []byte
}

// container makes a spec of the suite's that of a container: with the suite's application, in a network, and with the
// folder where it is.
func container(s driver.Spec, folder, image, network string) driver.Spec {
	c := &driver.Container{Image: image, Mounts: []driver.Mount{{Path: folder, Target: folder}}, Networks: []driver.Attach{{Network: network}},
		Log: driver.LogLimits{Size: 1 << 20}}
	port := ""
	if s.Listen.Network == "tcp" {
		_, port, _ = strings.Cut(s.Listen.Address, ":")
		n, _ := strconv.Atoi(port)
		c.Publish = []driver.Publish{{Port: uint16(n), Container: uint16(n)}}
	}
	ours := func(words []string) []string {
		out := append([]string{}, words...)
		for i := range out {
			out[i] = strings.Replace(out[i], "serve:tcp:127.0.0.1:", "serve:tcp:0.0.0.0:", 1)
		}
		if len(out) > 1 && out[1] == "drivertest-app" {
			out[0] = "/app"
		}
		return out
	}
	s.Command, s.Health.Command = ours(s.Command), ours(s.Health.Command)
	c.Init = len(s.Command) > 0 && s.Command[0] == "/app" // process 1 can't be killed from inside, and ignores what it does not wait for
	s.Container = c
	return s
}

func TestConformance(t *testing.T) {
	e := dockertest.Shared(t)
	d := openOn(t, e, "suite")
	image := loaded(t, e, d)
	network, err := d.EnsureNetwork(t.Context(), "suite", "suite", "default", docker.Addressed)
	if err != nil {
		t.Fatal(err)
	}
	drivertest.Run(t, drivertest.World{
		Open:       func(t *testing.T, dir string) driver.Driver { return openOn(t, e, dir) },
		Containers: true,
		Fit: func(_ *testing.T, s driver.Spec, folder string) driver.Spec {
			return container(s, folder, image, network.ID)
		},
		Adds:  []string{"HOSTNAME", "HOME"},
		Kept:  func(t *testing.T, dir string) int64 { return logsKept(t, e, dir) },
		Flood: 5 << 20,
		Lines: 45_000,
		Short: 3 * time.Second,
		Ask:   500 * time.Millisecond,
		Look:  25 * time.Millisecond,
	})
}

// logsKept is how many bytes an Engine keeps of what the containers of one home printed.
func logsKept(t testing.TB, e *dockertest.Engine, home string) (n int64) {
	t.Helper()
	c, err := client.New(client.WithHost(e.Host))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ours, err := c.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "greenroom.home="+home)})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range ours.Items {
		files, err := filepath.Glob(filepath.Join(e.Data(), "containers", one.ID, one.ID+"-json.log*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("logs of %s: %v, %v", one.ID, files, err)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil { // one may go while they are counted
				n += info.Size()
			}
		}
	}
	return n
}
