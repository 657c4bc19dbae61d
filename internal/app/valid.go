package app

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
)

// Validate says what makes a release's services none, whoever made it: a container that is not pinned to an image, or that
// would be given what is not its own; a deploy of the team's beside services of Greenroom's. What is dangerous is for Policy.Unaccepted.
func (c Contents) Validate() error {
	if c.Deploy != nil {
		if err := c.Deploy.valid(c); err != nil {
			return err
		}
	}
	for _, s := range c.Services {
		if err := s.validNames(); err != nil {
			return err
		}
		if s.Container == nil {
			if s.Kind == KindContainer {
				return fmt.Errorf("the service %s is a container of nothing", s.Name)
			}
			continue
		}
		if err := s.validContainer(); err != nil {
			return fmt.Errorf("the container %s: %w", s.Name, err)
		}
	}
	return nil
}

// partOfPath is what an app, an environment, a service or a volume may be called: its name is a folder's, and a part of names that dots
// keep apart.
var partOfPath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

func (s Service) validNames() error {
	if !partOfPath.MatchString(s.Name) {
		return fmt.Errorf("%.100q is no name of a service", s.Name)
	}
	for _, v := range s.Volumes {
		if !partOfPath.MatchString(v) {
			return fmt.Errorf("the service %s: %.100q is no name of a volume", s.Name, v)
		}
	}
	return nil
}

var imageID = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (s Service) validContainer() error {
	if s.Kind == KindProcess || !imageID.MatchString(s.Image) {
		return fmt.Errorf("%q is no id of an image", s.Image)
	}
	for _, m := range s.Container.Mounts {
		switch {
		case !path.IsAbs(m.Target):
			return fmt.Errorf("a volume is mounted at %q", m.Target)
		case m.Volume != "" && (m.Files != "" || m.Path != "" || !slices.Contains(s.Volumes, m.Volume)):
			return fmt.Errorf("the volume %q is none of the service", m.Volume)
		case m.Volume == "" && (m.Files == "") == (m.Path == ""):
			return fmt.Errorf("nothing, or two things, are mounted at %s", m.Target)
		case m.Files != "" && !fs.ValidPath(m.Files):
			return fmt.Errorf("%q leads out of the service's files", m.Files)
		}
	}
	for _, f := range s.Container.Secrets {
		if !path.IsAbs(f.Target) || !slices.Contains(s.Secrets, f.Name) {
			return fmt.Errorf("the secret %q at %q is none of the service", f.Name, f.Target)
		}
	}
	for _, f := range s.Container.Configs {
		if !path.IsAbs(f.Target) {
			return fmt.Errorf("the config %q is put at %q", f.Name, f.Target)
		}
	}
	return nil
}

// Validate says what makes a policy none, whoever sends it: a name that stands for two things, or for what is something
// else. A definition is held against stricter rules where it is read.
func (p Policy) Validate() error {
	if !partOfPath.MatchString(p.App) {
		return fmt.Errorf("the policy is that of no app: %.100q", p.App)
	}
	environments := environmentNames(p)
	for i, name := range environments {
		switch {
		case name == "":
			return fmt.Errorf("an environment has no name")
		case !partOfPath.MatchString(name):
			return fmt.Errorf("an environment can't be called %.100q", name)
		case name == StageName || name == TrialName || name == BuildName:
			return fmt.Errorf("an environment can't be called %s", name)
		case slices.Contains(environments[:i], name):
			return fmt.Errorf("two environments are called %s", name)
		}
	}
	for _, e := range p.Environments {
		if err := e.Probing().valid(); err != nil {
			return fmt.Errorf("what is probed in %s: %w", e.Name, err)
		}
	}
	for r := range p.Roles {
		if !slices.Contains(Rights, r) {
			return fmt.Errorf("%s is no right", r)
		}
	}
	for i, k := range p.Keys {
		same := func(other TrustedKey) bool { return other.Name == k.Name || other.Public == k.Public }
		switch {
		case k.Name == "" || k.Public == "":
			return fmt.Errorf("a key has no name, or no public key")
		case slices.ContainsFunc(p.Keys[:i], same):
			return fmt.Errorf("the key %s stands in the policy twice", k.Name)
		}
	}
	return nil
}
