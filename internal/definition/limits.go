package definition

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"greenroom/internal/app"
)

// limits are what a container may take of its machine.
func (m *mapper) limits(s *service) {
	c := s.out.Container
	c.Resources = app.Resources{CPUs: exact(s.CPUS), Memory: max(0, int64(s.MemLimit)), Pids: max(0, s.PidsLimit), Shared: max(0, int64(s.ShmSize))}
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		l := s.Deploy.Resources.Limits
		if l.NanoCPUs > 0 {
			c.Resources.CPUs = exact(float32(l.NanoCPUs))
		}
		if l.MemoryBytes > 0 {
			c.Resources.Memory = int64(l.MemoryBytes)
		}
		if l.Pids > 0 {
			c.Resources.Pids = l.Pids
		}
	}
	for _, name := range sortedKeys(s.Ulimits) {
		u := s.Ulimits[name]
		if u == nil {
			continue
		}
		limit := app.Ulimit{Name: name, Soft: int64(u.Soft), Hard: int64(u.Hard)}
		if u.Single != 0 {
			limit.Soft, limit.Hard = int64(u.Single), int64(u.Single)
		}
		c.Ulimits = append(c.Ulimits, limit)
	}
	m.logging(s)
}

// exact is the number that was written: 0.1 and not what the nearest number of half as many bits is.
func exact(f float32) float64 {
	n, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// logging are the limits of what is kept of a container's output.
func (m *mapper) logging(s *service) {
	l := s.Logging
	if l == nil {
		return
	}
	if l.Driver != "" && !slices.Contains([]string{"json-file", "local"}, l.Driver) {
		m.report.notice(m.at("services", s.Name, "logging", "driver"), "what "+s.Name+" prints is kept by the Engine, not by "+quote(clip(l.Driver)), "see `greenroom logs`")
		return
	}
	for key, value := range l.Options {
		at := m.at("services", s.Name, "logging", "options", key)
		wrong := false
		switch key {
		case "max-size":
			s.out.Container.Log.Size, wrong = unitBytes(value)
		case "max-file":
			n, err := strconv.ParseUint(value, 10, 16)
			s.out.Container.Log.Files, wrong = int(n), err != nil || n == 0
		}
		if wrong {
			m.report.fault(at, quote(clip(value))+" can't be read", "write max-size as 10m, max-file as 3")
		}
	}
}

// ownSysctls are those that a container has for itself; all others are the machine's.
var ownSysctls = []string{"net.", "fs.mqueue.", "kernel.msg", "kernel.shm", "kernel.sem"}

// rights are what a container may do beside and below what every container may.
func (m *mapper) rights(s *service) {
	c := s.out.Container
	for _, name := range s.CapAdd {
		c.CapAdd = append(c.CapAdd, app.Capability(name))
	}
	for _, name := range s.CapDrop {
		c.CapDrop = append(c.CapDrop, app.Capability(name))
	}
	c.CapAdd, c.CapDrop = sortedUnique(c.CapAdd), sortedUnique(c.CapDrop)
	for _, name := range sortedKeys(s.Sysctls) {
		if !slices.ContainsFunc(ownSysctls, func(p string) bool { return strings.HasPrefix(name, p) }) {
			m.report.fault(m.atKey("services", s.Name, "sysctls", name), quote(clip(name))+" is the whole machine's", "set it on the machine")
		}
	}
	if len(s.Sysctls) > 0 {
		c.Sysctls = map[string]string(s.Sysctls)
	}
	c.Privileged = s.Privileged
	c.Network = m.namespace(s, "network_mode", s.NetworkMode, "bridge", "default")
	c.PID = m.namespace(s, "pid", s.Pid)
	c.IPC = m.namespace(s, "ipc", s.Ipc, "private", "none", "shareable")
	for i, d := range s.Devices {
		if !path.IsAbs(d.Source) || d.Target != "" && !path.IsAbs(d.Target) {
			m.report.fault(m.at("services", s.Name, "devices", strconv.Itoa(i)), quote(clip(d.Source))+" is no path of a device", "write it as /dev/fuse, or /dev/ttyUSB0:/dev/modem")
		}
		c.Devices = append(c.Devices, device(d))
	}
	slices.Sort(c.Devices)
	m.securityOptions(s)
	m.machineNetwork(s)
}

// machineNetwork reports what a service in the machine's network can't have, since the machine has each of it once: for all
// environments, and for a release beside the one before it.
func (m *mapper) machineNetwork(s *service) {
	c := s.out.Container
	if c.Network == "" {
		return
	}
	at := m.atKey("services", s.Name, "network_mode")
	port := s.out.Port
	if port == 0 && len(s.extra) > 0 {
		port = s.extra[0].Container
	}
	if port != 0 {
		m.report.fault(at, fmt.Sprintf("%s has port %d, which in the machine's network one release of one environment alone could have", s.Name, port),
			"remove `network_mode`, or let what needs it be a service of its own without a port")
	}
	for _, name := range sortedKeys(s.Sysctls) {
		if strings.HasPrefix(name, "net.") {
			m.report.fault(m.atKey("services", s.Name, "sysctls", name), quote(clip(name))+" would be the whole machine's, in whose network "+s.Name+" is", "set it on the machine")
		}
	}
	c.Aliases = nil
	m.report.notice(at, s.Name+" is in the machine's network: no other service finds it by a name, and it finds others by their variables alone", "write ${DB_HOST:-db}:${DB_PORT:-5432} for the port of a service db")
}

func device(d types.DeviceMapping) string {
	parts := []string{d.Source}
	if d.Target != "" {
		parts = append(parts, d.Target)
		if d.Permissions != "" {
			parts = append(parts, d.Permissions)
		}
	}
	return strings.Join(parts, ":")
}

// namespace is host where a container shares something with the machine. own are the words for what it has anyway.
func (m *mapper) namespace(s *service, key, mode string, own ...string) string {
	switch {
	case mode == "host":
		return mode
	case mode != "" && !slices.Contains(own, mode):
		m.report.fault(m.at("services", s.Name, key), quote(key+": "+clip(mode))+" can't be had: containers of an environment share its network, and nothing else", "remove it")
	}
	return ""
}

// unconfined are the confinements that can be taken away.
var unconfined = []string{"apparmor", "seccomp", "systempaths"}

// securityOptions are those that take a confinement away, and the one that adds one; others can't be had.
func (m *mapper) securityOptions(s *service) {
	for i, option := range s.SecurityOpt {
		at := m.at("services", s.Name, "security_opt", strconv.Itoa(i))
		key, value, _ := strings.Cut(strings.Replace(option, ":", "=", 1), "=")
		switch {
		case slices.Contains(unconfined, key) && value == "unconfined", key == "label" && value == "disable":
			s.out.Container.SecurityOpt = append(s.out.Container.SecurityOpt, key+"="+value)
		case key == "no-new-privileges" && slices.Contains([]string{"", "true", "false"}, value):
			s.out.Container.NoNewPrivs = value != "false"
		default:
			m.report.fault(at, quote(clip(option))+" can't be had for "+s.Name, "remove it: the Engine's own profile holds")
		}
	}
	s.out.Container.SecurityOpt = sortedUnique(s.out.Container.SecurityOpt)
}
