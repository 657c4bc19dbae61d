package daemon

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// withCustomers is an app on two machines whose stage has production's data, masked.
func withCustomers(t *testing.T) *machines {
	t.Helper()
	s := withPostgres()
	s.migrate += "CREATE TABLE IF NOT EXISTS customers (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, note text);\n"
	s.mask = "tables:\n  entries: {id: keep, release: keep}\n  customers: {id: keep, email: email, note: text}\n"
	return newMachinesWith(t, s, strings.Replace(twoMachines, "staging: {rollout", "staging: {data: {from: production, mask: mask.yaml, not_isolated: a test}, rollout", 1))
}

// travels makes a release live in production, by way of staging's machine.
func (m *machines) travels(version string) {
	m.Helper()
	m.tellStaging()
	r := m.rehearsed(version, "")
	_, err := m.production.takeBundle(m.staging.bundle(r))
	must(m, err)
	m.production.wantOutcome(m.production.promote(r), plan.Succeeded)
	m.tellStaging()
}

// snapshot takes a copy of production's data and returns its id.
func (h *house) snapshot() string {
	h.Helper()
	taken, err := h.client.TakeCopy(h.ctx(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopySnapshot})
	must(h, err)
	_, err = drain(taken)
	must(h, err)
	return h.copies()[0].ID
}

func (h *house) copies() []api.CopyView {
	h.Helper()
	views, err := h.client.Copies(h.ctx(), appUnderTest, "production", api.CopySnapshot)
	must(h, err)
	return views
}

func (h *house) exported(id string) ([]byte, error) {
	h.Helper()
	archive, err := h.client.ExportCopy(h.ctx(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopySnapshot, ID: id})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(archive)
	return b, errors.Join(err, archive.Close())
}

func (h *house) takeCopy(archive []byte) (api.CopyView, error) {
	h.Helper()
	return h.client.ImportCopy(h.ctx(), appUnderTest, bytes.NewReader(archive))
}

// wantNoCopies fails the test when anything lies where snapshots of production do.
func (h *house) wantNoCopies() {
	h.Helper()
	entries, err := os.ReadDir(filepath.Join(h.home.Environment(appUnderTest, "production"), "snapshots"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.Fatal(err)
	}
	for _, e := range entries {
		h.Errorf("%s lies there", e.Name())
	}
}

// TestSnapshotTravels has staging's machine rehearse on production's snapshot, which was brought from production's machine:
// signed there, masked as both say, and the only thing of production's that leaves it.
func TestSnapshotTravels(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	m := withCustomers(t)
	m.travels("v1")
	db := m.production.connect()
	for i := range people {
		_, err := db.Exec(t.Context(), "INSERT INTO customers VALUES ($1, $2, $3)", i, planted(i), "the note of "+planted(i))
		must(t, err)
	}
	next := m.staging.build(m.sources.as("v2", "ALTER TABLE customers ADD COLUMN IF NOT EXISTS since date"))
	rehearsal := api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(next)}
	_, err := m.staging.client.Start(t.Context(), rehearsal)
	wantProblem(t, err, problem.Blocked, "no snapshot of its data was brought here", "greenroom snapshot export latest FILE")

	id := m.production.snapshot()
	archive, err := m.production.exported(id)
	must(t, err)
	m.refusesWhatIsNotIt(archive)
	m.killedMeanwhile(archive)
	v, err := m.staging.takeCopy(archive)
	if must(t, err); v.ID != id || v.By != "production" || v.Brought.IsZero() || v.Refused != "" || v.Pseudonyms == "" {
		t.Fatalf("what came is %+v", v)
	}
	if again, err := m.staging.takeCopy(archive); err != nil || again.ID != id || len(m.staging.copies()) != 1 {
		t.Errorf("taken twice: %+v, %v", again, err)
	}
	verified, err := m.staging.client.VerifyCopy(t.Context(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopySnapshot, ID: id})
	must(t, err)
	_, err = drain(verified)
	must(t, err)

	report, found := m.staging.found(next)
	if s := report.Snapshot; s == nil || s.ID != id || !s.Found || s.By != "production" || s.Environment != "production" || s.Age <= 0 {
		t.Errorf("it was rehearsed on %+v", s)
	}
	if !slices.ContainsFunc(report.Notes, func(n string) bool { return strings.Contains(n, id) && strings.Contains(n, "old") }) {
		t.Errorf("no note tells of the snapshot's age: %q", report.Notes)
	}
	if r := found["migration"]; r.Verdict != evidence.Pass || r.Migration == nil || !strings.Contains(r.Migration.Data, id) {
		t.Errorf("the migration: %s, %s, %+v", r.Verdict, r.Summary, r.Migration)
	} else if f := r.Migration.Forecast; f == nil || !f.Sized.Equal(v.Taken) || !strings.Contains(f.Why, "; from production's sizes of ") {
		t.Errorf("the forecast is %+v", f)
	}
	m.signedFor(next, id)
	m.restored(id)
	m.staging.wantNothingLeaked()
	m.otherRules(id, rehearsal)
	m.revoked(id, rehearsal)
}

