package evidence

import (
	"errors"
	"fmt"
	"time"

	"greenroom/internal/release"
)

// Beside what checks found, these are signed. Each is the predicate of an in-toto statement in a DSSE envelope, as Seal
// makes them; each Open reads only its own kind.

// Collection is all evidence that a Greenroom holds about a release, in its order: what travels with the release, so that
// nothing of it is left behind on the way.
type Collection struct {
	App      string           `json:"app"`
	Release  release.Digest   `json:"release"`
	Evidence []release.Digest `json:"evidence"` // of the envelopes, the oldest first
	Log      Head             `json:"log"`      // of the log when it was made: a later one of the same key is newer
	At       time.Time        `json:"at"`
}

// Standing is what an environment is, said by the Greenroom that runs it: the baseline that travels back to staging.
type Standing struct {
	App         string           `json:"app"`
	Environment string           `json:"environment"`
	Release     release.Digest   `json:"release"` // live there
	Since       time.Time        `json:"since"`   // when it became live
	Healthy     bool             `json:"healthy"` // all of its replicas
	Baseline    release.Baseline `json:"baseline"`
	Log         Head             `json:"log"`
	At          time.Time        `json:"at"`
}

// Rollout is what a promotion or rollback did.
type Rollout struct {
	App         string           `json:"app"`
	Environment string           `json:"environment"`
	Release     release.Digest   `json:"release"`
	From        release.Digest   `json:"from,omitempty"`
	Run         string           `json:"run"`
	Kind        string           `json:"kind"` // promotion, rollback or restore
	Outcome     string           `json:"outcome"`
	Reason      string           `json:"reason,omitempty"`
	Policy      string           `json:"policy"`           // digest of the one in force
	Evidence    []release.Digest `json:"evidence"`         // that the gate's yes leaned on
	Broken      []string         `json:"broken,omitempty"` // demands that were overridden by breaking the glass
	Because     string           `json:"because,omitempty"`
	Requests    int64            `json:"requests"`
	Failed      int64            `json:"failed"`
	LongestGap  time.Duration    `json:"longest_gap"`      // between two good answers, ns
	Journeys    bool             `json:"journeys"`         // proven by a journey after the switch
	Probed      *Probed          `json:"probed,omitempty"` // what was asked and seen, where nobody here carries the requests: then there are none
	Started     time.Time        `json:"started"`
	Ended       time.Time        `json:"ended"`
}

// SealCollection signs c.
func SealCollection(c Collection, by Signer) ([]byte, error) { return seal(c, by) }

// OpenCollection verifies and reads one, as Open does.
func OpenCollection(envelope []byte, keys Keys) (Collection, Key, error) {
	return open[Collection](envelope, keys)
}

// SealStanding signs s.
func SealStanding(s Standing, by Signer) ([]byte, error) { return seal(s, by) }

// OpenStanding verifies and reads one, as Open does.
func OpenStanding(envelope []byte, keys Keys) (Standing, Key, error) {
	return open[Standing](envelope, keys)
}

// SealRollout signs r.
func SealRollout(r Rollout, by Signer) ([]byte, error) { return seal(r, by) }

// OpenRollout verifies and reads one, as Open does.
func OpenRollout(envelope []byte, keys Keys) (Rollout, Key, error) {
	return open[Rollout](envelope, keys)
}

// Kind is what an envelope holds.
type Kind string

// The kinds.
const (
	KindCheck      Kind = "check" // a Statement
	KindCollection Kind = "collection"
	KindStanding   Kind = "standing"
	KindRollout    Kind = "rollout"
	KindProvenance Kind = "provenance"
	KindSnapshot   Kind = "snapshot"
)

// Summary is what can be told of any envelope in a line.
type Summary struct {
	Kind        Kind           `json:"kind"`
	Type        string         `json:"type"` // the predicate's URI
	App         string         `json:"app"`
	Release     release.Digest `json:"release"`
	Environment string         `json:"environment,omitempty"`
	Run         string         `json:"run,omitempty"`
	Check       string         `json:"check,omitempty"`
	Verdict     Verdict        `json:"verdict,omitempty"`
	Text        string         `json:"text"`
	At          time.Time      `json:"at"`
	Key         KeyID          `json:"key"`
}

