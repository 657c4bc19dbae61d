package definition

import (
	"slices"
	"strings"
)

// containerHonours are the attributes that a container has as Compose says, or that a rule of their own tells of.
var containerHonours = strings.Fields(`
	build build.args build.context build.dockerfile build.dockerfile_inline build.target
	cap_add cap_drop command configs container_name cpus depends_on
	deploy deploy.replicas deploy.resources deploy.resources.limits deploy.resources.limits.cpus deploy.resources.limits.memory
	deploy.resources.limits.pids deploy.restart_policy deploy.restart_policy.condition deploy.restart_policy.max_attempts
	deploy.update_config deploy.update_config.order
	devices entrypoint env_file environment expose extends extra_hosts
	healthcheck healthcheck.disable healthcheck.interval healthcheck.retries healthcheck.start_period healthcheck.test healthcheck.timeout
	hostname image init ipc logging logging.driver logging.options logging.options.max-file logging.options.max-size mem_limit
	network_mode networks pid pids_limit ports privileged profiles pull_policy read_only restart scale secrets security_opt shm_size
	stop_grace_period stop_signal sysctls tmpfs ulimits user volumes working_dir`)

// containerAttribute is what becomes of an attribute of a service that is a container. One that is not listed is not
// honoured, so that what the specification gains later is named and not dropped.
func containerAttribute(path string) attribute {
	if slices.Contains(containerHonours, path) {
		return honoured
	}
	const (
		rollout = "a rollout does what `rollout:` in greenroom.yaml says"
		backoff = "restarts have a back-off of their own"
		nothing = "the docker driver has nothing like it"
		engine  = "the Engine's own measure holds"
		hooks   = "hooks are not run"
		build   = "the Engine's own builder has nothing like it"
		outside = "an image is built from the repository alone"
		byHand  = "build the image yourself, and name it with `image:` in place of `build:`"
	)
	remove := "remove it"
	a, listed := map[string]attribute{
		"healthcheck.start_interval": {why: "`interval` counts from the start"},
		"deploy.mode":                {why: "replicas run on this machine", never: []string{"replicated"}},
		"deploy.placement":           {why: "there is one machine"}, "deploy.rollback_config": {why: rollout},
		"deploy.update_config.parallelism": {why: rollout}, "deploy.update_config.delay": {why: rollout},
		"deploy.update_config.failure_action": {why: rollout}, "deploy.update_config.monitor": {why: rollout},
		"deploy.update_config.max_failure_ratio": {why: rollout},
		"deploy.restart_policy.delay":            {why: backoff}, "deploy.restart_policy.window": {why: backoff},
		"deploy.resources.reservations": {why: "nothing is put aside"},

		"cpu_shares": {why: engine}, "cpu_quota": {why: engine}, "mem_reservation": {why: engine}, "memswap_limit": {why: engine},
		"labels": {why: "nothing reads them"}, "label_file": {why: "nothing reads it"}, "annotations": {why: "nothing reads them"},
		"links":      {why: "a service finds the others by their names", right: "for another name give the other service an alias under `networks:`"},
		"dns":        {why: "names are resolved as the Engine does"},
		"dns_search": {why: "names are resolved as the Engine does"}, "dns_opt": {why: "names are resolved as the Engine does"},
		"platform": {why: "it runs on this machine's"}, "tty": {why: "there is no terminal", never: []string{"false"}},
		"stdin_open": {why: "there is no input", never: []string{"false"}}, "attach": {why: "see `greenroom logs`"},
		"develop": {why: "it is for `docker compose watch`"}, "runtime": {why: engine},

		"build.cache_from": {why: build}, "build.cache_to": {why: build}, "build.labels": {why: "nothing reads them"},
		"build.no_cache": {why: build, never: []string{"false"}}, "build.pull": {why: build, never: []string{"false"}},
		"build.tags": {why: "an image is known by its id"}, "build.platforms": {why: "it is built for this machine's"},
		"build.network": {why: build}, "build.shm_size": {why: build}, "build.isolation": {why: build},
		"build.secrets":             {fault: true, why: "a build gets no secrets", right: byHand},
		"build.ssh":                 {fault: true, why: "a build gets no secrets", right: byHand},
		"build.additional_contexts": {fault: true, why: outside, right: byHand},
		"build.extra_hosts":         {fault: true, why: outside, right: byHand},
		"build.privileged":          {fault: true, why: build, right: byHand, never: []string{"false"}},
		"build.entitlements":        {fault: true, why: build, right: byHand},

		"gpus":           {fault: true, why: nothing, right: remove},
		"uts":            {fault: true, why: nothing, right: remove},
		"cgroup":         {fault: true, why: nothing, right: remove, never: []string{"private"}},
		"cgroup_parent":  {fault: true, why: nothing, right: remove},
		"userns_mode":    {fault: true, why: nothing, right: remove},
		"external_links": {fault: true, why: "containers of others are not reached by a name", right: "give the address in the environment"},
		"volumes_from":   {fault: true, why: "the volumes of another container are not taken over", right: "name the same volume in both services"},
		"provider":       {fault: true, why: "no provider is run", right: "leave the service out with " + skipLine("…")},
		"models":         {fault: true, why: "no model is run", right: remove},
		"pre_start":      {fault: true, why: hooks, right: "make it a service that others depend on with `condition: service_completed_successfully`"},
		"post_start":     {fault: true, why: hooks, right: "let the service's command do it"},
		"pre_stop":       {fault: true, why: hooks, right: "let the service do it when it gets its stop signal"},
		"use_api_socket": {fault: true, why: "it hands over the Engine, and with it the machine", right: remove, never: []string{"false"}},
	}[path]
	if !listed {
		return attribute{why: nothing}
	}
	return a
}

