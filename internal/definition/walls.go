package definition

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"greenroom/internal/app"
)

// What takes the walls around a container down is refused where the policy does not accept it. A setting is called as
// app.Service.Dangers calls it: "privileged", "cap_add SYS_ADMIN", "volumes /var/run/docker.sock".

// walls reports what production does not accept.
func (m *mapper) walls(s *service) {
	production, _ := m.policy.Production()
	name := production.Name
	if name == "" {
		name = "production"
	}
	for _, setting := range s.out.Dangers() {
		if strings.TrimSpace(production.Accept[s.Name][setting]) != "" {
			continue
		}
		key, value, _ := strings.Cut(setting, " ")
		m.report.fault(m.wall(s, key, value), fmt.Sprintf("%s of %s %s", quote(setting), s.Name, takes(key, value)),
			"remove it, or accept it in greenroom.yaml: "+quote(fmt.Sprintf("environments: {%s: {accept: {%s: {%s: because …}}}}", name, s.Name, acceptKey(setting))))
	}
}

// acceptKey is a setting as a key in the short form of YAML.
func acceptKey(setting string) string {
	if strings.ContainsAny(setting, ":#,[]{}") {
		return quoted(setting)
	}
	return setting
}

// takes says what a setting does, behind its name.
func takes(key, value string) string {
	switch {
	case key == "volumes" && (strings.HasSuffix(value, "docker.sock") || strings.HasSuffix(value, "podman.sock")):
		return "hands over the Engine, and with it the machine"
	case key == "volumes" && value == "/":
		return "hands over the whole machine"
	case key == "volumes":
		return "is a folder of the machine, which no environment has for itself"
	}
	return map[string]string{
		"privileged":   "makes its root the machine's",
		"network_mode": "puts it into the machine's network, in which environments are not apart",
		"pid":          "shows it every process of the machine",
		"ipc":          "shares the machine's memory segments",
		"cap_add":      "gives it rights beyond its walls",
		"devices":      "hands over a device of the machine",
		"security_opt": "takes its confinement away",
	}[key]
}

// wall is where a setting stands.
func (m *mapper) wall(s *service, key, value string) place {
	items := 0
	is := func(int) bool { return false }
	switch key {
	case "cap_add":
		items, is = len(s.CapAdd), func(i int) bool { return app.Capability(s.CapAdd[i]) == value }
	case "devices":
		items, is = len(s.Devices), func(i int) bool { return device(s.Devices[i]) == value }
	case "volumes":
		items, is = len(s.Volumes), func(i int) bool { return s.Volumes[i].Source == value }
	case "security_opt":
		items, is = len(s.SecurityOpt), func(i int) bool { return strings.Replace(s.SecurityOpt[i], ":", "=", 1) == value }
	}
	for i := range items {
		if is(i) {
			return m.at("services", s.Name, key, strconv.Itoa(i))
		}
	}
	return m.atKey("services", s.Name, key)
}

// accept is what an environment accepts of what is dangerous.
func (d *document) accept(keys map[string]map[string]string, path []string) map[string]map[string]string {
	var out map[string]map[string]string
	for _, service := range d.names(path...) {
		for _, setting := range d.names(append(path, service)...) {
			at := append(slices.Clone(path), service, setting)
			reason, read := keys[service][setting]
			if !read {
				continue
			}
			if strings.TrimSpace(reason) == "" {
				if d.isText(at) || d.find(at...).value.ShortTag() == "!!null" {
					d.report.fault(d.at(at...), quote(setting)+" is accepted without a reason", "give it in a few words")
				}
				continue
			}
			if out == nil {
				out = map[string]map[string]string{}
			}
			if out[service] == nil {
				out[service] = map[string]string{}
			}
			out[service][setting] = reason
		}
	}
	return out
}

// checkAccepted reports what is accepted where it means nothing: outside production, for no service, or for one that does
// not ask for it.
func (d *document) checkAccepted(p app.Policy, services []app.Service) {
	production, _ := p.Production()
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	for _, e := range p.Environments {
		path := []string{"environments", e.Name, "accept"}
		at, given := d.given(path...)
		if given && e.Name != production.Name {
			d.report.fault(at, fmt.Sprintf("%s runs what %s runs, so nothing is accepted here", e.Name, production.Name), "write it under "+quote(production.Name))
			continue
		}
		for _, name := range sortedKeys(e.Accept) {
			i := slices.IndexFunc(services, func(s app.Service) bool { return s.Name == name })
			if i < 0 {
				d.report.fault(d.atKey(append(path, name)...), quote(clip(name))+" is no service", unless(name, names))
				continue
			}
			asked := services[i].Dangers()
			for _, setting := range sortedKeys(e.Accept[name]) {
				if !slices.Contains(asked, setting) {
					d.unasked(d.atKey(append(path, name, setting)...), name, setting, asked)
				}
			}
		}
	}
}

// unasked tells of something that is accepted and that the service does not ask for. An earlier release may.
func (d *document) unasked(at place, service, setting string, asked []string) {
	what, instead := fmt.Sprintf("%s asks for no %s", service, quote(clip(setting))), unless(setting, asked)
	if strings.HasPrefix(instead, "did you mean") {
		d.report.fault(at, what, instead)
		return
	}
	d.report.notice(at, what, "remove it once no release that asks for it can be promoted")
}
