package daemon

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/artifact"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// machines are two Greenrooms that know one another's keys: staging lives under the one, production under the other.
type machines struct {
	*testing.T
	staging, production *house
	sources             sources
}

const twoMachines = `app: app
environments:
  staging: {rollout: {watch: 200ms}}
  production:
    after: staging
    rollout: {steps: [100%], watch: 200ms, drain: 30s}
keys:
  staging: {key: "STAGING", environments: [rehearsal, staging, build]}
  production: {key: "PRODUCTION", environments: [production]}
migrations: {run: bin/app migrate, timeout: 1m, ` + patient + `}
checks:
  journey: {run: CONTROL=CONTROL_FOLDER bin/app journey, files: [bin/app, VERSION], journey: true, production: true, timeout: 2m}
`

func newMachines(t *testing.T) *machines {
	t.Helper()
	return newMachinesWith(t, withPostgres(), twoMachines)
}

func newMachinesWith(t *testing.T, s sources, definition string) *machines {
	t.Helper()
	m := &machines{T: t, staging: newHouse(t), production: newHouse(t)}
	s.definition = strings.NewReplacer("STAGING", m.staging.ownKey(), "PRODUCTION", m.production.ownKey()).Replace(definition)
	s.definition = strings.ReplaceAll(s.definition, "CONTROL_FOLDER", m.staging.control) // one folder for both: one release
	s.compose = strings.ReplaceAll(s.compose, "CONTROL_FOLDER", m.staging.control)
	m.sources = s
	m.staging.up(s)
	m.production.up(s)
	return m
}

// ownKey is the public key that a Greenroom signs with.
func (h *house) ownKey() string {
	h.Helper()
	keys, err := h.client.Keys(h.ctx(), "")
	must(h, err)
	for _, k := range keys {
		if k.Active {
			return k.Public
		}
	}
	h.Fatal("it has no key")
	return ""
}

// bundle is a release with its evidence, as one Greenroom gives it away.
func (h *house) bundle(r release.Digest) []byte {
	h.Helper()
	b, err := h.client.Bundle(h.ctx(), appUnderTest, string(r))
	must(h, err)
	all, err := io.ReadAll(b)
	must(h, errors.Join(err, b.Close()))
	return all
}

func (h *house) takeBundle(bundle []byte) (api.Taken, error) {
	h.Helper()
	return h.client.Take(h.ctx(), appUnderTest, bytes.NewReader(bundle))
}

// tellStaging carries what an environment is from one Greenroom to the other.
func (m *machines) tellStaging() {
	m.Helper()
	envelope, err := m.production.client.Standing(m.production.ctx(), appUnderTest, "production")
	must(m, err)
	_, err = m.staging.client.TakeStanding(m.staging.ctx(), appUnderTest, envelope)
	must(m, err)
}

// rehearsed builds a release on staging's machine, rehearses it there and makes it live in staging.
func (m *machines) rehearsed(version, migrate string) release.Digest {
	m.Helper()
	r := m.staging.build(m.sources.as(version, migrate))
	m.staging.decided(r)
	run, err := m.staging.client.Start(m.staging.ctx(), api.RunRequest{Kind: plan.Promotion, App: appUnderTest, Release: string(r), Environment: "staging"})
	must(m, err)
	m.staging.wantOutcome(m.staging.await(run.ID), plan.Succeeded)
	return r
}

func (m *machines) explained(r release.Digest) gate.Decision {
	m.Helper()
	x, err := m.production.client.Explain(m.production.ctx(), appUnderTest, string(r), "production")
	must(m, err)
	return x.Decision
}

// TestTwoMachines takes releases from staging's machine to production's, and production's baseline back. Production believes
// what staging's key signed, whole, and nothing else.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	m := newMachines(t)

	r := m.staging.build(m.sources)
	_, err := m.staging.client.Start(m.staging.ctx(), api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(r)})
	wantProblem(m, err, problem.Blocked, "production lives elsewhere", "greenroom evidence export production --baseline")
	m.tellStaging()
	first := m.rehearsed("v1", "")
	taken, err := m.production.takeBundle(m.staging.bundle(first))
	if must(m, err); taken.By != "staging" || taken.Taken == 0 || taken.Release.Digest != first {
		m.Fatalf("taken is %+v", taken)
	}
	m.production.wantOutcome(m.production.promote(first), plan.Succeeded)
	if d := m.explained(first); d.Allowed { // the release that is live now is not what it was rehearsed against
		m.Error("evidence outlives the baseline that it depends on")
	}

	m.tellStaging()
	second := m.rehearsed("v2", "CREATE TABLE IF NOT EXISTS second (n int);\n")
	bundle := m.staging.bundle(second)
	for name, bad := range map[string][]byte{
		"without the list of it all": m.repacked(bundle, func(s evidence.Summary) bool { return s.Kind != evidence.KindCollection }),
		"without a check":            m.repacked(bundle, func(s evidence.Summary) bool { return s.Check != gate.OldOnNew }),
		"without anything":           m.repacked(bundle, func(evidence.Summary) bool { return false }),
	} {
		taken, err := m.production.takeBundle(bad)
		if must(m, err); taken.Taken > 0 || len(taken.Faults) == 0 || m.explained(second).Allowed {
			m.Errorf("%s: %+v", name, taken)
		}
	}
	taken, err = m.production.takeBundle(bundle)
	if must(m, err); !taken.Known || len(taken.Faults) > 0 || taken.Taken == 0 {
		m.Errorf("taken is %+v", taken)
	}
	m.production.wantOutcome(m.production.promote(second), plan.Succeeded)
	if again, err := m.production.takeBundle(bundle); err != nil || again.Taken != 0 {
		m.Errorf("taking it twice takes %d: %v", again.Taken, err)
	}
	m.strangers(second)
	m.dataStaysWhereItIs()
}

