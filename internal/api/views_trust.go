package api

import (
	"time"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// Applied is what another policy changes, or would change.
type Applied struct {
	Registered
	Dry     bool         `json:"dry,omitempty"`
	Changes []app.Change `json:"changes,omitempty"`
	// Void are releases whose evidence depends on what changes, and would have to be rehearsed again.
	Void []release.Digest `json:"void,omitempty"`
}

// EvidenceList is everything that is signed about a release.
type EvidenceList struct {
	App     string         `json:"app"`
	Release release.Digest `json:"release"`
	Items   []EvidenceView `json:"items,omitempty"`
	Keys    []KeyView      `json:"keys,omitempty"` // those that signed it
}

// EvidenceView is one piece of evidence.
type EvidenceView struct {
	evidence.Summary
	Seq      int64          `json:"seq"` // of the log's entry
	Digest   release.Digest `json:"digest"`
	Signer   string         `json:"signer"`          // the key's name
	Fault    string         `json:"fault,omitempty"` // why it doesn't count: damaged, gone, revoked, not trusted for it
	Envelope []byte         `json:"envelope,omitempty"`
}

// KeyView is a key as people see it.
type KeyView struct {
	ID           evidence.KeyID `json:"id"`
	Public       string         `json:"public"`
	Name         string         `json:"name"`
	Own          bool           `json:"own,omitempty"`
	Active       bool           `json:"active,omitempty"` // this Greenroom signs with it
	Checks       []string       `json:"checks,omitempty"`
	Environments []string       `json:"environments,omitempty"`
	Added        time.Time      `json:"added,omitzero"`
	Retired      time.Time      `json:"retired,omitzero"`
	Revoked      time.Time      `json:"revoked,omitzero"`
	Because      string         `json:"because,omitempty"` // it was revoked
}

// Revoked is what a revocation leaves without ground.
type Revoked struct {
	Key      KeyView          `json:"key"`
	Evidence int              `json:"evidence"`         // pieces that don't count any more
	Leaned   []HistoryEntry   `json:"leaned,omitempty"` // promotions that were let in because of it, the newest first
	Live     []EnvironmentRef `json:"live,omitempty"`   // where a release is live now that was
}

// EnvironmentRef names an environment.
type EnvironmentRef struct {
	App         string         `json:"app"`
	Environment string         `json:"environment"`
	Release     release.Digest `json:"release,omitempty"`
}

// Taken is what a bundle brought.
type Taken struct {
	Release ReleaseView `json:"release"`
	Known   bool        `json:"known,omitempty"`  // the release was here already
	Taken   int         `json:"taken"`            // pieces of evidence that are new here
	Faults  []string    `json:"faults,omitempty"` // what was not taken, and why
	By      string      `json:"by,omitempty"`     // name of the key that vouches for it being all
}

// StandingView is what another Greenroom says of an environment.
type StandingView struct {
	evidence.Standing
	Signer string `json:"signer"`
	Known  bool   `json:"known"` // the release that is live there is known here
}

// Anchor is the log's head, to be written elsewhere: the line is what is written.
type Anchor struct {
	Head evidence.Head `json:"head"`
	Line string        `json:"line"` // "greenroom log 1234 HASH KEY SIGNATURE"
}

// GlassView tells of a no that was overridden.
type GlassView struct {
	Run        string    `json:"run"`
	By         string    `json:"by"`
	Because    string    `json:"because"`
	At         time.Time `json:"at"`
	Overridden []string  `json:"overridden,omitempty"` // the demands, with their reasons
	Reviewed   string    `json:"reviewed,omitempty"`   // by whom, and what they found; "" until then
}
