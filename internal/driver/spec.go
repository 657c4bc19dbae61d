package driver

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"greenroom/internal/app"
	"greenroom/internal/problem"
	"greenroom/internal/redact"
)

// Marker is the variable that every process of a replica has; its value names the replica and no other on the machine.
const Marker = "GREENROOM_REPLICA"

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)

// ValidID says whether there can be a replica of that id.
func ValidID(id string) bool { return idForm.MatchString(id) }

// Check says what is wrong with a spec, as a problem, all but what only trying can show. A value is never in the problem:
// it may be a secret.
func (s Spec) Check() error {
	switch {
	case !ValidID(s.ID):
		return problem.New(problem.Invalid, "%q is no id of a replica: 1 to 128 of a-z, 0-9, dot, dash, underscore, the first a letter or digit", s.ID)
	case s.Container == nil && (len(s.Command) == 0 && s.Deploy == nil || len(s.Command) > 0 && s.Command[0] == ""):
		return s.invalid("it has no command")
	case !filepath.IsAbs(s.Dir) && (s.Container == nil || s.Dir != ""):
		return s.invalid("its folder %q is not absolute", s.Dir)
	case s.Listen.Network != "" && s.Listen.Network != "tcp" && s.Listen.Network != "unix":
		return s.invalid("it can't listen on network %q, only on tcp or unix", s.Listen.Network)
	case s.Listen.Network == "" && (s.Health.HTTP != "" || s.Health.TCP):
		return s.invalid("its health is asked over the network, but it listens nowhere")
	case s.Stop.Signal != "" && unix.SignalNum(s.Stop.Signal) == 0:
		return s.invalid("there is no signal %q", s.Stop.Signal)
	}
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return s.invalid("%q can't be an environment variable", name)
		}
	}
	switch {
	case s.Container != nil:
		return s.checkContainer()
	case s.Deploy != nil:
		return s.checkDeploy()
	}
	return nil
}

func (s Spec) checkDeploy() error {
	switch {
	case len(s.Health.Command) == 0 || s.Health.HTTP != "" || s.Health.TCP:
		return s.invalid("whether what a command deployed is live is asked by a status command, and by nothing else")
	case s.Restart:
		return s.invalid("a deploy command that has ended is not started again by itself")
	case s.Deploy.Timeout < 0 || s.Deploy.StopTimeout < 0:
		return s.invalid("the time of a command can't be negative")
	}
	return nil
}

func (s Spec) invalid(format string, args ...any) error {
	return problem.New(problem.Invalid, "replica "+s.ID+": "+format, args...)
}

// pinned is an image that can't become another one.
var pinned = regexp.MustCompile(`^([^@\s]+@)?sha256:[0-9a-f]{64}$`)

func (s Spec) checkContainer() error {
	c := s.Container
	switch {
	case !pinned.MatchString(c.Image):
		return s.invalid("its image %q is not pinned: only an id or a digest (sha256:…) stays what it is", c.Image)
	case s.Network != "":
		return s.invalid("a container is in networks of the Engine, not in a network namespace of this machine")
	case !slices.Contains([]string{"", "no", "always", "on-failure", "unless-stopped"}, c.RestartPolicy.Name):
		return s.invalid("there is no restart policy %q, only no, always, on-failure and unless-stopped", c.RestartPolicy.Name)
	}
	if err := s.checkWalls(); err != nil {
		return err
	}
	targets := map[string]bool{}
	target := func(what, name string) error {
		switch {
		case !path.IsAbs(name) || path.Clean(name) != name || name == "/" || strings.Contains(name, "\x00"):
			return s.invalid("%s can't be at %q in the container: it takes a clean absolute path", what, name)
		case targets[name]:
			return s.invalid("two things are at %q in the container", name)
		}
		targets[name] = true
		return nil
	}
	for _, m := range c.Mounts {
		if err := target("a volume", m.Target); err != nil {
			return err
		}
		if (m.Volume == "") == (m.Path == "") || m.Path != "" && !filepath.IsAbs(m.Path) {
			return s.invalid("what is mounted at %s is neither a volume's name nor an absolute path", m.Target)
		}
	}
	for _, t := range c.Tmpfs {
		if err := target("a tmpfs", t.Target); err != nil {
			return err
		}
	}
	for _, f := range c.Files {
		if err := target("a file", f.Target); err != nil {
			return err
		}
		if len(f.Content) > MaxFile {
			return s.invalid("the file for %s has more than %d bytes", f.Target, MaxFile)
		}
	}
	return nil
}

