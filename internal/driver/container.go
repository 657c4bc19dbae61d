package driver

import (
	"net/netip"
	"path"
	"strings"
)

// Container is what a container needs and a process doesn't, in the words of the Compose specification. Spec's own fields
// keep their meaning: Command is Compose's command and replaces the image's where it is not empty, Dir is its working_dir
// and User its user ("" is the image's), Env its environment, beside which the container has what the image sets. Health's
// Command runs inside, as Compose's healthcheck. Listen is where the replica is dialled from this machine: a port that is
// published on loopback, the container's fixed address in one of its networks, or in the machine's network a port of this machine.
type Container struct {
	Image      string   `json:"image"`                // by id or digest ("sha256:…" or "name@sha256:…"), never a tag: what a tag names moves
	Entrypoint []string `json:"entrypoint,omitempty"` // replaces the image's, with which its command goes too

	Mounts   []Mount   `json:"mounts,omitempty"`
	Tmpfs    []Tmpfs   `json:"tmpfs,omitempty"`
	Networks []Attach  `json:"networks,omitempty"` // none: the container has no network but its own loopback
	Publish  []Publish `json:"publish,omitempty"`  // Compose's ports, on loopback alone
	Files    []File    `json:"files,omitempty"`    // Compose's secrets and configs

	Resources  Resources         `json:"resources,omitzero"`
	CapAdd     []string          `json:"cap_add,omitempty"`
	CapDrop    []string          `json:"cap_drop,omitempty"`
	ReadOnly   bool              `json:"read_only,omitempty"` // its root file system
	Init       bool              `json:"init,omitempty"`      // process 1 is one that passes signals on and reaps
	NoNewPrivs bool              `json:"no_new_privileges,omitempty"`
	Ulimits    []Ulimit          `json:"ulimits,omitempty"`
	Sysctls    map[string]string `json:"sysctls,omitempty"`
	Hostname   string            `json:"hostname,omitempty"`
	ExtraHosts []string          `json:"extra_hosts,omitempty"` // "name:address"
	DNS        []netip.Addr      `json:"dns,omitempty"`         // whom the Engine asks for names of no container; none: as it is set up

	RestartPolicy RestartPolicy `json:"restart,omitzero"` // zero: what Spec.Restart says
	Log           LogLimits     `json:"log,omitzero"`

	// What takes the walls around it down.
	Privileged  bool     `json:"privileged,omitempty"`
	Network     string   `json:"network_mode,omitempty"` // host: the network of the Engine's machine, then Networks and Publish are empty; or ""
	PID         string   `json:"pid,omitempty"`          // host, or ""
	IPC         string   `json:"ipc,omitempty"`          // host, or ""
	Devices     []string `json:"devices,omitempty"`      // see SplitDevice
	SecurityOpt []string `json:"security_opt,omitempty"` // one of Unconfined each
}

// Unconfined are the values of Container.SecurityOpt: each takes one confinement away.
var Unconfined = []string{"apparmor=unconfined", "label=disable", "seccomp=unconfined", "systempaths=unconfined"}

// SplitDevice reads one of Compose's devices, HOST, HOST:CONTAINER or HOST:CONTAINER:PERMISSIONS. Both are absolute paths, and
// the permissions some of r, w and m; without them they are all.
func SplitDevice(text string) (host, container, permissions string, ok bool) {
	parts := strings.Split(text, ":")
	host, container, permissions = parts[0], parts[0], "rwm"
	if len(parts) > 1 {
		container = parts[1]
	}
	if len(parts) > 2 {
		permissions = parts[2]
	}
	ok = len(parts) <= 3 && path.IsAbs(host) && path.IsAbs(container) && permissions != "" && strings.Trim(permissions, "rwm") == ""
	return host, container, permissions, ok
}

// Mounted is where anything is mounted in the container.
func (c *Container) Mounted() (targets []string) {
	for _, m := range c.Mounts {
		targets = append(targets, m.Target)
	}
	for _, t := range c.Tmpfs {
		targets = append(targets, t.Target)
	}
	return targets
}

// Mount is one of Compose's volumes: a named volume, or a folder of the machine that the Engine runs on.
type Mount struct {
	Volume   string `json:"volume,omitempty"` // a volume's name in the Engine
	Path     string `json:"path,omitempty"`   // or an absolute path, which has to exist (Compose's bind)
	Target   string `json:"target"`           // absolute, in the container
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Tmpfs is a file system in memory.
type Tmpfs struct {
	Target string `json:"target"`
	Size   int64  `json:"size,omitempty"` // bytes; 0 is without a limit of its own
	Mode   uint32 `json:"mode,omitempty"` // permission bits; 0 is 01777
}

// Attach is a network that the container is in.
type Attach struct {
	Network string     `json:"network"`           // its name in the Engine
	Aliases []string   `json:"aliases,omitempty"` // names by which others in the network find it
	IPv4    netip.Addr `json:"ipv4,omitzero"`     // ipv4_address; zero: the Engine gives it one
	Passing bool       `json:"-"`                 // it may be taken out of it, and put into others: nothing that tells specs apart
}

// Publish makes a port of the container one of this machine's loopback. An Engine does not do so for a container that is in
// internal networks alone: that one is reached at its address.
type Publish struct {
	Port      uint16 `json:"port"`      // on 127.0.0.1
	Container uint16 `json:"container"` // in the container
	Protocol  string `json:"protocol,omitempty"`
}

// File is one of Compose's secrets or configs: it is put into the container before that starts, and stands in no label and
// in nothing else that the Engine shows of a container.
type File struct {
	Target  string `json:"target"`         // absolute, in the container
	Content []byte `json:"content"`        // at most MaxFile
	Mode    uint32 `json:"mode,omitempty"` // permission bits; 0 is 0444
	UID     int    `json:"uid,omitempty"`
	GID     int    `json:"gid,omitempty"`
	Secret  bool   `json:"secret,omitempty"` // its content is taken out of all that the replica prints
}

// MaxFile is the most that a File may hold, in bytes.
const MaxFile = 1 << 20

// Resources are limits, Compose's deploy.resources.limits; 0 is no limit.
type Resources struct {
	CPUs   float64 `json:"cpus,omitempty"`     // processors, such as 0.5
	Memory int64   `json:"memory,omitempty"`   // bytes, swap included
	Pids   int64   `json:"pids,omitempty"`     // processes and threads
	Shared int64   `json:"shm_size,omitempty"` // bytes of /dev/shm; 0 is the Engine's own measure, 64 MiB
}

// Ulimit is one of Compose's ulimits.
type Ulimit struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// RestartPolicy is Compose's restart. All policies but "no" are carried out by the Engine, which needs nobody of ours for
// it; a container that was stopped stays stopped.
type RestartPolicy struct {
	Name string `json:"name,omitempty"` // no, always, on-failure, unless-stopped
	Max  int    `json:"max,omitempty"`  // on-failure:MAX; 0 is without end
}

// LogLimits bound what is kept of a container's output: Files files of at most Size bytes.
type LogLimits struct {
	Size  int64 `json:"size,omitempty"`  // 0 is DefaultLogSize
	Files int   `json:"files,omitempty"` // 0 is DefaultLogFiles
}

// What is kept of a container's output where nobody says how much.
const (
	DefaultLogSize  = 8 << 20
	DefaultLogFiles = 3
)
