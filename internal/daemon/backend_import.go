package daemon

import (
	"context"
	"fmt"
	"io"

	"greenroom/internal/api"
	"greenroom/internal/artifact"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// Import is api.Backend's. What comes in is verified before anything of it is known: the artifacts by digest, the evidence
// by the builder's signature.
func (d *Daemon) Import(ctx context.Context, info api.ReleaseInfo, layout io.Reader) (api.ReleaseView, error) {
	defer d.holdReleases()()
	id, err := d.world.Artifacts.Import(ctx, layout)
	if err != nil {
		return api.ReleaseView{}, err
	}
	if id != info.Digest {
		return api.ReleaseView{}, problem.New(problem.Invalid, "what came in is release %s, not %s as announced", id.Short(), info.Digest.Short())
	}
	r, err := d.world.Artifacts.Release(ctx, id)
	if err != nil {
		return api.ReleaseView{}, err
	}
	if r.App != info.App {
		return api.ReleaseView{}, problem.New(problem.Invalid, "release %s is one of %s, not of %s", id.Short(), r.App, info.App)
	}
	builder, err := d.builder(ctx, info)
	if err != nil {
		return api.ReleaseView{}, err
	}
	kinds, err := fromBuilder(r, id, info.Evidence, builder)
	if err != nil {
		return api.ReleaseView{}, err
	}
	actor := api.Actor(ctx)
	if builder != nil && len(info.Evidence) > 0 { // only who signs with it shows that it is theirs
		if err := d.world.Store.EnrollKey(ctx, actor, builder.Name, builder.Public); err != nil {
			return api.ReleaseView{}, err
		}
	}
	build := store.Build{Release: id, App: r.App, Revision: info.Commit, Ref: info.Ref, Dirty: info.Dirty, At: info.BuiltAt, By: actor}
	by := store.Audit{Actor: actor, Action: "build", App: r.App, Subject: string(id), Because: info.Ref}
	err = d.world.Store.Change(ctx, by, func(t *store.Tx) error {
		if err := t.PutRelease(ctx, r.Bytes(), build); err != nil {
			return err
		}
		for i, e := range info.Evidence {
			if _, err := t.PutEvidence(ctx, r.App, id, kinds[i], e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return api.ReleaseView{}, err
	}
	return d.releaseView(ctx, build)
}

// rebuilt is among how many of the newest releases Packed looks for an image.
const rebuilt = 20

// Packed is api.Backend's.
func (d *Daemon) Packed(ctx context.Context, app, image string) (release.Artifact, error) {
	builds, err := d.world.Store.Releases(ctx, app, rebuilt)
	if err != nil {
		return release.Artifact{}, err
	}
	for _, b := range builds {
		r, err := d.world.Release(ctx, b.Release)
		if err != nil { // its files may be gone, which is no reason not to look further
			continue
		}
		for _, s := range r.Contents.Services {
			if a, ok := r.Files[artifact.ImageFiles(s.Name)]; ok && s.Image == image && d.world.Artifacts.HasImage(ctx, a, image) {
				return a, nil
			}
		}
	}
	return release.Artifact{}, problem.New(problem.NotFound, "no release of %s has the image %s", app, release.Digest(image).Short())
}

// builder is the key of the one who brings a release; nil where none was told. The first time it is enrolled as the
// user's who came with it: who that is, the kernel says.
func (d *Daemon) builder(ctx context.Context, info api.ReleaseInfo) (*evidence.Key, error) {
	if info.Builder == "" {
		return nil, nil
	}
	public, err := evidence.ParsePublic(info.Builder)
	if err != nil {
		return nil, problem.New(problem.Invalid, "the builder's key: %w", err)
	}
	k := evidence.Key{ID: evidence.IDOf(public), Public: public, Name: "builder " + api.Actor(ctx),
		Checks: []string{evidence.Any}, Environments: []string{gate.BuildRun}}
	known, err := d.world.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, have := range known {
		switch {
		case have.ID != k.ID:
		case have.Revoked != nil:
			return nil, problem.New(problem.Blocked, "the key %s, with which this was built, is revoked: %s", k.ID, have.Revoked.Because).
				WithHint("greenroom key rotate --builder, then greenroom build")
		case !have.Own && have.User != api.Actor(ctx):
			return nil, problem.New(problem.Blocked, "the key %s, with which this was built, is that of %s", k.ID, have.User)
		}
	}
	return &k, nil
}

// fromBuilder takes from a builder only what a builder may say: where the release came from, and the results of its checks
// at build.
func fromBuilder(r release.Release, id release.Digest, envelopes [][]byte, builder *evidence.Key) ([]evidence.Kind, error) {
	if builder == nil && len(envelopes) > 0 {
		return nil, problem.New(problem.Invalid, "the evidence of a build comes with the builder's key")
	}
	atBuild := map[string]bool{}
	for _, c := range r.Contents.Checks {
		atBuild[c.Name] = c.AtBuild
	}
	kinds := make([]evidence.Kind, len(envelopes))
	for i, e := range envelopes {
		s, _, err := evidence.Read(e, evidence.Keys{*builder})
		if err != nil {
			return nil, problem.New(problem.Invalid, "the evidence of the build: %w", err)
		}
		kinds[i] = s.Kind
		may := s.Kind == evidence.KindProvenance || s.Kind == evidence.KindCheck && s.Run == gate.BuildRun && atBuild[s.Check]
		if s.App != r.App || s.Release != id || !may {
			return nil, problem.New(problem.Invalid, "%s is not what the build of %s may say", fmt.Sprintf("%s %s", s.Kind, s.Check), id.Short())
		}
	}
	return kinds, nil
}
