package definition

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// attribute is what becomes of one attribute of a Compose service under the process driver.
type attribute struct {
	fault bool     // it would change what happens dangerously
	why   string   // what is different; "": it is honoured
	right string   // what would be right
	never []string // values that ask for nothing
}

var honoured = attribute{}

// serviceAttribute is what becomes of an attribute. One that is not listed is not honoured either, so that what the
// specification gains later is named and not dropped.
func serviceAttribute(path string) attribute {
	const (
		limits  = "a plain process has no limits of its own"
		root    = "a plain process gets no rights beyond its user's"
		network = "plain processes share the machine's network; a service is where <SERVICE>_HOST and <SERVICE>_PORT say"
		rollout = "a rollout does what `rollout:` in greenroom.yaml says"
		image   = "no image is built; `x-greenroom: {build: …}` makes the files"
		names   = "a plain process resolves names as the machine does"
	)
	remove := "remove it"
	a, listed := map[string]attribute{
		"build": honoured, "build.context": honoured, "command": honoured, "depends_on": honoured, "deploy": honoured,
		"deploy.replicas": honoured, "deploy.update_config": honoured, "deploy.update_config.order": honoured,
		"deploy.restart_policy": honoured, "deploy.restart_policy.condition": honoured, "entrypoint": honoured,
		"env_file": honoured, "environment": honoured, "expose": honoured, "extends": honoured, "healthcheck": honoured,
		"healthcheck.disable": honoured, "healthcheck.interval": honoured, "healthcheck.retries": honoured,
		"healthcheck.start_period": honoured, "healthcheck.test": honoured, "healthcheck.timeout": honoured,
		"image": honoured, "ports": honoured, "profiles": honoured, "restart": honoured, "scale": honoured, "secrets": honoured,
		"stop_grace_period": honoured, "stop_signal": honoured, "volumes": honoured,

		"build.args": {why: image}, "build.dockerfile": {why: image}, "build.target": {why: image},
		"healthcheck.start_interval": {why: "`interval` counts from the start"},
		"deploy.mode":                {why: "replicas run on this machine", never: []string{"replicated"}},
		"deploy.resources":           {why: limits}, "deploy.placement": {why: "there is one machine"},
		"deploy.rollback_config": {why: rollout}, "deploy.update_config.parallelism": {why: rollout},
		"deploy.update_config.delay": {why: rollout}, "deploy.update_config.failure_action": {why: rollout},
		"deploy.update_config.monitor": {why: rollout}, "deploy.update_config.max_failure_ratio": {why: rollout},
		"deploy.restart_policy.delay":        {why: "restarts have a back-off of their own"},
		"deploy.restart_policy.max_attempts": {why: "restarts have a back-off of their own"},
		"deploy.restart_policy.window":       {why: "restarts have a back-off of their own"},

		"cpus": {why: limits}, "cpu_shares": {why: limits}, "cpu_quota": {why: limits}, "mem_limit": {why: limits},
		"mem_reservation": {why: limits}, "memswap_limit": {why: limits}, "pids_limit": {why: limits},
		"ulimits": {why: "limits are those of the machine"}, "shm_size": {why: "shared memory is the machine's"},
		"logging": {why: "Greenroom keeps the logs itself: see `greenroom logs`"},
		"labels":  {why: "nothing reads them"}, "label_file": {why: "nothing reads it"}, "annotations": {why: "nothing reads them"},
		"container_name": {why: "replicas are named by Greenroom"}, "hostname": {why: "the machine has its own name"},
		"networks": {why: network}, "links": {why: network}, "external_links": {why: network},
		"extra_hosts": {why: names}, "dns": {why: names}, "dns_search": {why: names}, "dns_opt": {why: names},
		"platform": {why: "it runs on this machine's"}, "pull_policy": {why: "no image is pulled"},
		"init": {why: "Greenroom's supervisor is the parent"}, "tty": {why: "there is no terminal", never: []string{"false"}},
		"stdin_open": {why: "there is no input", never: []string{"false"}}, "attach": {why: "see `greenroom logs`"},
		"user":        {why: "an environment's processes run as its own system user, or as whoever runs Greenroom"},
		"working_dir": {why: "it is a folder in the image; a process starts in its own files", right: "`x-greenroom: {dir: …}` names a folder in them"},
		"tmpfs":       {why: "the path exists only in a container", right: "use the machine's own, as /tmp"},
		"read_only":   {why: "a release's files are read-only anyway; the rest of the machine is as its user may", never: []string{"false"}},
		"cap_drop":    {why: root}, "security_opt": {why: "confinement by the engine is not there"},
		"develop": {why: "it is for `docker compose watch`"},

		"privileged":     {fault: true, why: root, right: remove, never: []string{"false"}},
		"cap_add":        {fault: true, why: root, right: remove},
		"devices":        {fault: true, why: root, right: remove},
		"gpus":           {fault: true, why: root, right: remove},
		"sysctls":        {fault: true, why: "they would change the whole machine", right: "set them on the machine"},
		"pid":            {fault: true, why: "plain processes see one another anyway", right: remove},
		"ipc":            {fault: true, why: "plain processes share the machine's memory segments", right: remove, never: []string{"private", "none"}},
		"uts":            {fault: true, why: "there is one machine name", right: remove},
		"cgroup":         {fault: true, why: root, right: remove, never: []string{"private"}},
		"userns_mode":    {fault: true, why: root, right: remove},
		"network_mode":   {fault: true, why: network, right: "remove it, and listen on the port that PORT says", never: []string{"bridge", "default"}},
		"configs":        {fault: true, why: "files of the engine do not exist for plain processes", right: "keep them in the repository, among the service's files"},
		"volumes_from":   {fault: true, why: "the folders of another container do not exist", right: "name the same volume in both services"},
		"provider":       {fault: true, why: "no provider is run", right: "leave the service out with " + skipLine("…")},
		"models":         {fault: true, why: "no model is run", right: remove},
		"pre_start":      {fault: true, why: "hooks are not run", right: "make it a service that others depend on with `condition: service_completed_successfully`"},
		"post_start":     {fault: true, why: "hooks are not run", right: "let the service's command do it"},
		"pre_stop":       {fault: true, why: "hooks are not run", right: "let the service do it when it gets its stop signal"},
		"use_api_socket": {fault: true, why: "it hands over the engine, and with it the machine", right: remove, never: []string{"false"}},
	}[path]
	if !listed {
		return attribute{why: "the process driver has nothing like it"}
	}
	return a
}

