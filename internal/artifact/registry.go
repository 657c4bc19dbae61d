package artifact

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote/retry"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// A registry holds a release as the bundle does: the manifest under its tag, each envelope as a referrer of it. Where a
// registry does not know the referrers API, oras keeps the list of them under a tag made from the manifest's digest
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema).

// maxManifest bounds a manifest that comes from a registry, in bytes: it is what the distribution specification wants
// registries to take.
const maxManifest = 4 << 20

// RegistryOptions say how a registry is spoken to.
type RegistryOptions struct {
	// PlainHTTP speaks HTTP without TLS to a registry on another machine, too; on this one it is spoken anyway.
	PlainHTTP bool

	policy retry.Policy // when to try again; nil: five times, at most three seconds apart
}

// Push sends a release and its evidence, as ExportBundle writes them, to a registry: oci://HOST[:PORT]/REPOSITORY:TAG, or
// @sha256:… of the release's manifest. Credentials are those of "docker login". The tag comes last: who pulls it gets all
// of what was pushed. Pushing again adds what is new; evidence that is in the registry already stays there.
//
// It is a problem of code Invalid where the reference or the bundle is wrong, of code Unavailable where the registry does
// not take it, and Interrupted when ctx ends.
func Push(ctx context.Context, bundle io.Reader, ref string, o RegistryOptions) (err error) {
	t, err := parseTarget(ref, o)
	if err != nil {
		return err
	}
	defer t.close()
	noPlace := func(err error) error {
		return problem.New(problem.Unavailable, "no place for what is pushed: %w", err).WithHint("make room in %s", os.TempDir())
	}
	dir, err := os.MkdirTemp("", "greenroom-push-*")
	if err != nil {
		return noPlace(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := readBundle(ctx, bundle, dir, maxBundle)
	if err != nil {
		return bundleProblem(ctx, err, noPlace)
	}
	r, evidence, err := b.contents(maxEnvelopes)
	if err != nil {
		return bundleProblem(ctx, err, noPlace)
	}
	return t.problem(ctx, t.push(ctx, b, r, evidence))
}

// push sends the blobs, then what names them.
func (t *target) push(ctx context.Context, b *bundle, r release.Release, evidence [][]byte) error {
	man, text, err := manifest(r)
	if err != nil {
		return err
	}
	if !t.byTag() && t.reference() != string(man.Digest) {
		return problem.New(problem.Invalid, "the release's manifest is %s, not %s", man.Digest, t.reference()).
			WithHint("name a tag: oci://%s/%s:TAG", t.Reference.Registry, t.Reference.Repository)
	}
	refs, err := referrers(man, evidence)
	if err != nil {
		return err
	}
	for _, a := range append(artifacts(r), artifactOf(r.Bytes())) {
		if err := t.pushBlob(ctx, a, func() (io.ReadCloser, error) { return b.open(a) }); err != nil {
			return err
		}
	}
	d := descriptor(ocispec.MediaTypeImageManifest, man)
	if err := t.Manifests().Push(ctx, d, bytes.NewReader(text)); err != nil {
		return err
	}
	if err := t.pushEvidence(ctx, refs); err != nil || !t.byTag() {
		return err
	}
	return t.Manifests().PushReference(ctx, d, bytes.NewReader(text), t.reference())
}

// pushEvidence sends envelopes and ties them to the release.
func (t *target) pushEvidence(ctx context.Context, refs []referrer) error {
	if len(refs) == 0 {
		return nil
	}
	if err := t.pushText(ctx, ocispec.DescriptorEmptyJSON.Data); err != nil {
		return err
	}
	for _, r := range refs {
		if err := t.pushText(ctx, r.content); err != nil {
			return err
		}
		// Also over one that is there: a kill may have come before the registry's list of referrers named it.
		if err := t.Manifests().Push(ctx, r.descriptor(), bytes.NewReader(r.text)); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) pushText(ctx context.Context, text []byte) error {
	return t.pushBlob(ctx, artifactOf(text), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text)), nil
	})
}

// pushBlob sends a blob unless the registry has it. An upload that breaks off begins anew.
func (t *target) pushBlob(ctx context.Context, a release.Artifact, open func() (io.ReadCloser, error)) error {
	d := descriptor(layerType, a)
	if there, err := t.Blobs().Exists(ctx, d); err != nil || there {
		return err
	}
	return t.again(ctx, func() (err error) {
		rc, err := open()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rc.Close()) }()
		return t.Blobs().Push(ctx, d, io.NopCloser(rc)) // HTTP clients close what they send
	})
}

