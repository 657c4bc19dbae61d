package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func dangerous() Contents {
	return Contents{Services: []Service{
		{Name: "agent", Kind: KindContainer, Container: &Container{
			Privileged: true, Network: "host", PID: "host", IPC: "host", CapAdd: []string{"cap_sys_admin", "NET_BIND_SERVICE", "ALL"},
			Devices: []string{"/dev/fuse:/dev/fuse:rwm"}, SecurityOpt: []string{"seccomp=unconfined"},
			Mounts: []Mount{{Path: "/var/run/docker.sock", Target: "/s"}, {Path: "/", Target: "/host"}, {Volume: "v", Target: "/v"}, {Files: "f", Target: "/f"}, {Files: "../../etc", Target: "/f"}},
		}},
		{Name: "web", Kind: KindContainer, Container: &Container{CapAdd: []string{"SYS_NICE"}, CapDrop: []string{"ALL"}}},
		{Name: "worker", Kind: KindProcess},
	}}
}

func TestDangers(t *testing.T) {
	c := dangerous()
	want := []string{
		"cap_add ALL", "cap_add SYS_ADMIN", "devices /dev/fuse:/dev/fuse:rwm", "ipc host", "network_mode host", "pid host", "privileged",
		"security_opt seccomp=unconfined", "volumes ../../etc", "volumes /", "volumes /var/run/docker.sock",
	}
	if diff := cmp.Diff(want, c.Services[0].Dangers()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, s := range c.Services[1:] {
		if got := s.Dangers(); len(got) > 0 {
			t.Errorf("%s: %q", s.Name, got)
		}
	}
}

// TestUnaccepted: only what production accepts with a reason, for that service, is accepted.
func TestUnaccepted(t *testing.T) {
	c := Contents{Services: []Service{
		{Name: "agent", Kind: KindContainer, Container: &Container{Privileged: true, PID: "host", IPC: "host"}},
		{Name: "other", Kind: KindContainer, Container: &Container{Privileged: true}},
	}}
	p := Policy{App: "shop", Environments: []Environment{
		{Name: "staging", Accept: map[string]map[string]string{"agent": {"ipc host": "here"}, "other": {"privileged": "here"}}},
		{Name: "production", After: "staging", Accept: map[string]map[string]string{"agent": {"privileged": "it reads counters", "ipc host": " "}}},
	}}
	want := []Danger{{"agent", "ipc host"}, {"agent", "pid host"}, {"other", "privileged"}}
	if diff := cmp.Diff(want, p.Unaccepted(c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := len(Policy{}.Unaccepted(c)); got != 4 {
		t.Errorf("a policy that says nothing refuses %d of 4", got)
	}
}

// TestAcceptWeakens: accepting is a weaker gate, and taking it back a tighter one.
func TestAcceptWeakens(t *testing.T) {
	with := func(accept map[string]map[string]string) Policy {
		return Policy{App: "shop", Environments: []Environment{{Name: "production", Accept: accept}}}
	}
	none, one := with(nil), with(map[string]map[string]string{"agent": {"pid host": "it counts"}})
	other := with(map[string]map[string]string{"agent": {"pid host": "it counts all"}})
	const path = "environments.production.accept.agent.pid host"
	for _, tc := range []struct {
		was, is Policy
		want    Change
	}{
		{none, one, Change{Path: path, Is: "it counts", Note: WeakensGate}},
		{one, none, Change{Path: path, Was: "it counts", Note: TightensGate}},
		{one, other, Change{Path: path, Was: "it counts", Is: "it counts all"}},
	} {
		if diff := cmp.Diff([]Change{tc.want}, Changes(tc.was, tc.is)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