// attributes goes through what the files say of a service, and names what is not honoured.
func (m *mapper) attributes(s *service) {
	for _, src := range m.allSources() {
		name := s.Name
		if slices.Contains(m.bases, src) {
			name = m.base(s.Name)
		}
		f := src.find("services", name)
		if name == "" || f.depth < 2 {
			continue
		}
		m.walk(s, src, []string{"services", name}, nil)
		known := itemKeys
		if s.contained() {
			known = containerItemKeys
		}
		for _, section := range sortedKeys(known) {
			m.items(s, src, []string{"services", name, section}, known[section])
		}
	}
	if s.contained() {
		return
	}
	m.mounts(s)
	if tries, ok := strings.CutPrefix(s.Restart, "on-failure:"); ok {
		m.report.notice(m.at("services", s.Name, "restart"), "restarts do not end after "+tries+" tries", "they slow down instead")
	}
}

// contained says whether the service is a container.
func (s *service) contained() bool { return s.docker }

// walk names the attributes of one mapping. Within those that are listed with parts, the parts are named.
func (m *mapper) walk(s *service, src *source, at, inside []string) {
	for _, key := range src.keys(at...) {
		if strings.HasPrefix(key, "x-") {
			continue
		}
		path := strings.Join(append(slices.Clone(inside), key), ".")
		whole := append(slices.Clone(at), key)
		a, parts := serviceAttribute(path), processParts
		if s.contained() {
			a, parts = containerAttribute(path), containerParts
		}
		if a.why == "" {
			if slices.Contains(parts, path) {
				m.walk(s, src, whole, append(slices.Clone(inside), key))
			}
			continue
		}
		value, isText := plain(src.find(whole...).value).(string)
		if !isText {
			value = fmt.Sprint(plain(src.find(whole...).value))
		}
		if value == "" || value == "<nil>" || value == "[]" || value == "map[]" || slices.Contains(a.never, value) {
			continue
		}
		if a.fault {
			m.report.fault(src.atKey(whole...), fmt.Sprintf("%s can't be had for %s: %s", quote(path), s.Name, a.why), a.right)
			continue
		}
		m.report.notice(src.atKey(whole...), fmt.Sprintf("%s of %s is not honoured: %s", quote(path), s.Name, a.why), a.right)
	}
	if len(inside) == 0 && !s.contained() && isPostgres(s.Image) && len(s.own.Run.List) == 0 {
		for _, key := range []string{"command", "entrypoint"} {
			if src.find(append(at, key)...).depth == len(at)+1 {
				m.report.notice(src.atKey(append(at, key)...), fmt.Sprintf("%s of %s is not honoured: Greenroom starts the server itself", quote(key), s.Name), "")
			}
		}
	}
}

