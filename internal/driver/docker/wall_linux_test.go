package docker_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/wall"
)

// TestWalledNetwork has a wall between an internal network and this machine: its container is dialled from here and gets
// nowhere itself, whether the Engine filters packets or not, and after the Engine's death.
func TestWalledNetwork(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) *dockertest.Engine{"shared": dockertest.Shared, "own": dockertest.Start} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, start(t))
			n := f.network("qa", "inner", docker.Internal)
			w := wall.Wall{Bridge: n.Bridge, Address: netip.PrefixFrom(n.Gateway, n.Subnet.Bits())}
			if err := w.Check(); err == nil {
				t.Fatal("the machine has an address before there is a wall")
			}
			if err := w.Build(); err != nil {
				t.Fatal(err)
			}
			s := f.spec("web", "serve:tcp:0.0.0.0:80", "stay")
			address := n.Gateway.Next().Next().Next()
			s.Listen = driver.Endpoint{Network: "tcp", Address: netip.AddrPortFrom(address, 80).String()}
			s.Health = app.Health{HTTP: "/", Interval: 20 * time.Millisecond, Timeout: 5 * time.Second, Retries: 2, Start: time.Minute}
			s.Container.Networks = []driver.Attach{{Network: n.ID, IPv4: address}}
			f.startAndWait(s)
			f.wantShut(n)
			if name == "own" {
				f.engine.Kill(t)
				f.engine.Return(t)
				f.startAndWait(s)
				if err := w.Check(); err != nil {
					t.Errorf("after the Engine's death: %v", err)
				}
				f.wantShut(n)
			}
			all, err := f.InternalNetworks(f.ctx, "shop", "qa")
			if err != nil || len(all) != 1 || all[0] != n {
				t.Errorf("the internal networks are %+v, %v; want %+v", all, err, n)
			}
			if err := f.Remove(f.ctx, "shop", "qa", true); err != nil {
				t.Error(err)
			}
			f.wantNothing("shop", "qa")
		})
	}
}

// wantShut has a container of the network, and one of another that has no wall, ask this machine for a page.
func (f *fixture) wantShut(n docker.Network) {
	f.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		f.Fatal(err)
	}
	page := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("here")) }))
	_ = page.Listener.Close()
	page.Listener = l
	page.Start()
	defer page.Close()
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	open := f.network("staging", "default", docker.Addressed)
	for _, c := range []struct {
		name, environment string
		in                docker.Network
		reached           bool
	}{{"a network without a wall", "staging", open, true}, {"the walled network", "qa", n, false}} {
		a := f.spec("ask", "get:http://"+netip.AddrPortFrom(c.in.Gateway, port).String()+"/", "exit:0")
		a.Environment, a.Container.Networks = c.environment, []driver.Attach{{Network: c.in.ID}}
		f.start(a)
		f.until("asked", func() bool { return f.status(a.ID).Phase == driver.Exited })
		if said := f.logs(a.ID); strings.HasPrefix(said, "200") != c.reached {
			f.Errorf("from %s: %q", c.name, said)
		}
		if err := f.Stop(f.ctx, a.ID); err != nil {
			f.Error(err)
		}
	}
}
