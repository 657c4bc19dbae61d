package api

import (
	"time"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// Version is who answers on the socket.
type Version struct {
	Version string `json:"version"` // of Greenroom, such as 0.3.0
	API     int    `json:"api"`     // of the protocol, see Protocol
	PID     int    `json:"pid"`
}

// Registration is the policy part of a definition, and where it came from.
type Registration struct {
	App        string     `json:"app"`
	Repository string     `json:"repository"` // absolute path of the folder with greenroom.yaml
	Policy     app.Policy `json:"policy"`
}

// Registered is the policy that is in force now, and the one that was.
type Registered struct {
	Policy  string `json:"policy"`           // digest
	Before  string `json:"before,omitempty"` // digest; "" when the app was not known
	Changed bool   `json:"changed"`
	Pending bool   `json:"pending,omitempty"` // the definition's policy is another than the one in force
	// Later are the environments that are up with the configuration of before, and get the new one when they start next.
	Later []string `json:"later,omitempty"`
}

// EnvironmentsRequest names environments to start or stop.
type EnvironmentsRequest struct {
	App          string   `json:"app,omitempty"`
	Environments []string `json:"environments,omitempty"` // none: all of the app's
	Everything   bool     `json:"everything,omitempty"`   // of every app; App and Environments are empty
	Volumes      bool     `json:"volumes,omitempty"`      // Down's: with all data, and with all environments of an app also its images
}

// ReleaseInfo is what the builder tells about a release beside its artifacts; none of it is part of its identity.
type ReleaseInfo struct {
	App      string         `json:"app"`
	Digest   release.Digest `json:"digest"`
	Commit   string         `json:"commit,omitempty"` // full id; "" outside a git repository
	Ref      string         `json:"ref,omitempty"`    // branch or tag that was checked out
	Dirty    bool           `json:"dirty,omitempty"`  // built with changes that are in no commit
	By       string         `json:"by"`               // system user who built it
	BuiltAt  time.Time      `json:"built_at"`
	Builder  string         `json:"builder,omitempty"`  // the builder's public key, see evidence.FormatPublic
	Evidence [][]byte       `json:"evidence,omitempty"` // envelopes: where it came from, and the checks at build
}

// ReleaseView is a release as people see it in lists.
type ReleaseView struct {
	App     string           `json:"app"`
	Digest  release.Digest   `json:"digest"`
	Commit  string           `json:"commit,omitempty"`
	Ref     string           `json:"ref,omitempty"`
	Dirty   bool             `json:"dirty,omitempty"`
	By      string           `json:"by"`
	BuiltAt time.Time        `json:"built_at"`
	Size    int64            `json:"size"`              // bytes of its artifacts
	Live    []string         `json:"live,omitempty"`    // environments in which it is live
	Verdict evidence.Verdict `json:"verdict,omitempty"` // of its last finished rehearsal; "" without one
	Bad     string           `json:"bad,omitempty"`     // why it is known to be bad; "" when it is not
}

// Event is one thing that happened while environments start or a run goes on.
type Event struct {
	Seq   int64      `json:"seq"`
	Step  string     `json:"step"`            // the step's name
	State plan.State `json:"state,omitempty"` // "" for a line of text about the step that is under way
	Text  string     `json:"text,omitempty"`  // what a person reads: Step.Says when it starts, detail or error later
	At    time.Time  `json:"at"`
}

// SecretName is where a secret belongs.
type SecretName struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Name        string `json:"name"`
}

// SecretView is what may be told of a secret: everything but its value.
type SecretView struct {
	Environment string    `json:"environment"`
	Name        string    `json:"name"`
	Set         bool      `json:"set"`                // it has a value
	By          string    `json:"by,omitempty"`       // who set it
	At          time.Time `json:"at,omitzero"`        // when
	Services    []string  `json:"services,omitempty"` // who gets it, in the release that is live there
}
