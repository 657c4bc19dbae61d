package app

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Deploy is a team's own way to bring a release live. Of an app that has one Greenroom runs no service: in an environment
// the app is one deployment, of which Greenroom knows what these commands tell. They run in the release's own files, so
// that what was rehearsed is what production gets.
type Deploy struct {
	Run      Command           `json:"run"`                // makes the release live
	Rollback *Command          `json:"rollback,omitempty"` // back to the release before; nil: that one is deployed again
	Status   Command           `json:"status"`             // exit code 0 says that the release is live
	Stop     *Command          `json:"stop,omitempty"`     // takes the app away; nil: it stays when the environment is stopped
	Env      map[string]string `json:"env,omitempty"`      // production's configuration
	Secrets  []string          `json:"secrets,omitempty"`  // names; each becomes a variable of that name
	Images   map[string]string `json:"images,omitempty"`   // by service: "name@sha256:…", which becomes the variable of ImageVariable

	// What the builder needs. None of it is part of a release.
	Build string   `json:"-"` // a shell command that is run once, in the repository; may be empty
	Files []string `json:"-"` // what of the repository travels; empty: all but what .dockerignore and .git hide
	Names []string `json:"-"` // the services that an image may be given for; nil: any name
}

// Command is a shell command, and how long it may take.
type Command struct {
	Run     string        `json:"run"`
	Timeout time.Duration `json:"timeout"`
}

// What commands take at most unless they are told otherwise.
const (
	DeployTimeout = 10 * time.Minute
	StatusTimeout = 30 * time.Second
)

// ImageVariable is what a service's image is called in the environment of the commands: GREENROOM_IMAGE_WEB.
func ImageVariable(service string) string {
	return "GREENROOM_IMAGE_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(service))
}

// SecretNames are the secrets that a release can't do without, each once.
func (c Contents) SecretNames() []string {
	var names []string
	add := func(all []string) {
		for _, name := range all {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, s := range c.Services {
		add(s.Secrets)
	}
	if c.Deploy != nil {
		add(c.Deploy.Secrets)
	}
	return names
}

// PinnedImage says whether a name of an image can't become another one.
func PinnedImage(name string) bool { return pinnedImage.MatchString(name) }

var pinnedImage = regexp.MustCompile(`^[^@\s\x00]+@sha256:[0-9a-f]{64}$`)

// valid says what makes a deploy none, whoever made it.
func (d Deploy) valid(c Contents) error {
	switch {
	case len(c.Services) > 0:
		return fmt.Errorf("the team deploys it itself, and it has services that Greenroom would run")
	case c.Database != nil || c.Migrations != nil:
		return fmt.Errorf("the team deploys it itself, and it has a database that Greenroom would keep")
	}
	for what, command := range map[string]*Command{"deploy": &d.Run, "rollback": d.Rollback, "status": &d.Status, "stop": d.Stop} {
		if command != nil && (strings.TrimSpace(command.Run) == "" || command.Timeout <= 0) {
			return fmt.Errorf("its %s command is none", what)
		}
	}
	variables := map[string]string{}
	for _, service := range slices.Sorted(maps.Keys(d.Images)) {
		name := ImageVariable(service)
		if other, taken := variables[name]; taken {
			return fmt.Errorf("the images of %s and %s would have the same variable %s", other, service, name)
		}
		variables[name] = service
		if !PinnedImage(d.Images[service]) {
			return fmt.Errorf("the image of %s is not pinned by a digest: %q", service, d.Images[service])
		}
	}
	return nil
}

// Probe is the question that Greenroom asks at an environment's address when it does not carry the traffic itself.
type Probe struct {
	Path    string        `json:"path"`
	Rate    int           `json:"rate"`    // questions a second, at most MaxProbeRate
	Timeout time.Duration `json:"timeout"` // of one question
}

// What is asked unless an environment says otherwise, and the most that is asked.
const (
	MaxProbeRate    = 100
	MinProbeTimeout = 10 * time.Millisecond
	MaxProbeTimeout = time.Minute
	probeRate       = 5
	probeTimeout    = 5 * time.Second
)

// DefaultProbe is the question of an environment that names none.
func DefaultProbe() Probe { return Probe{Path: "/up", Rate: probeRate, Timeout: probeTimeout} }

// valid says what makes a probe none, whoever made it: who asks relies on it.
func (p Probe) valid() error {
	switch {
	case p.Rate < 1 || p.Rate > MaxProbeRate:
		return fmt.Errorf("%d is no rate: it is from 1 to %d a second", p.Rate, MaxProbeRate)
	case p.Timeout < MinProbeTimeout || p.Timeout > MaxProbeTimeout:
		return fmt.Errorf("an answer can't take %s: it is from %s to %s", p.Timeout, MinProbeTimeout, MaxProbeTimeout)
	case !strings.HasPrefix(p.Path, "/"):
		return fmt.Errorf("%q is no path", p.Path)
	}
	return nil
}

// Probing is the environment's question.
func (e Environment) Probing() Probe {
	if e.Probe == nil {
		return DefaultProbe()
	}
	return *e.Probe
}
