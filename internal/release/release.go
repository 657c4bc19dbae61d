// Package release is what travels: a document that names every artifact by digest, and the baseline that a rehearsal
// compared it with.
package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"greenroom/internal/app"
)

// Format is the version of the release document that this Greenroom writes.
const Format = 1

// Digest names content: "sha256:" and 64 hexadecimal digits.
type Digest string

// Of is the digest of b.
func Of(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Short is what a person reads and types: the first 12 hexadecimal digits.
func (d Digest) Short() string {
	hex := strings.TrimPrefix(string(d), "sha256:")
	return hex[:min(12, len(hex))]
}

// Valid says whether d has the form of a digest.
func (d Digest) Valid() bool {
	rest, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok || len(rest) != 64 {
		return false
	}
	for _, c := range rest {
		if !strings.ContainsRune("0123456789abcdef", c) {
			return false
		}
	}
	return true
}

// Release is the document whose digest is a release's identity. It holds nothing that is not part of what runs: no
// time, no commit, no name of a machine.
type Release struct {
	Format   int          `json:"format"`
	App      string       `json:"app"`
	Contents app.Contents `json:"contents"`
	// Files are the artifacts: a deterministic tar of each service's files under "service/<name>", of each container's image
	// under "image/<name>", and of the checks' under "checks".
	Files map[string]Artifact `json:"files"`
}

// Artifact is one content-addressed archive.
type Artifact struct {
	Digest Digest `json:"digest"`
	Size   int64  `json:"size"` // bytes
}

// Bytes is the canonical JSON of the release.
func (r Release) Bytes() []byte {
	b, err := json.Marshal(r)
	if err != nil { // only strings, numbers and lists of them
		panic(fmt.Sprintf("release: %v", err))
	}
	return b
}

// Digest is the identity of the release.
func (r Release) Digest() Digest { return Of(r.Bytes()) }

// Parse reads a release document strictly: unknown fields, trailing data, another format, bytes that are not canonical and
// containers that are none are errors, so that what was verified is what is used.
func Parse(b []byte) (Release, error) {
	var r Release
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Release{}, fmt.Errorf("release document: %w", err)
	}
	if r.Format != Format {
		return Release{}, fmt.Errorf("release document has format %d, this Greenroom reads %d", r.Format, Format)
	}
	if !bytes.Equal(r.Bytes(), b) {
		return Release{}, fmt.Errorf("release document is not in canonical form")
	}
	if err := r.Contents.Validate(); err != nil {
		return Release{}, fmt.Errorf("release document: %w", err)
	}
	return r, nil
}

// Part is a part of the baseline that evidence can depend on.
type Part string

// The parts of the baseline.
const (
	PartRelease Part = "release"
	PartSchema  Part = "schema"
	PartConfig  Part = "config"
	PartSecrets Part = "secrets"
	PartFlags   Part = "flags"
	PartSizes   Part = "sizes"
)

// Parts are all of them, in the order in which they are shown.
var Parts = []Part{PartRelease, PartSchema, PartConfig, PartSecrets, PartFlags, PartSizes}

// Baseline is what production was when a rehearsal ran: a fingerprint for each part. The zero value is an empty
// production, which a first release meets.
type Baseline map[Part]string

// Changed lists those of parts in which b and now differ, in the order of Parts.
func (b Baseline) Changed(now Baseline, parts []Part) []Part {
	var changed []Part
	for _, p := range Parts {
		for _, want := range parts {
			if p == want && b[p] != now[p] {
				changed = append(changed, p)
			}
		}
	}
	return changed
}
