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
