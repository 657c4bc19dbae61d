package evidence

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"greenroom/internal/release"
)

// Snapshot is a masked copy of an environment's data, said by the Greenroom that took it: what travels with the copy, so that
// whoever gets it knows whose it is, and that it is what was taken.
type Snapshot struct {
	App         string         `json:"app"`
	Environment string         `json:"environment"`
	ID          string         `json:"id"`
	Manifest    release.Digest `json:"manifest"` // of its manifest, which names all that belongs to it by digest
	Rules       string         `json:"rules"`    // digest of the mask's rules, SHA-256 in hexadecimal
	Taken       time.Time      `json:"taken"`    // the moment that it is of
	Size        int64          `json:"size"`     // bytes
	At          time.Time      `json:"at"`       // when it left
}

// SealSnapshot signs s.
func SealSnapshot(s Snapshot, by Signer) ([]byte, error) { return seal(s, by) }

// OpenSnapshot verifies and reads one, as Open does.
func OpenSnapshot(envelope []byte, keys Keys) (Snapshot, Key, error) {
	return open[Snapshot](envelope, keys)
}

// snapshotID is how a Greenroom calls a snapshot: by its moment, or by the run that it was taken for.
var snapshotID = regexp.MustCompile(`^([0-9]{8}-[0-9]{6}\.[0-9]{3}|r[0-9]+)$`)

// about is the manifest in the place of a release: that is what is signed for.
func (s Snapshot) about() (string, release.Digest) { return s.App, s.Manifest }

func (s Snapshot) predicate() (string, any) { return typeSnapshot, s }

func (s Snapshot) sense() error {
	switch {
	case s.Environment == "":
		return errors.New("a snapshot of no environment")
	case !snapshotID.MatchString(s.ID):
		return fmt.Errorf("%q is not the id of a snapshot", s.ID)
	case !release.Digest("sha256:" + s.Rules).Valid():
		return fmt.Errorf("the rules %q are not a digest", s.Rules)
	case s.Size < 0:
		return errors.New("a snapshot of fewer than no bytes")
	case s.Taken.IsZero() || s.At.IsZero():
		return errors.New("a snapshot without a time")
	}
	return subject(s.about())
}

func (s Snapshot) summary() Summary {
	return Summary{Kind: KindSnapshot, Type: typeSnapshot, App: s.App, Release: s.Manifest, Environment: s.Environment, At: s.At,
		Text: fmt.Sprintf("the snapshot %s of %s, of %s", s.ID, s.Environment, s.Taken.UTC().Format("2006-01-02 15:04 UTC"))}
}