// containerParts are attributes of a container whose parts are looked at one by one.
var containerParts = []string{
	"build", "deploy", "deploy.update_config", "deploy.restart_policy", "deploy.resources", "deploy.resources.limits", "healthcheck",
	"logging", "logging.options",
}

// processParts are the same for a plain process.
var processParts = []string{"build", "deploy", "deploy.update_config", "deploy.restart_policy", "healthcheck"}

// containerItemKeys are the honoured keys of attributes that are lists or mappings of items.
var containerItemKeys = map[string][]string{
	"configs":    {"source", "target", "uid", "gid", "mode"},
	"depends_on": {"condition", "required"},
	"env_file":   {"path", "required", "format"},
	"networks":   {"aliases"},
	"ports":      {"target", "published", "protocol", "host_ip", "name", "app_protocol"},
	"secrets":    {"source", "target", "uid", "gid", "mode"},
	"ulimits":    {"soft", "hard"},
	"volumes":    {"type", "source", "target", "read_only", "tmpfs", "volume"},
}

// topLevelContainers tells of what the files have beside services, where these are containers.
func (m *mapper) topLevelContainers(src *source) {
	for _, name := range src.keys("networks") {
		if name != "default" {
			m.report.notice(src.atKey("networks", name), "an environment is one network, in which all of its services are: "+quote(name)+" says nothing", "")
		}
		for _, key := range src.keys("networks", name) {
			if !strings.HasPrefix(key, "x-") {
				m.report.notice(src.atKey("networks", name, key), quote(key)+" of the network "+name+" is not honoured: the network is the environment's own", "")
			}
		}
	}
	for _, name := range src.keys("volumes") {
		for _, key := range src.keys("volumes", name) {
			at := src.atKey("volumes", name, key)
			switch {
			case key == "external" && bool(m.model.Volumes[name].External):
				m.report.fault(at, "the volume "+name+" belongs to none of the environments, and each has its own", "remove `external`")
			case !strings.HasPrefix(key, "x-") && key != "external":
				m.report.notice(at, quote(key)+" of the volume "+name+" is not honoured: each environment has its own", "")
			}
		}
	}
}