// refusesWhatIsNotIt brings to staging's machine what is not the snapshot, and to others what is not theirs.
func (m *machines) refusesWhatIsNotIt(archive []byte) {
	m.Helper()
	for name, bad := range map[string][]byte{
		"nothing":     nil,
		"a half":      archive[:len(archive)/2],
		"a byte less": archive[:len(archive)-1],
		"a byte more": append(slices.Clone(archive), 'x'),
		"a release":   m.staging.bundle(m.staging.build(m.sources)),
		"altered":     bytes.Replace(archive, []byte(`"tables"`), []byte(`"tabels"`), 1),
	} {
		if _, err := m.staging.takeCopy(bad); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
			m.Errorf("%s: %v", name, err)
		}
		m.staging.wantNoCopies()
	}
	_, err := m.production.takeCopy(archive)
	wantProblem(m, err, problem.Invalid, "production lives here")
	stranger := newHouse(m.T)
	s := m.sources
	s.definition = strings.Replace(s.definition, m.production.ownKey(), stranger.ownKey(), 1)
	stranger.register(s)
	_, err = stranger.takeCopy(archive)
	wantProblem(m, err, problem.Blocked, "no key that is trusted here vouches for this snapshot", "greenroom key trust")
	_, err = m.production.client.ExportCopy(m.Context(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopyBackup, ID: "r1"})
	wantProblem(m, err, problem.Blocked, "a backup is raw: it never leaves production", "greenroom snapshot")
}

// killedMeanwhile kills staging's control plane while it takes a snapshot: there is none then, and when it is back nothing
// is left.
func (m *machines) killedMeanwhile(archive []byte) {
	m.Helper()
	h := m.staging
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := h.client.ImportCopy(m.Context(), appUnderTest, r)
		ended <- err
	}()
	_, err := w.Write(archive[:len(archive)-600])
	must(m, err)
	folder := filepath.Join(h.home.Environment(appUnderTest, "production"), "snapshots")
	h.eventually("it is being written", func() string {
		if entries, err := os.ReadDir(folder); err != nil || len(entries) == 0 {
			return "nothing is there"
		}
		return ""
	})
	h.killDaemon()
	must(m, w.Close()) // the client waits for what it reads
	if err := <-ended; err == nil {
		m.Error("the import succeeded without an end")
	}
	h.start()
	if got := h.copies(); len(got) > 0 {
		m.Errorf("there is %+v", got)
	}
	h.eventually("what it left is removed", func() string {
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) > 0 {
			return "it is not"
		}
		return ""
	})
}

// signedFor fails the test when a check's evidence does not say on which snapshot it was found.
func (m *machines) signedFor(r release.Digest, id string) {
	m.Helper()
	list, err := m.staging.client.Evidence(m.Context(), appUnderTest, string(r))
	must(m, err)
	public, err := evidence.ParsePublic(m.staging.ownKey())
	must(m, err)
	keys := evidence.Keys{{ID: evidence.IDOf(public), Public: public}}
	for _, item := range list.Items {
		if s, _, err := evidence.Open(item.Envelope, keys); err != nil || s.Snapshot == nil || s.Snapshot.ID != id || s.Snapshot.By != "production" {
			m.Errorf("%s was found on %+v, %v", item.Check, s.Snapshot, err)
		}
	}
}

// restored makes staging, which lasts, what production's snapshot holds.
func (m *machines) restored(id string) {
	m.Helper()
	run, err := m.staging.client.Start(m.Context(), api.RunRequest{Kind: plan.Restore, App: appUnderTest, Environment: "staging", Because: "a test",
		Copy: &api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopySnapshot, ID: id}})
	must(m, err)
	m.staging.wantOutcome(m.staging.await(run.ID), plan.Succeeded)
}

