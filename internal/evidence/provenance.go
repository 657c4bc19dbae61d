package evidence

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"greenroom/internal/release"
)

// Provenance is where a release came from: SLSA provenance v1.
type Provenance struct {
	App     string         `json:"app"`
	Release release.Digest `json:"release"`
	Commit  string         `json:"commit,omitempty"`
	Ref     string         `json:"ref,omitempty"`
	Dirty   bool           `json:"dirty,omitempty"` // the working copy was not quite the commit
	Builder string         `json:"builder"`         // who built it: a system user, in words
	Version string         `json:"version"`         // of Greenroom
	Started time.Time      `json:"started"`
	Ended   time.Time      `json:"ended"`
}

// SealProvenance signs p.
func SealProvenance(p Provenance, by Signer) ([]byte, error) { return seal(p, by) }

// OpenProvenance verifies and reads one, as Open does.
func OpenProvenance(envelope []byte, keys Keys) (Provenance, Key, error) {
	return open[Provenance](envelope, keys)
}

// slsa is the predicate of SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance), as far as a build on a person's
// machine can fill it: what was asked for, the commit that it was made from, who made it and with what.
type slsa struct {
	BuildDefinition struct {
		BuildType          string `json:"buildType"`
		ExternalParameters struct {
			App string `json:"app"`
			Ref string `json:"ref,omitempty"`
		} `json:"externalParameters"`
		ResolvedDependencies []descriptor `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version"`
		} `json:"builder"`
		Metadata struct {
			StartedOn  time.Time `json:"startedOn"`
			FinishedOn time.Time `json:"finishedOn"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

const (
	buildType     = "greenroom:build/v1"  // `greenroom build` of a definition (docs/evidence/README.md)
	builderPrefix = "greenroom:builder/"  // and the system user, escaped as in a URL's path
	source        = "source"              // the repository among the dependencies
	dirty         = "uncommitted-changes" // the annotation of a source that was not quite the commit
	greenroom     = "greenroom"           // the program among the builder's versions
)

func (p Provenance) about() (string, release.Digest) { return p.App, p.Release }

func (p Provenance) predicate() (string, any) {
	var s slsa
	s.BuildDefinition.BuildType = buildType
	s.BuildDefinition.ExternalParameters.App = p.App
	s.BuildDefinition.ExternalParameters.Ref = p.Ref
	if p.Commit != "" {
		d := descriptor{Name: source, Digest: map[string]string{"gitCommit": p.Commit}}
		if p.Dirty {
			d.Annotations = map[string]bool{dirty: true}
		}
		s.BuildDefinition.ResolvedDependencies = []descriptor{d}
	}
	s.RunDetails.Builder.ID = builderPrefix + url.PathEscape(p.Builder)
	s.RunDetails.Builder.Version = map[string]string{greenroom: p.Version}
	s.RunDetails.Metadata.StartedOn = p.Started.UTC()
	s.RunDetails.Metadata.FinishedOn = p.Ended.UTC()
	return typeProvenance, s
}

// provenance is what the predicate says about a subject. Whatever it leaves out makes another form than it was read from,
// and parse refuses that.
func (s slsa) provenance(about descriptor) Provenance {
	p := Provenance{
		App: about.Name, Release: release.Digest("sha256:" + about.Digest["sha256"]),
		Ref:     s.BuildDefinition.ExternalParameters.Ref,
		Version: s.RunDetails.Builder.Version[greenroom],
		Started: s.RunDetails.Metadata.StartedOn, Ended: s.RunDetails.Metadata.FinishedOn,
	}
	if escaped, ok := strings.CutPrefix(s.RunDetails.Builder.ID, builderPrefix); ok {
		p.Builder, _ = url.PathUnescape(escaped)
	}
	for _, d := range s.BuildDefinition.ResolvedDependencies {
		p.Commit, p.Dirty = d.Digest["gitCommit"], d.Annotations[dirty]
	}
	return p
}

func (p Provenance) sense() error {
	switch {
	case p.Builder == "":
		return errors.New("a provenance that names no builder")
	case p.Commit != "" && !commit(p.Commit):
		return fmt.Errorf("%q is not a git commit", p.Commit)
	case p.Commit == "" && p.Dirty:
		return errors.New("changes to a commit that is not named")
	case p.Started.IsZero() || p.Ended.IsZero():
		return errors.New("a provenance without a time")
	}
	return subject(p.App, p.Release)
}

// commit says whether id is a full name of git's: 40 hexadecimal digits, or 64 in a SHA-256 repository.
func commit(id string) bool {
	return (len(id) == 40 || len(id) == 64) && strings.Trim(id, "0123456789abcdef") == ""
}

func (p Provenance) summary() Summary {
	text := "built by " + p.Builder
	if p.Commit != "" {
		text += " from " + p.Commit[:min(12, len(p.Commit))]
	}
	if p.Ref != "" {
		text += " (" + p.Ref + ")"
	}
	if p.Dirty {
		text += ", with changes that are not committed"
	}
	return Summary{Kind: KindProvenance, Type: typeProvenance, App: p.App, Release: p.Release, Environment: Build, Text: text, At: p.Ended}
}