// checkWalls is about what takes the walls around a container down.
func (s Spec) checkWalls() error {
	c := s.Container
	for name, mode := range map[string]string{"network_mode": c.Network, "pid": c.PID, "ipc": c.IPC} {
		if mode != "" && mode != "host" {
			return s.invalid("its %s can't be %q, only the machine's (host) or its own", name, mode)
		}
	}
	if c.Network == "host" && len(c.Networks)+len(c.Publish) > 0 {
		return s.invalid("it is in the machine's network, and so it can be in no other, and publish no port")
	}
	for _, d := range c.Devices {
		if _, _, _, ok := SplitDevice(d); !ok {
			return s.invalid("%q is no device: it takes absolute paths, as /dev/fuse or /dev/sda:/dev/disk:r", d)
		}
	}
	for _, o := range c.SecurityOpt {
		if !slices.Contains(Unconfined, o) {
			return s.invalid("there is no security option %q, only %s", o, strings.Join(Unconfined, ", "))
		}
	}
	return nil
}

// WithDefaults fills in what a spec may leave open.
func (s Spec) WithDefaults() Spec {
	s.Health.Interval = cmp.Or(s.Health.Interval, 10*time.Second)
	s.Health.Timeout = cmp.Or(s.Health.Timeout, 5*time.Second)
	s.Health.Retries = cmp.Or(s.Health.Retries, 3)
	s.Health.Start = cmp.Or(s.Health.Start, time.Minute)
	s.Stop.Grace = cmp.Or(s.Stop.Grace, 10*time.Second)
	s.Stop.Signal = cmp.Or(s.Stop.Signal, "SIGTERM")
	if s.Deploy != nil {
		d := *s.Deploy
		d.Timeout, d.StopTimeout = cmp.Or(d.Timeout, DeployTime), cmp.Or(d.StopTimeout, DeployTime)
		s.Deploy = &d
	}
	return s
}

// HasHealth says whether there is anything to ask; without, a replica is healthy once it runs.
func HasHealth(h app.Health) bool { return h.HTTP != "" || h.TCP || len(h.Command) > 0 }

// SecretValues are all values that are taken out of what the replica prints.
func (s Spec) SecretValues() []string {
	values := slices.Clone(s.Secrets)
	if s.Container != nil {
		for _, f := range s.Container.Files {
			if f.Secret {
				values = append(values, string(f.Content))
			}
		}
	}
	return values
}

// SpecDigest tells specs apart that would run differently, as "sha256:…". No secret goes into it, since a digest of a
// password is a way to guess it: two that differ in secrets alone are the same.
func SpecDigest(s Spec) (string, error) {
	hidden := redact.New(s.SecretValues()...)
	s = s.WithDefaults()
	s.Secrets = nil
	if s.Container != nil {
		c := *s.Container
		c.Networks = slices.DeleteFunc(slices.Clone(c.Networks), func(a Attach) bool { return a.Passing })
		c.Files = slices.Clone(c.Files)
		for i := range c.Files {
			if c.Files[i].Secret {
				c.Files[i].Content = nil
			}
		}
		s.Container = &c
	}
	env := make(map[string]string, len(s.Env))
	for name, value := range s.Env {
		env[name] = hidden.String(value)
	}
	s.Env, s.Command, s.Health.Command = env, slices.Clone(s.Command), slices.Clone(s.Health.Command)
	all := [][]string{s.Command, s.Health.Command}
	if s.Deploy != nil {
		d := *s.Deploy
		d.Stop = slices.Clone(d.Stop)
		s.Deploy, all = &d, append(all, d.Stop)
	}
	for _, words := range all {
		for i := range words {
			words[i] = hidden.String(words[i])
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Matches says whether a filter selects a replica.
func (f Filter) Matches(st Status) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(f.App, st.App) && is(f.Environment, st.Environment) && is(f.Service, st.Service) && is(f.Release, st.Release)
}
