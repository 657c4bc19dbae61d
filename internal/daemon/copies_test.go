package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/mask"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// onCopy is the app whose stage has a masked copy of production's data.
func onCopy() sources {
	s := rehearsed().saying("environments:\n", `environments:
  staging:
    data: {from: production, mask: mask.yaml}
    rollout: {watch: 200ms}
`).saying("  production:\n    rollout", "  production:\n    after: staging\n    rollout")
	s.definition = strings.Replace(s.definition, "migrations: {", "migrations: {down: bin/app migrate-down, budget: {blocked_reads: 1s, blocked_writes: 1s}, ", 1)
	s.migrate += "CREATE TABLE IF NOT EXISTS customers (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, note text);\n"
	s.mask = `tables:
  entries: {id: keep, release: keep}
  customers: {id: keep, email: email, note: text}
`
	return s
}

// people is how many customers production has.
const people = 500

// planted is a customer's address, which stands nowhere outside production.
func planted(i int) string { return fmt.Sprintf("planted-%04d@canary-farm.test", i) }

// onACopy makes the first release live in a production with customers.
func (h *house) onACopy(s sources) release.Digest {
	h.Helper()
	h.up(s)
	r := h.build(s)
	h.wantRehearsed(r)
	h.toStaging(r)
	h.wantOutcome(h.promote(r), plan.Succeeded)
	db := h.connect()
	for i := range people {
		_, err := db.Exec(h.ctx(), "INSERT INTO customers VALUES ($1, $2, $3)", i, planted(i), "the note of "+planted(i))
		must(h, err)
	}
	return r
}

func (h *house) toStaging(r release.Digest) {
	h.Helper()
	run, err := h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Promotion, App: appUnderTest, Release: string(r), Environment: "staging"})
	must(h, err)
	h.wantOutcome(h.await(run.ID), plan.Succeeded)
}

// found is what the rehearsal of a release found, by check.
func (h *house) found(r release.Digest) (evidence.Report, map[string]evidence.Result) {
	h.Helper()
	run := h.decided(r)
	report, err := h.client.Report(h.ctx(), appUnderTest, run.ID)
	must(h, err)
	all := map[string]evidence.Result{}
	for _, result := range report.Results {
		all[result.Check] = result
	}
	return report, all
}

// TestRehearsalOnACopy rehearses migrations on a masked copy of production: one that would have stopped it, one that
// destroys data, one that is safe; and promotes that one with what its rehearsal learned.
func TestRehearsalOnACopy(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	h.onACopy(onCopy())

	h.part(t, "one that would have stopped production", func() {
		slow := h.build(onCopy().as("v2", "ALTER TABLE customers ADD COLUMN IF NOT EXISTS since date;\nSELECT pg_sleep(3)"))
		report, found := h.found(slow)
		m := found["migration"]
		if m.Verdict != evidence.Fail || !strings.Contains(m.Summary, "reads of customers and writes to it would have stood still") {
			h.Errorf("the migration: %s, %s", m.Verdict, m.Summary)
		}
		if m.Migration == nil || !strings.Contains(m.Migration.Data, "a masked copy of production") || len(m.Migration.Observation.Locks) == 0 {
			h.Fatalf("it was measured as %+v", m.Migration)
		}
		if v := found["old-on-new"]; v.Verdict != evidence.Pass {
			h.Errorf("that it holds production up is no reason not to go on: old-on-new %s, %s", v.Verdict, v.Summary)
		}
		h.wantAhead(report, []string{"customers.since"}, nil, "    since: keep                         # a time")
		if report.Isolation == nil || !report.Isolation.Isolated {
			h.Errorf("the stage with production's data is isolated as %v", report.Isolation)
		}
		x, err := h.client.Explain(h.ctx(), appUnderTest, string(slow), "production")
		must(h, err)
		if !slices.ContainsFunc(x.Decision.Missing(), func(m gate.Demand) bool { return strings.Contains(m.Name+m.Reason, "migration") }) {
			h.Errorf("the gate says nothing of the migration: %+v", x.Decision.Missing())
		}
	})
	h.part(t, "one that destroys data", func() {
		report, found := h.found(h.build(onCopy().as("v3", "DELETE FROM customers WHERE id < 10;\nALTER TABLE customers DROP COLUMN IF EXISTS note")))
		h.wantAhead(report, nil, []string{"customers.note"})
		m := found["migration"]
		if m.Verdict != evidence.Fail || !strings.Contains(m.Summary, "customers") || m.Migration == nil || len(m.Migration.Lost) == 0 {
			h.Errorf("the migration: %s, %s", m.Verdict, m.Summary)
		}
	})
	h.part(t, "nothing of production's stands outside it", h.wantNothingLeaked)
	h.part(t, "a column that nobody named", func() {
		db := h.connect()
		_, err := db.Exec(h.ctx(), "CREATE TABLE nobody_named (secret text)")
		must(h, err)
		run := h.await(h.rehearse(h.build(onCopy().as("v4", ""))).ID)
		if run.Outcome == plan.Succeeded || !strings.Contains(run.Reason, "nobody_named") {
			h.Errorf("%s: %s", run.Outcome, run.Reason)
		}
		_, err = db.Exec(h.ctx(), "DROP TABLE nobody_named")
		must(h, err)
	})
	h.part(t, "a safe one, promoted", func() {
		safe := h.build(onCopy().as("v5", "ALTER TABLE customers ADD COLUMN IF NOT EXISTS since date"))
		report, found := h.found(safe)
		h.wantAhead(report, []string{"customers.since"}, nil, "    since: keep                         # a time")
		if report.Verdict != evidence.Pass {
			h.Errorf("that the next copy would stop harms nobody who uses the app, and the verdict is %s", report.Verdict)
		}
		if m := found["migration"]; m.Verdict != evidence.Pass || m.Migration == nil || m.Migration.Forecast == nil || m.Migration.Back == nil {
			h.Fatalf("the migration: %s, %s, %+v", m.Verdict, m.Summary, m.Migration)
		}
		h.toStaging(safe)
		run := h.wantOutcome(h.promote(safe), plan.Succeeded)
		if run.Migration == "" {
			h.Error("forecast and fact were not compared")
		}
		if live := h.status().Live.Digest; live != safe {
			h.Errorf("%s is live", live.Short())
		}
	})
}