// Pull fetches a release and its evidence from a registry, named as for Push, as a tar that ImportBundle reads. All that
// is small is fetched and verified before it returns; the artifacts come while the tar is read, and one that is not what
// its digest says ends it with an error, before its end. Evidence that several pushed comes each once, by its place and
// then by its digest. The reader must be closed; it ends with an error when ctx does.
//
// It is a problem of code NotFound where the registry does not have it, otherwise as for Push.
func Pull(ctx context.Context, ref string, o RegistryOptions) (io.ReadCloser, error) {
	t, err := parseTarget(ref, o)
	if err != nil {
		return nil, err
	}
	r, evidence, err := t.pull(ctx)
	if err != nil {
		t.close()
		return nil, t.problem(ctx, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	pr, pw := io.Pipe()
	p := &pulled{PipeReader: pr, cancel: cancel, done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { pw.CloseWithError(t.problem(ctx, ctx.Err())) })
	go func() {
		defer close(p.done)
		defer t.close()
		defer stop()
		pw.CloseWithError(t.problem(ctx, writeBundle(ctx, pw, r, artifacts(r), evidence, func(a release.Artifact) (io.ReadCloser, error) {
			rc, err := t.Blobs().Fetch(ctx, descriptor(layerType, a))
			if err != nil {
				return nil, err
			}
			return verify(rc, a), nil
		})))
	}()
	return p, nil
}

// pulled is a bundle on its way from a registry.
type pulled struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

// Close ends the transfer, however far it has come.
func (p *pulled) Close() error {
	p.cancel()
	err := p.PipeReader.Close()
	<-p.done
	return err
}

// pull fetches what is small: the release and its evidence.
func (t *target) pull(ctx context.Context) (release.Release, [][]byte, error) {
	d, err := t.Resolve(ctx, t.reference())
	if err != nil {
		return release.Release{}, nil, err
	}
	man := release.Artifact{Digest: release.Digest(d.Digest), Size: d.Size}
	text, err := t.fetch(ctx, t.Manifests(), man, maxManifest)
	if err != nil {
		return release.Release{}, nil, err
	}
	r, err := releaseOf(text, func(doc release.Artifact) ([]byte, error) {
		return t.fetch(ctx, t.Blobs(), doc, maxDocument)
	})
	if err != nil {
		return release.Release{}, nil, err
	}
	evidence, err := t.pullEvidence(ctx, man)
	return r, evidence, err
}

// pullEvidence fetches the envelopes that refer to a release.
func (t *target) pullEvidence(ctx context.Context, subject release.Artifact) ([][]byte, error) {
	var list []referrer
	err := t.Referrers(ctx, descriptor(ocispec.MediaTypeImageManifest, subject), EnvelopeType, func(page []ocispec.Descriptor) error {
		for _, d := range page {
			if len(list) == maxEnvelopes {
				return fmt.Errorf("more evidence than %d envelopes", maxEnvelopes)
			}
			r, err := t.pullReferrer(ctx, subject, release.Artifact{Digest: release.Digest(d.Digest), Size: d.Size})
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b referrer) int {
		return cmp.Or(cmp.Compare(a.position, b.position), cmp.Compare(a.envelope.Digest, b.envelope.Digest))
	})
	var evidence [][]byte
	for i, r := range list {
		if !slices.ContainsFunc(list[:i], func(o referrer) bool { return o.envelope.Digest == r.envelope.Digest }) {
			evidence = append(evidence, r.content)
		}
	}
	return evidence, nil
}

// pullReferrer fetches one envelope.
func (t *target) pullReferrer(ctx context.Context, subject, man release.Artifact) (referrer, error) {
	text, err := t.fetch(ctx, t.Manifests(), man, maxManifest)
	if err != nil {
		return referrer{}, err
	}
	a, position, err := envelopeOf(text)
	if err != nil {
		return referrer{}, err
	}
	envelope, err := t.fetch(ctx, t.Blobs(), a, maxEnvelope)
	if err != nil {
		return referrer{}, err
	}
	r, err := refer(subject, envelope, position)
	if err == nil && !bytes.Equal(r.text, text) {
		err = fmt.Errorf("the manifest of evidence %s is not that of this release", a.Digest.Short())
	}
	return r, err
}

// fetch gives something small, verified by its digest.
func (t *target) fetch(ctx context.Context, from content.Fetcher, a release.Artifact, most int64) ([]byte, error) {
	if !a.Digest.Valid() || a.Size < 0 || a.Size > most {
		return nil, fmt.Errorf("%q of %d bytes is no part of a release", a.Digest, a.Size)
	}
	return content.FetchAll(ctx, from, descriptor(ocispec.MediaTypeImageManifest, a))
}
