// Package driver is the contract of what runs services. Package process implements it with plain processes; others
// follow. The suite in drivertest runs every implementation against this contract.
package driver

import (
	"context"
	"errors"
	"io"
	"time"

	"greenroom/internal/app"
)

// ErrNotFound says that a driver knows no replica of that id.
var ErrNotFound = errors.New("no such replica")

// Endpoint is where a replica is dialled: never a bare host:port, because a stage may live in a network namespace of
// its own and is then reached by unix socket.
type Endpoint struct {
	Network string `json:"network"` // tcp or unix
	Address string `json:"address"`
}

// Spec is everything that a driver needs to run one replica. It holds secrets (in Env): a driver hands it to the
// replica's parent through a pipe and never writes it to disk.
type Spec struct {
	ID          string            `json:"id"` // unique and stable: starting it twice is starting it once. [a-z0-9._-]
	App         string            `json:"app"`
	Environment string            `json:"environment"` // or the stage
	Service     string            `json:"service"`
	Release     string            `json:"release"` // digest; "" for what outlives releases, such as a database server
	Index       int               `json:"index"`
	Command     []string          `json:"command"`
	Dir         string            `json:"dir"`               // absolute; a container's may be "": its image's
	Env         map[string]string `json:"env"`               // the whole environment, nothing is inherited
	Secrets     []string          `json:"secrets"`           // values in Env that are taken out of all that the replica prints
	Keyed       string            `json:"keyed,omitempty"`   // a keyed fingerprint of its secrets, where one with others is another; "" where they make no difference
	User        string            `json:"user,omitempty"`    // system user to run as, confined as in proc.Confine; "" is the daemon's own
	Network     string            `json:"network,omitempty"` // file of the network namespace that all of it is in, secluded as in proc.Seclude; "" is the daemon's own
	Listen      Endpoint          `json:"listen"`            // where it will listen; zero for a service without a port
	Health      app.Health        `json:"health"`
	Stop        app.Stop          `json:"stop"`
	Restart     bool              `json:"restart"`
	// Careful has Restart begin only once the replica was healthy: what one that died before left behind has to end first.
	Careful bool `json:"careful,omitempty"`
	// Container is nil for a process. A driver refuses a spec that is not for it.
	Container *Container `json:"container,omitempty"`
	// Deploy is nil for all that Greenroom runs itself. A deploy's commands have User's other groups, too: what a team's deploy may
	// reach, such as the Docker Engine's socket, is its administrator's to say.
	Deploy *Deploy `json:"deploy,omitempty"`
}

// Phase is where a replica is in its life.
type Phase string

// The phases.
const (
	Starting Phase = "starting" // runs, not yet healthy
	Healthy  Phase = "healthy"
	Sick     Phase = "unhealthy" // was healthy, or had its time to become so
	Backoff  Phase = "waiting"   // ended, and will be started again at Status.Next
	Exited   Phase = "exited"    // ended, and will not be started again
)

// Status is what a driver knows of a replica.
type Status struct {
	ID          string    `json:"id"`
	App         string    `json:"app"`
	Environment string    `json:"environment"`
	Service     string    `json:"service"`
	Release     string    `json:"release"`
	Index       int       `json:"index"`
	Phase       Phase     `json:"phase"`
	Listen      Endpoint  `json:"listen"`
	PID         int       `json:"pid,omitempty"` // of a Deploy that of its supervisor, since what was deployed is nobody's child
	Restarts    int       `json:"restarts"`
	ExitCode    int       `json:"exit_code"`               // of the last end; -1 when a signal ended it, which of a container 128 plus its number tells
	OutOfMemory bool      `json:"out_of_memory,omitempty"` // its memory limit ended it
	Reason      string    `json:"reason,omitempty"`        // why it is not healthy, for a person: the last health answer, the last lines printed
	Since       time.Time `json:"since"`                   // of Phase
	Next        time.Time `json:"next,omitzero"`           // of Backoff; a driver that leaves restarts to another tells the soonest time
	// Deploy says that it is one of a spec's with a Deploy.
	Deploy bool `json:"deploy,omitempty"`
	// Found is the release that a status command named last, as Named reads it; "" where it named none.
	Found string `json:"found,omitempty"`
	// Answered says that the status command ended by itself when it was asked last, whatever it said.
	Answered bool `json:"answered,omitempty"`
	// Secrets is the fingerprint of a Deploy's secrets: who has others would be answered otherwise.
	Secrets string `json:"secrets,omitempty"`
	// Lost says that nobody saw how it ended: its parent died with it, or the machine did.
	Lost bool `json:"lost,omitempty"`
	// Spec is the SpecDigest that it was started with, "" where that is not known: whoever wants another one stops it first.
	Spec string `json:"spec,omitempty"`
}

// Filter selects replicas; empty fields match all.
type Filter struct{ App, Environment, Service, Release string }

// LogOptions select what of a replica's output is read.
type LogOptions struct {
	Tail   int  // last lines; 0 is all that is kept
	Follow bool // go on until the context ends
}

// Driver runs replicas. All methods are safe for concurrent use, and idempotent. Replicas outlive the driver's process:
// a new one over the same folder finds them again.
type Driver interface {
	// Start makes sure that the replica runs and returns once its parent has taken it over, not when it is healthy. A
	// replica of the same id that runs is left as it is; one whose parent died is cleaned up and started anew.
	Start(ctx context.Context, spec Spec) (Status, error)
	// Stop asks the replica to end, kills its whole group when its grace is over, and forgets it. Stopping one that
	// does not exist is no error. It returns when nothing of it runs any more.
	Stop(ctx context.Context, id string) error
	// Status tells of one replica, ErrNotFound when there is none.
	Status(ctx context.Context, id string) (Status, error)
	// List tells of all replicas that match, sorted by id. Replicas whose parent died are in it as Exited.
	List(ctx context.Context, f Filter) ([]Status, error)
	// Wait returns when the replica is Healthy, or with a problem that says why it will not be: it exited, it kept
	// failing, its time (Health.Start) is over.
	Wait(ctx context.Context, id string) (Status, error)
	// Logs copies the replica's kept output to w, oldest first. That of the replicas that were stopped last is still there.
	Logs(ctx context.Context, id string, o LogOptions, w io.Writer) error
}
