package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// The keys of the fake daemon: its own, the one before, and somebody else's.
var (
	ownKey      = signerOf(1)
	oldKey      = signerOf(2)
	stagingKey  = signerOf(3)
	strangerKey = signerOf(4)
)

// signerOf is a signer that is the same in every run.
func signerOf(n byte) evidence.Signer {
	return evidence.NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
}

func public(s evidence.Signer) string { return evidence.FormatPublic(s.Public()) }

// inForce is the policy that the fake daemon has.
func inForce() app.Policy {
	return app.Policy{App: "shop", Environments: []app.Environment{{Name: "dev"}, {Name: "production", After: "dev"}}}
}

func must1[T any](v T, err error) T {
	must(err)
	return v
}

func fakeStatement(check string, v evidence.Verdict) evidence.Statement {
	return evidence.Statement{ID: "s-" + check, App: "shop", Release: good.Digest, Environment: evidence.Stage, Run: "r1",
		Policy: string(release.Of([]byte("policy"))), Baseline: release.Baseline{release.PartRelease: string(sour.Digest)},
		Result: evidence.Result{Check: check, Verdict: v, Summary: "12 tests passed\x1b[2J"}, At: at.Add(-2 * time.Hour)}
}

// fakeEvidence is what is signed about the good release: two checks, and the list of them.
func fakeEvidence() [][]byte {
	unit := must1(evidence.Seal(fakeStatement("unit", evidence.Pass), ownKey))
	checkout := must1(evidence.Seal(fakeStatement("checkout", evidence.Inconclusive), stagingKey))
	list := evidence.Collection{App: "shop", Release: good.Digest, Evidence: []release.Digest{release.Of(unit), release.Of(checkout)},
		Log: evidence.Head{Seq: 3, Hash: make([]byte, 32)}, At: at.Add(-time.Hour)}
	return [][]byte{unit, checkout, must1(evidence.SealCollection(list, ownKey))}
}

func fakeStanding() []byte {
	return must1(evidence.SealStanding(evidence.Standing{App: "shop", Environment: "production", Release: good.Digest, Since: at,
		Baseline: release.Baseline{release.PartRelease: string(good.Digest)}, Log: evidence.Head{Seq: 3, Hash: make([]byte, 32)},
		At: at}, ownKey))
}

// fakeLog has a rotation in it.
func fakeLog() []evidence.Entry {
	var log []evidence.Entry
	add := func(by evidence.Signer, e evidence.Entry) {
		var head evidence.Head
		if n := len(log); n > 0 {
			head = evidence.Head{Seq: log[n-1].Seq, Hash: log[n-1].Hash}
		}
		e.At, e.Actor = at, "ada"
		log = append(log, evidence.Link(e, head, by))
	}
	add(oldKey, evidence.Entry{Action: "policy registered", App: "shop"})
	add(oldKey, evidence.Entry{Action: evidence.ActionRotated, Subject: string(ownKey.ID()), Detail: `"` + public(ownKey) + `"`})
	add(ownKey, evidence.Entry{Action: "promotion", App: "shop", Environment: "production", Subject: string(good.Digest), Because: "<it> & was ready"})
	return log
}

func fakeProof(holds bool) *gate.Proof {
	return &gate.Proof{Statement: "s1", Key: stagingKey.ID(), Signer: "staging", At: at.Add(-2 * time.Hour), DependsOn: []gate.Dependence{
		{On: "schema", Was: "sha256:" + strings.Repeat("a", 64), Is: "sha256:" + strings.Repeat("a", 64), Holds: true},
		{On: "release", Was: string(good.Digest), Is: string(sour.Digest), Holds: holds}}}
}

func fakeKeys() []api.KeyView {
	all := []string{evidence.Any}
	return []api.KeyView{
		{ID: oldKey.ID(), Public: public(oldKey), Name: "this Greenroom", Own: true, Checks: all, Environments: all, Retired: at},
		{ID: ownKey.ID(), Public: public(ownKey), Name: "this Greenroom", Own: true, Active: true, Checks: all, Environments: all},
		{ID: stagingKey.ID(), Public: public(stagingKey), Name: "staging", Checks: all, Environments: []string{evidence.Stage}},
	}
}

func fakeGlass() api.GlassView {
	return api.GlassView{Run: "r9", By: "ada", Because: "the shop is down\x1b[2J", At: at, Overridden: []string{"check checkout: it failed"}}
}

func (f *fake) Apply(_ context.Context, r api.Registration, dry bool) (api.Applied, error) {
	out := api.Applied{Dry: dry, Changes: app.Changes(f.policy, r.Policy)}
	out.Policy, out.Before = r.Policy.Digest(), f.policy.Digest()
	if out.Changed = out.Policy != out.Before; out.Changed {
		out.Void, out.Later = []release.Digest{good.Digest}, []string{"production"}
	}
	if !dry {
		f.did("apply %s", r.App)
		f.policy = r.Policy
	}
	return out, nil
}