// dataStaysWhereItIs asks for a copy of production's data on a machine where that is not, and where no snapshot was brought:
// the refusal comes before a stage is made.
func (m *machines) dataStaysWhereItIs() {
	m.Helper()
	s := m.sources.saying("  staging: {rollout: {watch: 200ms}}\n", "  staging: {data: {from: production, mask: mask.yaml}, rollout: {watch: 200ms}}\n")
	s.mask = "tables:\n  entries: {id: keep, release: keep}\n  second: {n: keep}\n"
	m.staging.register(s)
	r := m.staging.build(s.as("v3", ""))
	_, err := m.staging.client.Start(m.staging.ctx(), api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(r)})
	wantProblem(m, err, problem.Blocked, "production lives elsewhere, and no snapshot of its data was brought here", "greenroom snapshot import FILE")
}

// repacked is a bundle with those of its envelopes that are kept.
func (m *machines) repacked(bundle []byte, keep func(evidence.Summary) bool) []byte {
	m.Helper()
	ctx := m.Context()
	scratch, err := artifact.Open(ctx, m.TempDir())
	must(m, err)
	id, envelopes, err := scratch.ImportBundle(ctx, bytes.NewReader(bundle))
	must(m, err)
	public, err := evidence.ParsePublic(m.staging.ownKey())
	must(m, err)
	keys := evidence.Keys{{ID: evidence.IDOf(public), Public: public}}
	var kept [][]byte
	for _, e := range envelopes {
		if s, _, err := evidence.Read(e, keys); err != nil || keep(s) {
			kept = append(kept, e)
		}
	}
	var out bytes.Buffer
	must(m, scratch.ExportBundle(ctx, id, kept, &out))
	return out.Bytes()
}

// strangers has a third Greenroom, whose key nobody trusts, rehearse the same release: production takes nothing of it.
func (m *machines) strangers(r release.Digest) {
	m.Helper()
	third := newHouse(m.T)
	s := m.sources
	s.definition = strings.Replace(s.definition, m.staging.ownKey(), third.ownKey(), 1)
	third.up(s)
	bundle := m.staging.bundle(r)
	_, err := third.takeBundle(bundle)
	must(m, err)
	taken, err := m.production.takeBundle(third.bundle(r))
	if must(m, err); taken.Taken > 0 || len(taken.Faults) == 0 {
		m.Errorf("taken is %+v", taken)
	}
	envelope, err := m.staging.client.Standing(m.Context(), appUnderTest, "staging")
	must(m, err)
	_, err = m.staging.client.TakeStanding(m.Context(), appUnderTest, envelope)
	wantProblem(m, err, problem.Invalid, "staging lives here")
}

// reversed is a bundle with its envelopes the other way round, which takes no key.
func (m *machines) reversed(bundle []byte) []byte {
	m.Helper()
	ctx := m.Context()
	scratch, err := artifact.Open(ctx, m.TempDir())
	must(m, err)
	id, envelopes, err := scratch.ImportBundle(ctx, bytes.NewReader(bundle))
	must(m, err)
	slices.Reverse(envelopes)
	var out bytes.Buffer
	must(m, scratch.ExportBundle(ctx, id, envelopes, &out))
	return out.Bytes()
}

// TestCarriersCannotChoose has staging find that a release passes, and then that it fails. Whoever carries the bundles can
// neither turn that round nor leave it out.
func TestCarriersCannotChoose(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	m := newMachines(t)
	m.tellStaging()
	r := m.rehearsed("v1", "")
	passed := m.staging.bundle(r)
	m.staging.tell("fail-journey", "v1", "everywhere")
	run := m.staging.await(m.staging.rehearse(r).ID)
	m.staging.tell("fail-journey", "v1", "")
	if run.Verdict != evidence.Fail {
		t.Fatalf("the rehearsal says %s", run.Verdict)
	}
	failed := m.staging.bundle(r)
	_, err := m.production.takeBundle(m.reversed(failed))
	if must(t, err); m.explained(r).Allowed {
		t.Error("a carrier turned the order round, and production would take it")
	}
	_, err = m.production.takeBundle(passed)
	wantProblem(t, err, problem.Invalid, "a newer list", "greenroom release export")
	if m.explained(r).Allowed {
		t.Error("a carrier brought the older bundle later, and production would take it")
	}
}
