// Package gate decides whether an environment takes a release: a pure function of what is known, with a reason for
// every no. It fails closed: what is missing, contradicts itself or can't be read is a no.
package gate

import (
	"time"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// The checks that are built in. Production demands them like the team's own.
const (
	Migration = evidence.CheckMigration // within its budget
	OldOnNew  = "old-on-new"            // the old release's journeys on the new schema
	Rollback  = evidence.CheckRollback  // records whether and until when one can go back; passes
)

// Builtin lists the built-in checks. Their evidence depends on all of the baseline.
func Builtin() []app.Check {
	return []app.Check{{Name: Migration}, {Name: OldOnNew}, {Name: Rollback}}
}

// BuildRun is the Run of statements that the builder made, for checks with `at: build`.
const BuildRun = evidence.Build

// SchemaState is what is known about the schema that is live in an environment.
type SchemaState string

// The states of a schema. All but the first two block, and so does the zero value: nobody looked.
const (
	SchemaNone         SchemaState = "none"          // there is no database, or it was never filled
	SchemaProven       SchemaState = "proven"        // the recorded fingerprint was read from the database
	SchemaUnknown      SchemaState = "unknown"       // it could not be read, or is not what was recorded
	SchemaHalfMigrated SchemaState = "half-migrated" // a migration began and did not end: neither release runs on it
)

// Question is everything that the answer depends on.
type Question struct {
	App         string
	Release     release.Digest
	Environment string
	Policy      app.Policy  // in force
	Checks      []app.Check // the release's own
	Services    []app.Service
	Live        []app.Check // those of the release that is live in production: another one may not do without them
	Builtin     []app.Check // see Builtin
	// Evidence is all that was recorded about the release, in the order of the log, the oldest first: also what is gone.
	// Its times decide nothing, so a clock that was set back neither hides nor revives evidence.
	Evidence []evidence.Recorded
	Keys     evidence.Keys    // that are known, and what each may speak about
	LogFault string           // why the log can't be believed; "" when it is whole
	Baseline release.Baseline // what production is now
	First    bool             // production is empty: it never had a release
	After    *Presence        // what is live in the environment that this one comes after; nil: nothing
	KnownBad *KnownBad        // nil: nothing bad is known
	Override string           // a person's reason to take a release that is known to be bad
	Schema   SchemaState      // of the environment's database
	Now      time.Time
}

// Presence is what is live in an environment.
type Presence struct {
	Release release.Digest
	Since   time.Time
	Healthy bool
	Seen    time.Time // when that was seen, where it lives elsewhere; zero for now
}

// KnownBad says that a release was rolled back, and why.
type KnownBad struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Answer is how a demand is met.
type Answer string

// The answers. Everything but Yes is a no.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown" // it could not be decided
)

// The names of demands that more is said about elsewhere.
const (
	demandSense  = "a sensible question"
	demandLog    = "a log that is whole"
	demandSchema = "a schema that is known"
	demandWalls  = "containers within their walls"
)

// Demand is one thing that the environment asks for.
type Demand struct {
	Name   string `json:"name"` // "check checkout", "live in staging", "not known to be bad"
	Answer Answer `json:"answer"`
	Reason string `json:"reason"`
	Next   string `json:"next,omitempty"`  // the command that would change the answer
	Proof  *Proof `json:"proof,omitempty"` // the evidence that decided
}

// Proof is the evidence behind an answer.
type Proof struct {
	Statement string         `json:"statement"` // its id
	Envelope  release.Digest `json:"envelope"`
	Key       evidence.KeyID `json:"key"`
	Signer    string         `json:"signer"` // the key's name
	At        time.Time      `json:"at"`     // when it was found, as the signer says
	DependsOn []Dependence   `json:"depends_on,omitempty"`
}

// Dependence is one thing that evidence depends on, and whether it still holds.
type Dependence struct {
	On    string `json:"on"` // a part of the baseline, or "policy"
	Was   string `json:"was"`
	Is    string `json:"is"`
	Holds bool   `json:"holds"`
}

// Decision is the answer, demand by demand.
type Decision struct {
	Allowed bool     `json:"allowed"`
	Demands []Demand `json:"demands"`
}

// Missing lists the demands that are not met.
func (d Decision) Missing() []Demand {
	var missing []Demand
	for _, m := range d.Demands {
		if m.Answer != Yes {
			missing = append(missing, m)
		}
	}
	return missing
}

// Decide answers the question.
func Decide(q Question) Decision {
	env, fault := q.sensible()
	if fault != nil {
		return Decision{Demands: []Demand{*fault}}
	}
	log := q.log()
	demands := []Demand{log, q.schema(), q.notKnownBad()}
	demands = append(demands, q.walls()...)
	if env.After != "" {
		demands = append(demands, q.after(env))
	}
	if soak := q.Policy.Gates[env.Name].Soak; soak > 0 {
		demands = append(demands, q.soak(env, soak))
	}
	if production, ok := q.Policy.Production(); ok && production.Name == env.Name {
		demands = append(demands, q.rehearsed(env, log)...)
	}
	d := Decision{Allowed: true, Demands: demands}
	for _, m := range demands {
		d.Allowed = d.Allowed && m.Answer == Yes
	}
	return d
}
