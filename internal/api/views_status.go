package api

import (
	"time"

	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// StatusView is how things stand.
type StatusView struct {
	Version string      `json:"version"`
	Home    string      `json:"home"` // the state folder
	Since   time.Time   `json:"since"`
	Apps    []AppStatus `json:"apps,omitempty"`
}

// AppStatus is how one app stands.
type AppStatus struct {
	Name         string              `json:"name"`
	Repository   string              `json:"repository"`
	Policy       string              `json:"policy"` // digest
	Latest       *ReleaseView        `json:"latest,omitempty"`
	Environments []EnvironmentStatus `json:"environments,omitempty"` // in the order of the definition
	Runs         []RunSummary        `json:"runs,omitempty"`         // under way and queued
}

// EnvironmentState is how an environment is, in a word.
type EnvironmentState string

// The states of an environment.
const (
	EnvironmentUp      EnvironmentState = "up"      // serves its live release, all replicas healthy
	EnvironmentEmpty   EnvironmentState = "empty"   // up, and has never had a release
	EnvironmentDown    EnvironmentState = "down"    // stopped by a person
	EnvironmentTrouble EnvironmentState = "trouble" // see Reason
	// EnvironmentElsewhere is one that another Greenroom runs: Reason says what is known of it.
	EnvironmentElsewhere EnvironmentState = "elsewhere"
)

// EnvironmentStatus is how one environment stands.
type EnvironmentStatus struct {
	Name     string           `json:"name"`
	State    EnvironmentState `json:"state"`
	Reason   string           `json:"reason,omitempty"` // why it is in trouble
	Address  string           `json:"address"`          // URL
	Hosts    []string         `json:"hosts,omitempty"`  // names by which it is found at Front
	Front    string           `json:"front,omitempty"`  // shared address of all environments with hosts, IP:PORT
	Secure   bool             `json:"secure,omitempty"` // hosts are answered with TLS, on the usual port
	Live     *ReleaseView     `json:"live,omitempty"`
	Since    time.Time        `json:"since,omitzero"` // when the live release became live
	Schema   gate.SchemaState `json:"schema"`
	Services []ServiceStatus  `json:"services,omitempty"`
	Traffic  Traffic          `json:"traffic"`
	Deployed bool             `json:"deployed,omitempty"` // its team deploys it, and Greenroom carries no traffic of it
	Run      *RunSummary      `json:"run,omitempty"`      // the promotion or rollback under way
	Glass    []GlassView      `json:"glass,omitempty"`    // broken here, and not reviewed yet
}

// ServiceStatus is how one service stands.
type ServiceStatus struct {
	Name    string `json:"name"`
	Healthy int    `json:"healthy"`
	Wanted  int    `json:"wanted"`
	Reason  string `json:"reason,omitempty"` // why replicas are missing
}

// Traffic is what the edge carried in the last minute.
type Traffic struct {
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
}

// HistoryQuery selects what of the past is told.
type HistoryQuery struct {
	App         string
	Environment string // "" means all
	Limit       int    // 0 means 50
	Before      int64  // only entries with a lower Seq; 0: from the newest
}

// HistoryEntry is one thing that was done.
type HistoryEntry struct {
	Seq         int64          `json:"seq"`
	At          time.Time      `json:"at"`
	By          string         `json:"by"`
	Action      string         `json:"action"`        // "promotion", "rehearsal", "build", "up", "secret set", …
	App         string         `json:"app,omitempty"` // where several are told of
	Environment string         `json:"environment,omitempty"`
	Release     release.Digest `json:"release,omitempty"`
	Run         string         `json:"run,omitempty"`
	Outcome     plan.Outcome   `json:"outcome,omitempty"`
	Text        string         `json:"text,omitempty"` // reason, measurement, what changed
}

// LogQuery selects output of services.
type LogQuery struct {
	App         string
	Environment string
	Service     string // "" means all
	Release     string // a release's name; "" means the live one
	Tail        int    // last lines of each replica; 0 means all that is kept
	Follow      bool
}

// LogLine is one line that a replica printed.
type LogLine struct {
	Service string    `json:"service"`
	Replica int       `json:"replica"`
	Text    string    `json:"text"` // without the line's end
	At      time.Time `json:"at,omitzero"`
}

// DiffView is how two sides differ.
type DiffView struct {
	A        string        `json:"a"`
	B        string        `json:"b"`
	Sections []DiffSection `json:"sections,omitempty"`
}

// DiffSection is one kind of facts: services, configuration, migrations, checks, differences.
type DiffSection struct {
	Name  string     `json:"name"`
	Facts []DiffFact `json:"facts,omitempty"`
}

// DiffState is how one fact compares.
type DiffState string

// The states of a fact.
const (
	DiffSame       DiffState = "same"
	DiffDeclared   DiffState = "declared"   // differs, and the definition says so
	DiffUndeclared DiffState = "undeclared" // differs between environments, and nothing says so
	DiffChanged    DiffState = "changed"    // differs between releases
)

// DiffFact is one thing that both sides have or lack. A secret's value is told only as set or not set.
type DiffFact struct {
	Name    string    `json:"name"`
	State   DiffState `json:"state"`
	A       string    `json:"a,omitempty"` // "" where A lacks it
	B       string    `json:"b,omitempty"`
	Because string    `json:"because,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}