// otherRules puts a stricter mask in force: what was masked by the looser one is refused, with what differs, on both machines.
func (m *machines) otherRules(id string, rehearsal api.RunRequest) {
	m.Helper()
	s := m.sources
	s.mask = strings.Replace(s.mask, "id: keep, release: keep", "id: text, release: keep", 1)
	for _, h := range []*house{m.staging, m.production} {
		h.register(s)
		i := slices.IndexFunc(h.copies(), func(v api.CopyView) bool { return v.ID == id })
		if got := h.copies(); i < 0 || !strings.Contains(got[i].Refused, "entries.id was keep, which is looser than text now") {
			m.Errorf("the list says %+v", got)
		}
	}
	_, err := m.staging.client.Start(m.Context(), rehearsal)
	wantProblem(m, err, problem.Blocked, "entries.id was keep, which is looser than text now", "greenroom snapshot create production")
	_, err = m.production.exported(id)
	wantProblem(m, err, problem.Blocked, "entries.id was keep")
	must(m, m.staging.client.RemoveCopy(m.Context(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopySnapshot, ID: id}))
	m.staging.wantNoCopies()

	fresh, err := m.production.exported(m.production.snapshot())
	must(m, err)
	m.staging.register(m.sources)
	_, err = m.staging.takeCopy(fresh)
	wantProblem(m, err, problem.Blocked, "entries.id was text, and is keep now")
	m.staging.wantNoCopies()
	m.staging.register(s)
	_, err = m.staging.takeCopy(fresh)
	must(m, err)
	_, err = m.staging.client.Plan(m.Context(), rehearsal)
	must(m, err)
}

// revoked takes production's key its word: what it vouched for is used no more.
func (m *machines) revoked(old string, rehearsal api.RunRequest) {
	m.Helper()
	rehearsal.Snapshot = old
	_, err := m.staging.client.Plan(m.Context(), rehearsal)
	wantProblem(m, err, problem.NotFound, "no snapshot")
	rehearsal.Snapshot = m.staging.copies()[0].ID
	public, err := evidence.ParsePublic(m.production.ownKey())
	must(m, err)
	_, err = m.staging.client.RevokeKey(m.Context(), evidence.IDOf(public), "its machine was sold")
	must(m, err)
	_, err = m.staging.client.Plan(m.Context(), rehearsal)
	wantProblem(m, err, problem.Blocked, "revoked")
	if got := m.staging.copies(); len(got) != 1 || !strings.Contains(got[0].Refused, "its machine was sold") {
		m.Errorf("the list says %+v", got)
	}
}

// TestRehearsalOnAnOldCopy rehearses on a snapshot that there is already, which spares production the reading, and is refused
// where the snapshot's schema is another by now.
func TestRehearsalOnAnOldCopy(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	h := newHouse(t)
	h.onACopy(patiently(onCopy()).saying("mask: mask.yaml}", "mask: mask.yaml, not_isolated: a test}"))
	next := h.addsSince("v2")
	on := func(snapshot string) api.RunRequest {
		return api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(next), Snapshot: snapshot}
	}
	_, err := h.client.Start(h.ctx(), on("latest"))
	wantProblem(t, err, problem.NotFound, "there is no snapshot of production yet")
	id := h.snapshot()
	_, err = h.client.Start(h.ctx(), on("20000101-000000.000"))
	wantProblem(t, err, problem.NotFound, "has no snapshot")
	begun, err := h.client.Start(h.ctx(), on("latest"))
	must(t, err)
	err = h.client.RemoveCopy(h.ctx(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopySnapshot, ID: id})
	if run, e := h.client.Run(h.ctx(), begun.ID); e == nil && run.Outcome == "" {
		wantProblem(t, err, problem.Blocked, "may need it yet")
	}
	h.wantOutcome(h.await(begun.ID), plan.Succeeded)
	report, err := h.client.Report(h.ctx(), appUnderTest, begun.ID)
	if must(t, err); report.Snapshot == nil || report.Snapshot.ID != id || !report.Snapshot.Found || report.Snapshot.By != "" {
		t.Errorf("it was rehearsed on %+v", report.Snapshot)
	}
	if got := h.copies(); len(got) != 1 {
		t.Errorf("it took one of its own: %+v", got)
	}
	h.toStaging(next)
	h.wantOutcome(h.promote(next), plan.Succeeded)
	next = h.build(onCopy().as("v3", "ALTER TABLE customers ADD COLUMN IF NOT EXISTS until date"))
	_, err = h.client.Start(h.ctx(), on(id))
	wantProblem(t, err, problem.Blocked, "has another schema than production has now", "greenroom snapshot create production")
}
