package docker

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// What an Engine says when it can't start a container, and what a person is told.
func TestStartProblem(t *testing.T) {
	s := driver.Spec{ID: "web", User: "shop", Listen: driver.Endpoint{Network: "tcp", Address: "127.0.0.1:7001"}, Container: &driver.Container{}}
	d := &Driver{engine: engineOf(t, "1.41")}
	d.engine.host = "tcp://10.1.2.3:2375"
	for engine, want := range map[string]struct {
		code problem.Code
		says string
	}{
		"driver failed programming external connectivity: Bind for 127.0.0.1:7001 failed: port is already allocated": {problem.Unavailable, "127.0.0.1:7001 is taken by another program"},
		"Address already in use": {problem.Unavailable, "is another container's"},
		"no available IPv4 addresses on this network's address pools: greenroom-1.shop.qa (1)": {problem.Unavailable, "has no address left"},
		"network 0a1b not found":                         {problem.Unavailable, "network 0a1b not found"},
		"mkdir /var/lib/docker: no space left on device": {problem.Unavailable, "disk of the Docker Engine is full"},
		"OCI runtime create failed: runc create failed: unable to start container process: unable to apply caps: operation not permitted": {problem.Invalid, "has not got the rights itself"},
		"unable to find user shop: no matching entries in passwd file":                                                                    {problem.Invalid, "no user shop"},
		"invalid mount config for type \"bind\": bind source path does not exist: /files":                                                 {problem.Invalid, "not on the machine of the Docker Engine (tcp://10.1.2.3:2375)"},
		"something else": {problem.Fail, "something else"},
	} {
		p := problem.From(d.startProblem(t.Context(), "0a1b", s, errors.New("Error response from daemon: "+engine)))
		if p == nil || p.Code != want.code || !strings.HasPrefix(p.Message, "web can't be started") || !strings.Contains(p.Message, want.says) || p.Hint == "" && p.Code != problem.Fail {
			t.Errorf("%s: %+v", engine, p)
		}
	}
}

// Where an Engine is said to be, and where its networks show that it is.
func TestElsewhere(t *testing.T) {
	for host, want := range map[string]bool{
		"unix:///var/run/docker.sock": false, "npipe:////./pipe/docker_engine": false, "tcp://127.0.0.1:2375": false, "tcp://[::1]:2375": false,
		"tcp://localhost:2375": false, "ssh://root@localhost": false, "tcp://10.1.2.3:2375": true, "ssh://engine.example.com": true, "tcp://engine:2376": true,
	} {
		e := engineOf(t, "1.41")
		if e.host = host; e.elsewhere() != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
	d := &Driver{engine: engineOf(t, "1.41")}
	near := Network{Subnet: netip.MustParsePrefix("127.0.0.0/8"), Gateway: netip.MustParseAddr("127.0.0.1")}
	far := Network{Subnet: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("203.0.113.1")}
	near.Bridge, far.Bridge = "lo", "br-nowhere"
	for _, internal := range []bool{false, true} {
		if err := d.reached(near, internal); err != nil {
			t.Errorf("a network of this machine, internal %t: %v", internal, err)
		}
		if p := problem.From(d.reached(far, internal)); p == nil || p.Code != problem.Unavailable || !strings.Contains(p.Message, "is elsewhere") || !strings.Contains(p.Message, "203.0.113.0/24") || p.Hint == "" {
			t.Errorf("a network of another machine, internal %t: %v", internal, p)
		}
	}
	d.engine.host = "tcp://10.1.2.3:2375"
	s := driver.Spec{ID: "web", Container: &driver.Container{Image: "sha256:" + strings.Repeat("0", 64), Publish: []driver.Publish{{Port: 1, Container: 1}}}}
	if _, err := d.Start(t.Context(), s); problem.From(err) == nil || !strings.Contains(err.Error(), "those of another machine") {
		t.Errorf("ports of another machine: %v", err)
	}
}
