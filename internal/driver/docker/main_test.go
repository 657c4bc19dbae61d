package docker_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/driver/drivertest"
)

func TestMain(m *testing.M) {
	drivertest.Main()
	dockertest.Enter()
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
	d, err := docker.New(docker.Options{Host: e.Host, Home: home})
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
	i := dockertest.App(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if ok, err := d.Has(ctx, i.ID(t)); err != nil || ok {
		return i.ID(t)
	}
	images, err := d.Load(ctx, bytes.NewReader(i.Archive(t)))
	if err != nil || len(images) != 1 || images[0].ID != i.ID(t) {
		t.Fatalf("loading the application gave %+v, %v; want %s", images, err, i.ID(t))
	}
	return i.ID(t)
}

// container makes a spec of the suite's that of a container: with the suite's application, in a network, and with the
// folder where it is.
func container(s driver.Spec, folder, image, network string) driver.Spec {
	c := &driver.Container{Image: image, Mounts: []driver.Mount{{Path: folder, Target: folder}}, Networks: []driver.Attach{{Network: network}}}
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
	var networks sync.Map // home -> its network
	drivertest.Run(t, drivertest.World{
		Open: func(t *testing.T, dir string) driver.Driver {
			d := openOn(t, e, dir)
			return d
		},
		Containers: true,
		Fit: func(t *testing.T, s driver.Spec, folder string) driver.Spec {
			made, _ := networks.LoadOrStore("suite", sync.OnceValues(func() (docker.Network, error) {
				return openOn(t, e, "suite").EnsureNetwork(t.Context(), "suite", "suite", "suite", false)
			}))
			n, err := made.(func() (docker.Network, error))()
			if err != nil {
				t.Fatal(err)
			}
			return container(s, folder, loaded(t, e, openOn(t, e, "suite")), n.ID)
		},
		Adds:  []string{"HOSTNAME", "HOME"},
		Kept:  func(t *testing.T) int64 { return diskUse(t, filepath.Join(e.Data(), "containers")) },
		Flood: 64 << 20,
		Lines: 500_000,
		Short: 3 * time.Second,
	})
}

func diskUse(t testing.TB, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // files go while they are counted
		}
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
