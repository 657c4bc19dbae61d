package app

// Container is what a container has beside what every service has, in the words of the Compose specification. Of the
// service's own fields Command is Compose's command (empty is the image's), Dir its working_dir ("" is the image's),
// Secrets what it names (each is a variable of that name, and a file where Container.Secrets says so), Volumes the names
// of all named volumes that Mounts has.
type Container struct {
	// Tag is what the Compose file calls the image, for people: it may name another one tomorrow. It is "" for one that is
	// built. What runs is Service.Image, which is "sha256:…" in every release, and "" in a definition.
	Tag   string      `json:"tag,omitempty"`
	Build *ImageBuild `json:"-"` // how the image is made; nil: it is Tag's
	Pull  Pull        `json:"-"` // when the image that Tag names is fetched

	Entrypoint []string `json:"entrypoint,omitempty"` // replaces the image's, with which its command goes too
	User       string   `json:"user,omitempty"`       // "" is the image's
	Hostname   string   `json:"hostname,omitempty"`
	ExtraHosts []string `json:"extra_hosts,omitempty"` // "name:address", sorted
	Aliases    []string `json:"aliases,omitempty"`     // names in the environment's network beside the service's own; sorted
	Ports      []Port   `json:"ports,omitempty"`       // those that are published beside Service.Port; sorted

	Mounts  []Mount      `json:"mounts,omitempty"`
	Tmpfs   []Tmpfs      `json:"tmpfs,omitempty"`
	Secrets []SecretFile `json:"secrets,omitempty"`
	Configs []ConfigFile `json:"configs,omitempty"`

	Resources  Resources         `json:"resources,omitzero"`
	ReadOnly   bool              `json:"read_only,omitempty"`         // its root file system
	Init       bool              `json:"init,omitempty"`              // process 1 is one that passes signals on and reaps
	NoNewPrivs bool              `json:"no_new_privileges,omitempty"` // nothing in it gets more rights than it began with
	CapAdd     []string          `json:"cap_add,omitempty"`           // without CAP_, upper case, sorted
	CapDrop    []string          `json:"cap_drop,omitempty"`
	Ulimits    []Ulimit          `json:"ulimits,omitempty"` // sorted by name
	Sysctls    map[string]string `json:"sysctls,omitempty"`
	Restart    RestartPolicy     `json:"restart,omitzero"` // zero: what Service.Restart says
	Log        LogLimits         `json:"log,omitzero"`

	// What takes the walls around a container down. A definition has it only where a policy accepts it (see Dangers).
	Privileged  bool     `json:"privileged,omitempty"`
	Network     string   `json:"network_mode,omitempty"` // host, or ""
	PID         string   `json:"pid,omitempty"`          // host, or ""
	IPC         string   `json:"ipc,omitempty"`          // host, or ""
	Devices     []string `json:"devices,omitempty"`      // as Compose writes them, "HOST:CONTAINER:rwm"
	SecurityOpt []string `json:"security_opt,omitempty"` // such as seccomp=unconfined
}

// Pull is Compose's pull_policy: when an image is fetched from its registry.
type Pull string

// The policies. The zero value fetches what is missing.
const (
	PullAlways Pull = "always"
	PullNever  Pull = "never"
)

// ImageBuild is Compose's build. What it needs is in the repository.
type ImageBuild struct {
	Context    string            `json:"context"`              // folder, relative to the repository
	Dockerfile string            `json:"dockerfile,omitempty"` // relative to Context; "" is Dockerfile
	Inline     string            `json:"inline,omitempty"`     // the text of dockerfile_inline, in place of Dockerfile
	Target     string            `json:"target,omitempty"`
	Args       map[string]string `json:"args,omitempty"`
}

// Mount is one of Compose's volumes. One of Volume, Files and Path is set.
type Mount struct {
	Volume   string `json:"volume,omitempty"` // a named volume, which is the environment's own
	Files    string `json:"files,omitempty"`  // a file or folder that travels: its slashed path in the service's files; read-only
	Path     string `json:"path,omitempty"`   // an absolute path of the machine, which a policy has to accept
	Target   string `json:"target"`           // absolute, in the container
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Tmpfs is a file system in memory.
type Tmpfs struct {
	Target string `json:"target"`
	Size   int64  `json:"size,omitempty"` // bytes; 0 is without a limit of its own
	Mode   uint32 `json:"mode,omitempty"` // permission bits; 0 is 01777
}

// SecretFile is a secret as a file. Its value is the environment's, and stands in no release.
type SecretFile struct {
	Name   string `json:"name"`           // of the secret; also in Service.Secrets
	Target string `json:"target"`         // absolute, in the container
	Mode   uint32 `json:"mode,omitempty"` // permission bits; 0 is 0444
	UID    int    `json:"uid,omitempty"`
	GID    int    `json:"gid,omitempty"`
}

// ConfigFile is one of Compose's configs: production's, and so part of the release. ${VARIABLE} in it is not put in.
type ConfigFile struct {
	Name    string `json:"name"`
	Target  string `json:"target"`
	Content []byte `json:"content"`
	Mode    uint32 `json:"mode,omitempty"`
	UID     int    `json:"uid,omitempty"`
	GID     int    `json:"gid,omitempty"`
}

// Port is a port of the container that others than its neighbours reach.
type Port struct {
	Container int    `json:"container"`
	Protocol  string `json:"protocol"` // tcp or udp
}

// Resources are limits, Compose's deploy.resources.limits; 0 is no limit.
type Resources struct {
	CPUs   float64 `json:"cpus,omitempty"`     // processors, such as 0.5
	Memory int64   `json:"memory,omitempty"`   // bytes
	Pids   int64   `json:"pids,omitempty"`     // processes and threads
	Shared int64   `json:"shm_size,omitempty"` // bytes of shared memory, of /dev/shm; 0 is what the Engine gives, 64 MiB
}

// Ulimit is one of Compose's ulimits.
type Ulimit struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"` // -1 is without a limit
	Hard int64  `json:"hard"`
}

// RestartPolicy is Compose's restart.
type RestartPolicy struct {
	Name string `json:"name,omitempty"` // no, always, on-failure, unless-stopped
	Max  int    `json:"max,omitempty"`  // on-failure:MAX; 0 is without end
}

// LogLimits bound what is kept of a container's output: Files files of at most Size bytes; 0 is the driver's own measure.
type LogLimits struct {
	Size  int64 `json:"size,omitempty"`
	Files int   `json:"files,omitempty"`
}