// wantAhead looks at what a report says of the mask: what it has no rule for once the release is live, what it has one for in
// vain, and lines that are to be pasted.
func (h *house) wantAhead(r evidence.Report, missing, unused []string, lines ...string) {
	h.Helper()
	if r.Mask == nil {
		h.Fatal("the report says nothing of the mask")
	}
	names := func(list []mask.Remark) (all []string) {
		for _, m := range list {
			all = append(all, m.Name())
		}
		return all
	}
	if !slices.Equal(names(r.Mask.Missing), missing) || !slices.Equal(names(r.Mask.Unused), unused) || r.Mask.Unknown != "" {
		h.Errorf("of the mask it says %+v", *r.Mask)
	}
	for _, line := range lines {
		if !slices.Contains(r.Mask.Add, line) {
			h.Errorf("%q is not among the lines to add: %q", line, r.Mask.Add)
		}
	}
}

// wantNothingLeaked looks for planted addresses in everything that the house has but production's own folder.
func (h *house) wantNothingLeaked() {
	h.Helper()
	h.wantNothingLeakedBut()
}

// wantNothingLeakedBut passes over other folders too.
func (h *house) wantNothingLeakedBut(but ...string) {
	h.Helper()
	own := h.home.Environment(appUnderTest, "production")
	read := 0
	err := filepath.WalkDir(h.dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() && (name == filepath.Join(own, "postgres") || name == filepath.Join(own, "backups") || slices.Contains(but, name)) {
			return errOr(err, fs.SkipDir)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		read++
		if bytes.Contains(b, []byte("canary-farm")) {
			h.Errorf("%s has a customer's address", name)
		}
		return nil
	})
	must(h, err)
	if read == 0 {
		h.Error("nothing was looked at")
	}
}

// TestRestore makes production what a backup holds, and goes back to the release that was live then.
func TestRestore(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	live := h.live(withPostgres())
	h.customersOf(h.status().Address)
	h.eventually("customers have written", func() string { return h.fewEntries(20) })
	views, err := h.client.Copies(h.ctx(), appUnderTest, "production", api.CopyBackup)
	must(t, err)
	if len(views) != 0 {
		t.Fatalf("there are backups before one was taken: %+v", views)
	}
	taken, err := h.client.TakeCopy(h.ctx(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopyBackup})
	must(t, err)
	_, err = drain(taken)
	must(t, err)
	views, err = h.client.Copies(h.ctx(), appUnderTest, "production", api.CopyBackup)
	must(t, err)
	if len(views) != 1 || views[0].Release != live || views[0].Undeclared {
		t.Fatalf("the backup is %+v", views)
	}
	backup := views[0]
	verified, err := h.client.VerifyCopy(h.ctx(), api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopyBackup, ID: backup.ID})
	must(t, err)
	_, err = drain(verified)
	must(t, err)

	next := h.build(withPostgres().as("v2", "DROP TABLE IF EXISTS gone;\nCREATE TABLE IF NOT EXISTS notes (note text)"))
	h.wantOutcome(h.promote(next), plan.Succeeded)
	_, err = h.connect().Exec(h.ctx(), "DELETE FROM entries")
	must(t, err)

	run, err := h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Restore, App: appUnderTest, Environment: "production", Because: "entries are gone",
		Copy: &api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopyBackup, ID: backup.ID}})
	must(t, err)
	h.wantOutcome(h.await(run.ID), plan.Succeeded)
	h.wantSound(live)
	if wrong := h.fewEntries(20); wrong != "" {
		t.Error(wrong)
	}
	if d, err := h.client.Database(h.ctx(), appUnderTest, "production"); err != nil || d.State != api.DatabaseCurrent {
		t.Errorf("the database is %+v, %v", d, err)
	}
	// The release that was restored away from is remembered.
	_, err = h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Promotion, App: appUnderTest, Release: string(next), Environment: "production"})
	wantProblem(t, err, problem.Blocked)
}

// TestDataThatLasts: masked data comes to an environment that is in no network of its own only where somebody said why.
func TestDataThatLasts(t *testing.T) {
	t.Parallel()
	for why, data := range map[string]*app.Data{"no data": nil, "not accepted": {From: "production"}} {
		if p := problem.From(accepted("staging", data)); p == nil || p.Code != problem.Blocked || !strings.Contains(p.Hint, "not_isolated") {
			t.Errorf("%s: %v", why, p)
		}
	}
	if err := accepted("staging", &app.Data{From: "production", NotIsolated: "nothing leads out of here"}); err != nil {
		t.Error(err)
	}
}

// fewEntries says that there are fewer entries than that.
func (h *house) fewEntries(n int) string {
	h.Helper()
	var have int
	must(h, h.connect().QueryRow(h.ctx(), "SELECT count(*) FROM entries").Scan(&have))
	if have < n {
		return fmt.Sprintf("there are %d entries, not %d", have, n)
	}
	return ""
}
