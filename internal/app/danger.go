package app

import (
	"io/fs"
	"slices"
	"strings"
)

// What takes the walls around a container down is in production only where its policy accepts it in words: a release can
// ask for it, and not grant it.

// harmless are the capabilities that an Engine gives every container, and those that reach nothing outside it.
var harmless = []string{
	"AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL", "LEASE", "MKNOD", "NET_BIND_SERVICE",
	"NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT", "SYS_NICE", "SYS_RESOURCE", "WAKE_ALARM",
}

// Dangers are the settings of a service that a policy has to accept, as Environment.Accept names them: the key of the
// Compose file, and behind a space the value where there may be others. Sorted.
func (s Service) Dangers() []string {
	c := s.Container
	if c == nil {
		return nil
	}
	var out []string
	if c.Privileged {
		out = append(out, "privileged")
	}
	for key, mode := range map[string]string{"network_mode": c.Network, "pid": c.PID, "ipc": c.IPC} {
		if mode != "" {
			out = append(out, key+" "+mode)
		}
	}
	for _, name := range c.CapAdd {
		if name = Capability(name); !slices.Contains(harmless, name) {
			out = append(out, "cap_add "+name)
		}
	}
	for _, d := range c.Devices {
		out = append(out, "devices "+d)
	}
	for _, o := range c.SecurityOpt {
		out = append(out, "security_opt "+o)
	}
	for _, m := range c.Mounts {
		if m.Path != "" {
			out = append(out, "volumes "+m.Path)
		}
		if m.Files != "" && !fs.ValidPath(m.Files) { // it would lead out of the service's files
			out = append(out, "volumes "+m.Files)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Capability is a capability's name in the form that Dangers uses: NET_ADMIN for cap_net_admin.
func Capability(name string) string {
	return strings.TrimPrefix(strings.ToUpper(name), "CAP_")
}

// Danger is a setting of a service that no policy accepts.
type Danger struct {
	Service string
	Setting string // as Service.Dangers names it
}

// Unaccepted are the dangerous settings of a release that production does not accept, by service. They hold for every
// environment, since all of them run what production runs.
func (p Policy) Unaccepted(c Contents) []Danger {
	production, _ := p.Production()
	var out []Danger
	for _, s := range c.Services {
		for _, setting := range s.Dangers() {
			if strings.TrimSpace(production.Accept[s.Name][setting]) == "" {
				out = append(out, Danger{s.Name, setting})
			}
		}
	}
	return out
}

// DangerText is a list for a sentence: "privileged of agent, pid host of agent".
func DangerText(list []Danger) string {
	parts := make([]string, len(list))
	for i, d := range list {
		parts[i] = d.Setting + " of " + d.Service
	}
	return strings.Join(parts, ", ")
}
