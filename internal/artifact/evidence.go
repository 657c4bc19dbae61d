package artifact

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/release"
)

// Evidence travels beside its release as OCI 1.1 referrers: each envelope is the one layer of a manifest whose subject is
// the release's manifest (https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md, "subject"). That is what
// "oras attach --artifact-type" makes, and what "oras discover" and cosign look for; the artifact type is the media type
// that cosign gives the layers of its attestations (https://github.com/secure-systems-lab/dsse, "envelope"). As with the
// release, the manifest follows from what it carries, to the byte.
const (
	// EnvelopeType is the artifact type of an envelope's manifest, and the media type of the envelope.
	EnvelopeType = "application/vnd.dsse.envelope.v1+json"

	// positionKey is the annotation that keeps the envelopes' order: registries list referrers as they like.
	positionKey = "vnd.greenroom.evidence.position"

	maxEnvelope  = 1 << 20  // bytes of one envelope
	maxEnvelopes = 4096     // of one release
	maxEvidence  = 64 << 20 // bytes of all envelopes of a release, which are held in memory
)

// referrer is an envelope with the manifest that ties it to a release.
type referrer struct {
	envelope release.Artifact
	content  []byte // of the envelope
	manifest release.Artifact
	text     []byte // of the manifest
	position int
}

// refer ties an envelope to the release with this manifest.
func refer(subject release.Artifact, envelope []byte, position int) (referrer, error) {
	r := referrer{envelope: artifactOf(envelope), content: envelope, position: position}
	text, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: EnvelopeType,
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       []ocispec.Descriptor{descriptor(EnvelopeType, r.envelope)},
		Subject:      new(descriptor(ocispec.MediaTypeImageManifest, subject)),
		Annotations:  r.annotations(),
	})
	r.manifest, r.text = artifactOf(text), text
	return r, err
}

func (r referrer) annotations() map[string]string {
	return map[string]string{positionKey: strconv.Itoa(r.position)}
}

// descriptor is the referrer's entry in an index. It repeats the annotations of its manifest, as a registry does.
func (r referrer) descriptor() ocispec.Descriptor {
	d := descriptor(ocispec.MediaTypeImageManifest, r.manifest)
	d.ArtifactType, d.Annotations = EnvelopeType, r.annotations()
	return d
}

// referrers ties all envelopes of a release to it, within the bounds that an import has.
func referrers(subject release.Artifact, evidence [][]byte) ([]referrer, error) {
	var b evidenceBounds
	list := make([]referrer, len(evidence))
	for i, envelope := range evidence {
		if err := b.admit(artifactOf(envelope)); err != nil {
			return nil, err
		}
		var err error
		if list[i], err = refer(subject, envelope, i); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// evidenceBounds admits envelopes one after the other, each once, until there are too many.
type evidenceBounds struct {
	seen map[release.Digest]bool
	sum  int64
}

func (b *evidenceBounds) admit(envelope release.Artifact) error {
	if b.seen == nil {
		b.seen = map[release.Digest]bool{}
	}
	switch b.sum += envelope.Size; {
	case b.seen[envelope.Digest]:
		return fmt.Errorf("evidence %s is there twice", envelope.Digest.Short())
	case envelope.Size > maxEnvelope || envelope.Size < 0:
		return fmt.Errorf("evidence %s is larger than %d bytes", envelope.Digest.Short(), maxEnvelope)
	case len(b.seen) >= maxEnvelopes || b.sum > maxEvidence:
		return fmt.Errorf("more evidence than %d envelopes or %d bytes", maxEnvelopes, maxEvidence)
	}
	b.seen[envelope.Digest] = true
	return nil
}

// envelopeOf is the envelope that a referrer's manifest carries, and its place among the others. Whether the manifest
// says anything else, only refer can tell, once the envelope is there.
func envelopeOf(manifest []byte) (envelope release.Artifact, position int, err error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return release.Artifact{}, 0, fmt.Errorf("manifest of evidence: %w", err)
	}
	if len(m.Layers) != 1 {
		return release.Artifact{}, 0, errors.New("a manifest of evidence that does not carry exactly one envelope")
	}
	position, err = strconv.Atoi(m.Annotations[positionKey])
	if err != nil {
		return release.Artifact{}, 0, fmt.Errorf("manifest of evidence: %s: %w", positionKey, err)
	}
	return release.Artifact{Digest: release.Digest(m.Layers[0].Digest), Size: m.Layers[0].Size}, position, nil
}
