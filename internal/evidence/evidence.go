// Package evidence is what a check found: its verdict, the statement that binds the verdict to a release, a baseline and a
// policy, the envelope that is signed around it, and the log that says what was recorded when.
//
// Envelopes are DSSE's around in-toto statements, signed with ed25519, so that anybody can verify them without Greenroom
// (docs/evidence). They are read more strictly than those formats ask for: what was verified is what is parsed.
package evidence

import (
	"time"

	"greenroom/internal/mask"
	"greenroom/internal/migration"
	"greenroom/internal/release"
)

// Verdict is the answer of a check: never a bare boolean, because "could not decide" is not a pass.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
)

// Worst is the verdict of several: fail before inconclusive before pass; of none it is inconclusive.
func Worst(vs ...Verdict) Verdict {
	if len(vs) == 0 {
		return Inconclusive
	}
	worst := Pass
	for _, v := range vs {
		switch {
		case v == Fail:
			return Fail
		case v != Pass:
			worst = Inconclusive
		}
	}
	return worst
}

// Result is what one run of a check found.
type Result struct {
	Check    string        `json:"check"`
	Verdict  Verdict       `json:"verdict"`
	Summary  string        `json:"summary"` // one line: "12 tests passed", "TestPay failed: got 500"
	Passed   int           `json:"passed"`
	Failed   int           `json:"failed"`
	Skipped  int           `json:"skipped"`
	Failures []Failure     `json:"failures,omitempty"`
	Output   string        `json:"output,omitempty"` // the end of what it printed, secrets removed, at most 64 KiB
	Started  time.Time     `json:"started"`
	Duration time.Duration `json:"duration"`
	// Schema is what the built-in check migration saw of the schema; nil elsewhere.
	Schema *SchemaChange `json:"schema,omitempty"`
	// Migration is what the built-in check migration measured; nil elsewhere, and where nothing was migrated.
	Migration *migration.Report `json:"migration,omitempty"`
	// GoBack is what the built-in check rollback found: whether the old release works after the new one was used. It is
	// nil elsewhere, and where that could not be decided.
	GoBack *bool `json:"go_back,omitempty"`
}

// Says is what the result says in one line; there is always something to say.
func (r Result) Says() string {
	switch {
	case r.Summary != "":
		return r.Summary
	case r.Verdict == Pass || r.Verdict == Fail:
		return string(r.Verdict)
	default:
		return "could not be decided"
	}
}

// SchemaChange is a schema before and after a migration, as fingerprints.
type SchemaChange struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// Failure is one failing test inside a check.
type Failure struct {
	Name    string `json:"name"`
	Message string `json:"message"` // at most 2 KiB
}

// Statement says: this check gave this result about this release, there, against that baseline, under that policy.
type Statement struct {
	ID          string           `json:"id"`
	App         string           `json:"app"`
	Release     release.Digest   `json:"release"`
	Environment string           `json:"environment"` // or Stage, or Build
	Run         string           `json:"run"`         // the run that it came from; Build for a check at build
	Policy      string           `json:"policy"`      // digest of its conditions (app.Policy); "" for a check at build
	Baseline    release.Baseline `json:"baseline,omitempty"`
	DependsOn   []release.Part   `json:"depends_on,omitempty"`
	Snapshot    *SnapshotUsed    `json:"snapshot,omitempty"` // the stage's data; nil where it was no copy
	Result      Result           `json:"result"`
	At          time.Time        `json:"at"`
}

// Report is the outcome of a rehearsal, on one page.
type Report struct {
	Run      string           `json:"run"`
	App      string           `json:"app"`
	Release  release.Digest   `json:"release"`
	Old      release.Digest   `json:"old,omitempty"` // production's release, empty for a first one
	Stage    string           `json:"stage"`
	Baseline release.Baseline `json:"baseline,omitempty"`
	Policy   string           `json:"policy"`
	Verdict  Verdict          `json:"verdict"`
	Results  []Result         `json:"results"`
	// Isolation is what the stage could reach; nil where it was not asked, because it holds no data of production's.
	Isolation *Isolation `json:"isolation,omitempty"`
	// Snapshot is the masked copy that was the stage's data; nil where it had none.
	Snapshot *SnapshotUsed `json:"snapshot,omitempty"`
	// Mask is what the rules of the policy will not fit once the release is live: no harm to anybody, so no part of the
	// verdict. It is nil where they fit, or where no data is copied.
	Mask     *mask.Outlook `json:"mask,omitempty"`
	Notes    []string      `json:"notes,omitempty"` // what the reader should know: not isolated, first release, …
	Started  time.Time     `json:"started"`
	Duration time.Duration `json:"duration"`
}

// SnapshotUsed is a masked copy of an environment's data that a release was rehearsed on.
type SnapshotUsed struct {
	ID          string        `json:"id"`
	Environment string        `json:"environment"`
	Taken       time.Time     `json:"taken"`
	Age         time.Duration `json:"age"`          // when it came to the stage
	Found       bool          `json:"found"`        // it was there before, and not taken for this rehearsal
	By          string        `json:"by,omitempty"` // the key that vouches for one from another machine
}

func (s SnapshotUsed) told() bool {
	return s.ID != "" && s.Environment != "" && !s.Taken.IsZero() && s.Age >= 0
}

// Migration is what was measured of the release's migration; nil where nothing was.
func (r Report) Migration() *migration.Report {
	for _, res := range r.Results {
		if res.Migration != nil {
			return res.Migration
		}
	}
	return nil
}
