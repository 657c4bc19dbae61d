package definition

import (
	"cmp"
	"fmt"
	"net"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"greenroom/internal/app"
)

// containerKind says what runs a service under the docker driver.
func (m *mapper) containerKind(s *service) app.Kind {
	switch {
	case s.Build == nil && isPostgres(s.Image):
		return app.KindPostgres
	case s.Build == nil && strings.HasPrefix(s.Image, noImage):
		m.report.fault(m.atKey("services", s.Name), s.Name+" has neither an image nor a build", "add `image:` or `build:`")
	}
	if known, ok := wellKnown(s.Image); ok && known.extension != "" && s.Build == nil {
		m.report.notice(m.at("services", s.Name, "image"), fmt.Sprintf("%s runs as any other container: it is PostgreSQL with %s, for whose data this version does not care", s.Name, known.extension),
			"it has no snapshots and its migrations are not watched, unless DATABASE_URL is a secret that leads to a server of yours")
	}
	return app.KindContainer
}

// ownOnly are the keys of x-greenroom that only plain processes have, and what says it of a container.
var ownOnly = []struct {
	key   string
	given func(serviceKeys) bool
	right string
}{
	{"build", func(k serviceKeys) bool { return k.Build != "" }, "its image is built as Compose's `build` says"},
	{"files", func(k serviceKeys) bool { return len(k.Files) > 0 }, "what its image has travels with that"},
	{"run", func(k serviceKeys) bool { return len(k.Run.List) > 0 }, "write it as Compose's `command` or `entrypoint`"},
	{"dir", func(k serviceKeys) bool { return k.Dir != "" }, "write it as Compose's `working_dir`"},
	{"sqlite", func(k serviceKeys) bool { return k.SQLite != "" }, "this version cares for no SQLite file in a container: leave the key out, and keep the file in a volume"},
}

// processKeys reports what only plain processes have.
func (m *mapper) processKeys(s *service) {
	for _, k := range ownOnly {
		if k.given(s.own) {
			m.report.fault(m.atKey("services", s.Name, "x-greenroom", k.key), fmt.Sprintf("%s is for plain processes, and %s is no process", quote(k.key), s.Name), k.right)
		}
	}
}

// container fills in what a container has beside what every service has.
func (m *mapper) container(s *service) {
	c := &app.Container{Hostname: s.Hostname, User: s.User, ReadOnly: s.ReadOnly, Init: s.Init != nil && *s.Init, Ports: s.extra}
	s.out.Container = c
	if what := badContainerName(c.Hostname); c.Hostname != "" && (what != "" || len(c.Hostname) > maxHostname) {
		m.report.fault(m.at("services", s.Name, "hostname"), cmp.Or(what, fmt.Sprintf("%s has more than %d characters", quote(clip(c.Hostname)), maxHostname)), "write a name alone, as web")
	}
	m.image(s)
	c.Entrypoint = m.entrypoint(s)
	s.out.Command = m.words(s.Name, "command")
	s.out.Dir = s.WorkingDir
	if s.WorkingDir != "" && !path.IsAbs(s.WorkingDir) {
		m.report.fault(m.at("services", s.Name, "working_dir"), quote(clip(s.WorkingDir))+" is no absolute path", "write the folder in the image, as /app")
	}
	m.withoutPort(s)
	m.mountsOf(s)
	m.secretFilesOf(s)
	m.configFilesOf(s)
	m.limits(s)
	c.Restart = m.restartPolicy(s)
	c.Aliases = m.aliases(s)
	c.ExtraHosts = append(c.ExtraHosts, s.ExtraHosts.AsList(":")...) // nil where there are none
	slices.Sort(c.ExtraHosts)
	m.rights(s)
	m.walls(s)
}

// entrypoint is what replaces the image's. One that takes it away is reported: a driver can't tell that from none.
func (m *mapper) entrypoint(s *service) []string {
	words := m.words(s.Name, "entrypoint")
	if v, given := m.merged(s.Name)["entrypoint"]; given && v != nil && len(words) == 0 {
		m.report.fault(m.at("services", s.Name, "entrypoint"), "an empty entrypoint can't be had", "write the program that `command` has as the entrypoint")
	}
	return words
}

// image is where a container's image comes from.
func (m *mapper) image(s *service) {
	c := s.out.Container
	if !strings.HasPrefix(s.Image, noImage) {
		c.Tag = s.Image
	}
	switch policy, _, _ := strings.Cut(s.PullPolicy, "_"); policy {
	case "always", "daily", "weekly", "every":
		c.Pull = app.PullAlways
	case "never":
		c.Pull = app.PullNever
	}
	if s.Build == nil {
		return
	}
	b := &app.ImageBuild{Context: m.context(s), Inline: s.Build.DockerfileInline, Target: s.Build.Target}
	c.Build = b
	if b.Inline == "" {
		b.Dockerfile = m.dockerfile(s, b.Context)
	}
	for _, name := range sortedKeys(s.Build.Args) {
		value := s.Build.Args[name]
		if value == nil { // Compose passes on what the caller's environment has
			v, ok := m.vars.lookup(name)
			if !ok {
				m.report.notice(m.at("services", s.Name, "build", "args", name), name+" is not set, so the build of "+s.Name+" does not get it", "give it a value")
				continue
			}
			value = &v
		}
		if secretName(name) && isLiteral(*value) {
			m.report.notice(m.at("services", s.Name, "build", "args", name), name+" looks like a secret, and stands in the image's history", "hand it over when the container runs, as a secret")
		}
		if b.Args == nil {
			b.Args = map[string]string{}
		}
		b.Args[name] = *value
	}
}