// itemKeys are the honoured keys of attributes that are lists or mappings of items.
var itemKeys = map[string][]string{
	"depends_on": {"condition", "required"},
	"env_file":   {"path", "required", "format"},
	"ports":      {"target", "published", "protocol", "host_ip", "name", "app_protocol"},
	"secrets":    {"source", "target"},
	"volumes":    {"type", "source", "target"},
}

// items names the keys of items that are not honoured.
func (m *mapper) items(s *service, src *source, at, known []string) {
	f := src.find(at...)
	if f.depth < len(at) {
		return
	}
	names := keysOf(f.value)
	for i := range target(f.value).Content {
		if target(f.value).Kind == yaml.SequenceNode {
			names = append(names, strconv.Itoa(i))
		}
	}
	for _, n := range names {
		item := append(slices.Clone(at), n)
		for _, key := range src.keys(item...) {
			if !slices.Contains(known, key) && !strings.HasPrefix(key, "x-") {
				m.report.notice(src.atKey(append(item, key)...), fmt.Sprintf("%s in %s of %s is not honoured", quote(key), quote(last(at)), s.Name), "")
			}
		}
	}
}

// mounts tells of volumes that are no named folders of the environment.
func (m *mapper) mounts(s *service) {
	postgres := isPostgres(s.Image) && len(s.own.Run.List) == 0
	for i, v := range s.Volumes {
		at := m.at("services", s.Name, "volumes", fmt.Sprint(i))
		switch {
		case v.Type == types.VolumeTypeVolume && v.Source != "" && v.ReadOnly:
			m.report.notice(at, fmt.Sprintf("the volume %s can be written to by %s", v.Source, s.Name), "")
		case v.Type == types.VolumeTypeVolume && v.Source != "":
		case v.Type == types.VolumeTypeVolume:
			m.report.notice(at, fmt.Sprintf("the volume without a name at %s is not there", v.Target), "name it, and hand over its folder as ${NAME_DIR}")
		case v.Type == types.VolumeTypeBind && postgres && strings.HasPrefix(v.Target, "/docker-entrypoint-initdb.d"):
			m.report.notice(at, "scripts in /docker-entrypoint-initdb.d are not run", "`migrations: {seed: …}` in greenroom.yaml fills a fresh database")
		case v.Type == types.VolumeTypeBind && postgres:
			m.report.notice(at, fmt.Sprintf("%s is not mounted: Greenroom keeps the data of %s itself", m.name(v.Source), s.Name), "")
		case v.Type == types.VolumeTypeBind && strings.HasPrefix(m.name(v.Source), "../"):
			m.report.fault(at, fmt.Sprintf("%s would reach %s, outside the repository", s.Name, v.Source), "use a named volume, and hand over its folder as ${NAME_DIR}")
		case v.Type == types.VolumeTypeBind:
			m.report.notice(at, fmt.Sprintf("%s is not mounted at %s: the process has the release's own files", m.name(v.Source), v.Target), "for data use a named volume, and hand over its folder as ${NAME_DIR}")
		default:
			m.report.notice(at, fmt.Sprintf("a mount of type %s at %s is not there", v.Type, v.Target), "")
		}
	}
}

// topLevel tells of what the files have beside services.
func (m *mapper) topLevel() {
	for _, src := range m.sources {
		for _, key := range src.keys() {
			at := src.atKey(key)
			switch key {
			case "jobs":
				m.report.fault(at, "`jobs` are not run", "make each a service that others depend on with `condition: service_completed_successfully`")
			case "version":
				m.report.notice(at, "`version` is obsolete and says nothing", "remove it")
			case "networks":
				if m.docker {
					continue
				}
				m.report.notice(at, "`networks` are not honoured: plain processes share the machine's network", "")
			case "configs", "models":
				if m.docker && key == "configs" {
					continue
				}
				m.report.notice(at, quote(key)+" are not honoured: the process driver has nothing like it", "")
			}
		}
		if m.docker {
			m.topLevelContainers(src)
			continue
		}
		for _, name := range src.keys("volumes") {
			for _, key := range src.keys("volumes", name) {
				if !strings.HasPrefix(key, "x-") {
					m.report.notice(src.atKey("volumes", name, key), fmt.Sprintf("%s of the volume %s is not honoured: it is a folder in the environment's data", quote(key), name), "")
				}
			}
		}
	}
	m.topLevelSecrets()
}
