package dockertest_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/driver/drivertest"
)

func TestMain(m *testing.M) {
	drivertest.Main()
	dockertest.Enter()
	os.Exit(m.Run())
}

// TestLeavesNothing ends an Engine that serves and one that was killed, each with a network and a container that runs and
// that no test removed.
func TestLeavesNothing(t *testing.T) {
	for name, kill := range map[string]bool{"ended": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			before := machine(t)
			var e *dockertest.Engine
			t.Run("Engine", func(t *testing.T) {
				e = dockertest.Start(t)
				runs(t, e)
				if kill {
					e.Kill(t)
				}
			})
			if e == nil { // there can be none here
				return
			}
			after := machine(t)
			for patience := time.Now().Add(time.Minute); after != before && time.Now().Before(patience); after = machine(t) {
				time.Sleep(10 * time.Millisecond) // the kernel takes interfaces away after the namespace that they led into
			}
			if after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			mounts, err := os.ReadFile("/proc/self/mounts")
			if err != nil || bytes.Contains(mounts, []byte(filepath.Dir(e.Data()))) {
				t.Errorf("mounts: %s, %v", mounts, err)
			}
			if _, err := os.Stat(e.Data()); !os.IsNotExist(err) {
				t.Errorf("its folder is left: %v", err)
			}
		})
	}
}

// runs makes a network and starts a container in it.
func runs(t *testing.T, e *dockertest.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.New(client.WithHost(e.Host))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	i := dockertest.App(t)
	res, err := c.ImageLoad(ctx, bytes.NewReader(i.Archive(t)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := new(bytes.Buffer).ReadFrom(res); err != nil {
		t.Fatal(err)
	}
	_ = res.Close()
	if _, err := c.NetworkCreate(ctx, "left", client.NetworkCreateOptions{Driver: "bridge"}); err != nil {
		t.Fatal(err)
	}
	made, err := c.ContainerCreate(ctx, client.ContainerCreateOptions{Image: i.ID(t), HostConfig: &container.HostConfig{NetworkMode: "left"}})
	if err == nil {
		_, err = c.ContainerStart(ctx, made.ID, client.ContainerStartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// machine is what there is of interfaces and processes.
func machine(t *testing.T) string {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, i := range interfaces {
		b.WriteString(i.Name + "\n")
	}
	for _, program := range []string{"dockerd", "containerd", "containerd-shim", "docker-proxy", "runc", "app"} {
		pids, _ := exec.Command("pgrep", "-x", program).Output() // it fails where there is none
		b.WriteString(program + ": " + string(pids))
	}
	return b.String()
}