// dockerfile is a Dockerfile's path in its build context.
func (m *mapper) dockerfile(s *service, context string) string {
	name := cmp.Or(s.Build.Dockerfile, "Dockerfile")
	at := m.at("services", s.Name, "build", "dockerfile")
	if filepath.IsAbs(name) {
		if rel, err := filepath.Rel(filepath.Join(m.dir, filepath.FromSlash(context)), name); err == nil {
			name = rel
		}
	}
	if !filepath.IsLocal(name) {
		m.report.fault(at, "the Dockerfile does not lie in the build context of "+s.Name, "move it there, or widen the context")
		return ""
	}
	if full := filepath.Join(m.dir, filepath.FromSlash(context), name); !has(filepath.Dir(full), filepath.Base(full)) {
		m.report.fault(at, fmt.Sprintf("there is no %s", quote(m.name(full))), "write it, or name the one that is there with `dockerfile:`")
	}
	return filepath.ToSlash(filepath.Clean(name))
}

// secretFilesOf are a container's secrets as files, beside the variables of their names.
func (m *mapper) secretFilesOf(s *service) {
	for _, x := range s.Secrets {
		if !slices.Contains(s.out.Secrets, x.Source) {
			continue // told already
		}
		target := inFolder("/run/secrets", cmp.Or(x.Target, x.Source))
		f := app.SecretFile{Name: x.Source, Target: target, Mode: modeOf(x.Mode)}
		at := m.mention(s.Name, "secrets", x.Source)
		f.UID, f.GID = m.owner(at, x.UID, x.GID)
		m.outsideMounts(s, at, "secret "+x.Source, target)
		s.out.Container.Secrets = append(s.out.Container.Secrets, f)
	}
}

// inFolder is a target as Compose reads it: absolute, or below a folder.
func inFolder(folder, target string) string {
	if path.IsAbs(target) {
		return path.Clean(target)
	}
	return path.Join(folder, target)
}

// modeOf are permission bits; 0 stands for Compose's own.
func modeOf(m *types.FileMode) uint32 {
	if m == nil || *m < 0 {
		return 0
	}
	return uint32(*m & 0o7777) //nolint:gosec // 12 bits
}

// owner are the numbers of a file's user and group.
func (m *mapper) owner(at place, uid, gid string) (user, group int) {
	numbers := [2]int{}
	for i, text := range []string{uid, gid} {
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			m.report.fault(at, quote(clip(text))+" is no number of a user or group", "write it as \"1000\"")
		}
		numbers[i] = int(n) //nolint:gosec // 31 bits
	}
	return numbers[0], numbers[1]
}

// restartPolicy is Compose's restart, or what deploy says in its place. A job is started by what depends on it.
func (m *mapper) restartPolicy(s *service) app.RestartPolicy {
	if m.jobs[s.Name] {
		return app.RestartPolicy{}
	}
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		p := s.Deploy.RestartPolicy
		out := app.RestartPolicy{Name: map[string]string{"none": "no", "on-failure": "on-failure", "any": "always"}[p.Condition]}
		if p.MaxAttempts != nil && out.Name == "on-failure" {
			out.Max = int(min(*p.MaxAttempts, 1000))
		}
		if out.Name != "" {
			return out
		}
	}
	name, tries, limited := strings.Cut(s.Restart, ":")
	if name != "" && !slices.Contains([]string{"no", "always", "on-failure", "unless-stopped"}, name) {
		m.report.fault(m.at("services", s.Name, "restart"), quote(clip(s.Restart))+" is no restart policy", "write no, always, on-failure or unless-stopped")
		return app.RestartPolicy{}
	}
	out := app.RestartPolicy{Name: name}
	if n, err := strconv.ParseUint(tries, 10, 16); limited && name == "on-failure" && err == nil {
		out.Max = int(n)
	} else if limited {
		m.report.fault(m.at("services", s.Name, "restart"), quote(clip(s.Restart))+" is no restart policy", "write a number of tries behind it, as on-failure:3")
	}
	return out
}

// maxHostname is how long a name Linux lets a machine have.
const maxHostname = 64

// nameInEngine is what a container may be called, and found by. It is wider than a host's name: underscores are common in it.
var nameInEngine = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$`)

func badContainerName(name string) string {
	switch {
	case net.ParseIP(name) != nil:
		return quote(name) + " is an address, not a name"
	case !nameInEngine.MatchString(name):
		return quote(clip(name)) + " is no name of a container"
	}
	return ""
}

// aliases are the names of a container in the environment's network beside its own.
func (m *mapper) aliases(s *service) []string {
	var out []string
	take := func(at place, name string) {
		if what := badContainerName(name); what != "" {
			m.report.fault(at, what, "write a name alone, as web")
			return
		}
		if name != s.Name {
			out = append(out, name)
		}
	}
	if s.ContainerName != "" {
		take(m.at("services", s.Name, "container_name"), s.ContainerName)
	}
	for _, network := range sortedKeys(s.Networks) {
		if n := s.Networks[network]; n != nil {
			for i, name := range n.Aliases {
				take(m.at("services", s.Name, "networks", network, "aliases", strconv.Itoa(i)), name)
			}
		}
	}
	return sortedUnique(out)
}