// Read verifies an envelope of any kind, as Open does, and summarises it.
func Read(envelope []byte, keys Keys) (Summary, Key, error) {
	d, k, err := openAny(envelope, keys)
	if err != nil {
		return Summary{}, Key{}, err
	}
	s := d.summary()
	s.Key = k.ID
	return s, k, nil
}

func (c Collection) about() (string, release.Digest) { return c.App, c.Release }

func (c Collection) predicate() (string, any) {
	c.Evidence = list(c.Evidence)
	return typeCollection, c
}

func (c Collection) sense() error {
	if c.At.IsZero() {
		return errors.New("a collection without a time")
	}
	return errors.Join(digests(c.Evidence), c.Log.sense(), subject(c.App, c.Release))
}

func (c Collection) summary() Summary {
	return Summary{Kind: KindCollection, Type: typeCollection, App: c.App, Release: c.Release, At: c.At,
		Text: fmt.Sprintf("%d pieces of evidence, up to entry %d of the log", len(c.Evidence), c.Log.Seq)}
}

// about is the digest of nothing where nothing is live: an in-toto statement has a subject.
func (s Standing) about() (string, release.Digest) {
	if s.Release == "" {
		return s.App, release.Of(nil)
	}
	return s.App, s.Release
}

func (s Standing) predicate() (string, any) { return typeStanding, s }

func (s Standing) sense() error {
	switch {
	case s.Environment == "":
		return errors.New("a standing of no environment")
	case s.Baseline[release.PartRelease] != string(s.Release):
		return fmt.Errorf("the baseline is that of release %q, and %q is live", s.Baseline[release.PartRelease], s.Release)
	case s.At.IsZero():
		return errors.New("a standing without a time")
	}
	return errors.Join(s.Log.sense(), subject(s.about()))
}

func (s Standing) summary() Summary {
	if s.Release == "" {
		return Summary{Kind: KindStanding, Type: typeStanding, App: s.App, Environment: s.Environment, At: s.At,
			Text: fmt.Sprintf("nothing is live in %s", s.Environment)}
	}
	return Summary{Kind: KindStanding, Type: typeStanding, App: s.App, Release: s.Release, Environment: s.Environment, At: s.At,
		Text: fmt.Sprintf("%s is live in %s", s.Release.Short(), s.Environment)}
}

func (r Rollout) about() (string, release.Digest) { return r.App, r.Release }

func (r Rollout) predicate() (string, any) {
	r.Evidence = list(r.Evidence)
	return typeRollout, r
}

func (r Rollout) sense() error {
	switch {
	case r.Environment == "" || r.Run == "" || r.Outcome == "":
		return errors.New("a rollout without an environment, a run or an outcome")
	case r.Kind != "promotion" && r.Kind != "rollback" && r.Kind != "restore":
		return fmt.Errorf("a rollout is a promotion, a rollback or a restore, not a %q", r.Kind)
	case r.From != "" && !r.From.Valid():
		return fmt.Errorf("%q is not the digest of a release", r.From)
	case !release.Digest(r.Policy).Valid():
		return fmt.Errorf("the policy %q is not a digest", r.Policy)
	case r.Started.IsZero() || r.Ended.IsZero():
		return errors.New("a rollout without a time")
	}
	return errors.Join(digests(r.Evidence), subject(r.App, r.Release))
}

func (r Rollout) summary() Summary {
	text := fmt.Sprintf("%s to %s: %s", r.Kind, r.Environment, r.Outcome)
	if len(r.Broken) > 0 {
		text += fmt.Sprintf(", past %d demands of the gate", len(r.Broken))
	}
	return Summary{Kind: KindRollout, Type: typeRollout, App: r.App, Release: r.Release, Environment: r.Environment, Run: r.Run, Text: text, At: r.Ended}
}

// list is a list that JSON writes as one, also when it is empty.
func list(ds []release.Digest) []release.Digest {
	if ds == nil {
		return []release.Digest{}
	}
	return ds
}

func digests(ds []release.Digest) error {
	for _, d := range ds {
		if !d.Valid() {
			return fmt.Errorf("%q is not the digest of an envelope", d)
		}
	}
	return nil
}
