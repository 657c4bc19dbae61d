package driver

import (
	"strings"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/problem"
)

func TestCheckContainer(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for says, spoil := range map[string]func(*Spec){
		"":                         func(*Spec) {},
		"is not pinned":            func(s *Spec) { s.Container.Image = "postgres:16" },
		"its image \"\"":           func(s *Spec) { s.Container.Image = "" },
		"not in a network":         func(s *Spec) { s.Network = "/networks/ns" },
		"no restart policy":        func(s *Spec) { s.Container.RestartPolicy.Name = "never" },
		"two things are at":        func(s *Spec) { s.Container.Tmpfs = []Tmpfs{{Target: "/data"}} },
		"neither a volume's":       func(s *Spec) { s.Container.Mounts[0].Path = "/srv" },
		"nor an absolute":          func(s *Spec) { s.Container.Mounts[0] = Mount{Path: "srv", Target: "/data"} },
		"a volume can't be at":     func(s *Spec) { s.Container.Mounts[0].Target = "data" },
		"a tmpfs can't be at":      func(s *Spec) { s.Container.Tmpfs = []Tmpfs{{Target: "/"}} },
		"a file can't be at":       func(s *Spec) { s.Container.Files = []File{{Target: "/run/../etc/shadow"}} },
		"has more than":            func(s *Spec) { s.Container.Files = []File{{Target: "/big", Content: make([]byte, MaxFile+1)}} },
		"its folder \"here\" is":   func(s *Spec) { s.Dir = "here" },
		"in no other, and publish": func(s *Spec) { s.Container.Network, s.Container.Publish = "host", []Publish{{Port: 1, Container: 1}} },
		"it is in the machine's":   func(s *Spec) { s.Container.Network, s.Container.Networks = "host", []Attach{{Network: "x"}} },
		"its network_mode can't":   func(s *Spec) { s.Container.Network = "container:x" },
		"its pid can't be":         func(s *Spec) { s.Container.PID = "container:x" },
		"its ipc can't be":         func(s *Spec) { s.Container.IPC = "shareable" },
		"is no device":             func(s *Spec) { s.Container.Devices = []string{"nvidia.com/gpu=all"} },
		"no security option":       func(s *Spec) { s.Container.SecurityOpt = []string{"seccomp={}"} },
		"its health is asked over": func(s *Spec) { s.Health = app.Health{TCP: true} },
	} {
		s := Spec{ID: "web", Container: &Container{Image: "shop@" + digest, Mounts: []Mount{{Volume: "data", Target: "/data"}}}}
		spoil(&s)
		err := s.Check()
		if says == "" {
			if err != nil {
				t.Errorf("a good one: %v", err)
			}
			continue
		}
		if p := problem.From(err); p == nil || p.Code != problem.Invalid || !strings.Contains(p.Message, says) {
			t.Errorf("%v, want that it says %q", err, says)
		}
	}
}

func TestSplitDevice(t *testing.T) {
	for text, want := range map[string][3]string{
		"/dev/fuse":            {"/dev/fuse", "/dev/fuse", "rwm"},
		"/dev/sda:/dev/disk":   {"/dev/sda", "/dev/disk", "rwm"},
		"/dev/sda:/dev/disk:r": {"/dev/sda", "/dev/disk", "r"},
	} {
		host, container, permissions, ok := SplitDevice(text)
		if got := [3]string{host, container, permissions}; !ok || got != want {
			t.Errorf("%q is %q, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "dev/fuse", "/dev/fuse:", "/dev/fuse:fuse", "/dev/fuse:/dev/fuse:", "/dev/fuse:/dev/fuse:x", "/a:/b:r:w"} {
		if _, _, _, ok := SplitDevice(text); ok {
			t.Errorf("%q is a device", text)
		}
	}
}