func (f *fake) Evidence(_ context.Context, _, rel string) (api.EvidenceList, error) {
	l := api.EvidenceList{App: "shop", Release: release.Digest(rel), Keys: fakeKeys()}
	keys := must1(keysOf(l.Keys))
	for i, e := range f.envelope[l.Release] {
		v := api.EvidenceView{Seq: int64(i + 1), Digest: release.Of(e), Envelope: e}
		summary, key, err := evidence.Read(e, keys)
		if err != nil {
			v.Fault = err.Error()
		}
		v.Summary, v.Signer = summary, key.Name
		l.Items = append(l.Items, v)
	}
	return l, nil
}

func (f *fake) Bundle(_ context.Context, _, rel string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(bundleOf(f.envelope[release.Digest(rel)]...))), nil
}

// bundleOf is an archive with these envelopes, and other files beside them.
func bundleOf(envelopes ...[]byte) []byte {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	add := func(name string, content []byte) {
		must(t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644}))
		must1(t.Write(content))
	}
	add("oci-layout", []byte(`{"imageLayoutVersion": "1.0.0"}`))
	for _, content := range append([][]byte{[]byte(`{"schemaVersion":2}`), []byte("a program")}, envelopes...) {
		add("blobs/sha256/"+strings.TrimPrefix(string(release.Of(content)), "sha256:"), content)
	}
	must(t.Close())
	return b.Bytes()
}

func (f *fake) Take(_ context.Context, _ string, bundle io.Reader) (api.Taken, error) {
	b, err := io.ReadAll(bundle)
	f.did("take %.30q", b)
	return api.Taken{Release: good, Taken: 2, By: "staging", Faults: []string{"smoke: signed by a stranger\x1b[2J"}}, err
}

func (f *fake) Standing(_ context.Context, _, environment string) ([]byte, error) {
	if environment != "production" {
		return nil, problem.New(problem.NotFound, "shop has no environment %s", environment).WithHint("greenroom status")
	}
	return fakeStanding(), nil
}

func (f *fake) TakeStanding(_ context.Context, _ string, envelope []byte) (api.StandingView, error) {
	s, key, err := evidence.OpenStanding(envelope, must1(keysOf(fakeKeys())))
	f.did("take the standing of %s", s.Environment)
	return api.StandingView{Standing: s, Signer: key.Name}, err
}

func (f *fake) Keys(_ context.Context, name string) ([]api.KeyView, error) {
	if name == "" {
		return fakeKeys()[:2], nil
	}
	return fakeKeys(), nil
}

func (f *fake) RotateKey(_ context.Context, because string) (api.KeyView, error) {
	f.did("rotate: %s", because)
	return fakeKeys()[1], nil
}

func (f *fake) RevokeKey(_ context.Context, id evidence.KeyID, because string) (api.Revoked, error) {
	f.did("revoke %s: %s", id, because)
	return fakeRevoked(), nil
}

func fakeRevoked() api.Revoked {
	k := fakeKeys()[2]
	k.Revoked, k.Because = at, "the laptop was stolen\x1b[2J"
	return api.Revoked{Key: k, Evidence: 12, Leaned: []api.HistoryEntry{{Seq: 7, At: at, App: "shop", Environment: "production", Release: good.Digest, Run: "r4"}},
		Live: []api.EnvironmentRef{{App: "shop", Environment: "production", Release: good.Digest}}}
}

func (f *fake) Log(_ context.Context, after int64) (api.Stream[evidence.Entry], error) {
	return func(yield func(evidence.Entry, error) bool) {
		for _, e := range f.log {
			if e.Seq > after && !yield(e, nil) {
				return
			}
		}
	}, nil
}

func (f *fake) Anchor(context.Context) (api.Anchor, error) {
	return api.NewAnchor(f.log[len(f.log)-1]), nil
}

func (f *fake) Review(_ context.Context, run, because string) error {
	f.did("review %s: %s", run, because)
	f.glass = nil
	return nil
}

func fakeTrustKey(dir string, k app.TrustedKey) (Edit, error) {
	file := filepath.Join(dir, "greenroom.yaml")
	before, err := os.ReadFile(file)
	if err != nil {
		return Edit{}, errors.Join(problem.New(problem.NotFound, "there is no greenroom.yaml here"), err)
	}
	after := string(before) + "keys:\n  " + k.Name + ": " + k.Public + "  # " + strings.Join(append(k.Checks, k.Environments...), ", ") + "\n"
	return Edit{File: file, Before: before, After: []byte(after)}, nil
}
