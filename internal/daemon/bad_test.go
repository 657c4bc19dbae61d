package daemon

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// TestBadReleases promotes one release after the other that behaves badly, each in its own way, under traffic.
func TestBadReleases(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	patient := withPostgres().
		saying("watch: 200ms, max_errors: 1%", "watch: 2s, max_errors: 50%").
		saying("    stop_grace_period: 3s\n    x-greenroom: {files: [bin/app, VERSION, TABLE, migrate.sql], run: bin/app serve}",
			"    stop_grace_period: 1s\n    healthcheck: {start_period: 2s, interval: 500ms, retries: 1}\n"+
				"    x-greenroom: {files: [bin/app, VERSION, TABLE, migrate.sql], run: bin/app serve}")
	h := newHouse(t)
	live := h.live(patient)
	customers := h.customersOf(h.status().Address)
	made := map[string]release.Digest{}
	next := func(version string) release.Digest {
		made[version] = h.build(patient.as(version, ""))
		return made[version]
	}

	h.part(t, "never healthy", func() {
		h.tell("sick", "never", "no pudding")
		h.wantOutcome(h.promote(next("never")), plan.RolledBack, "web", "503", "it printed last:", "last words: no pudding")
		customers.wantFlawless(h, customers.cut())
		h.wantSound(live)
	})
	h.part(t, "known to be bad", func() {
		request := toProduction(made["never"])
		request.Because = ""
		_, err := h.client.Start(h.ctx(), request)
		wantProblem(h, err, problem.Blocked, "not known to be bad", "it was rolled back", "no pudding", "greenroom explain")
		explained, err := h.client.Explain(h.ctx(), appUnderTest, string(made["never"]), "production")
		if must(h, err); explained.Decision.Allowed || !strings.Contains(explained.Decision.Missing()[0].Next, "--because REASON") {
			h.Errorf("explained is %+v", explained.Decision)
		}
		h.tell("sick", "never", "")
		h.wantOutcome(h.promote(made["never"]), plan.Succeeded)
		h.wantSound(made["never"])
		h.wantOutcome(h.promote(live), plan.Succeeded)
	})
	h.part(t, "dies after it was healthy", func() {
		run := h.begin(next("dies"))
		h.awaitStep(run.ID, "share-50")
		h.tell("die", "dies", "now")
		h.wantOutcome(h.await(run.ID), plan.RolledBack, "ended and was started again while it was watched")
		customers.wantRecorded(h, customers.cut())
		h.wantSound(live)
	})
	h.part(t, "found by its journey before anybody is sent there", func() {
		h.tell("fail", "errors", "the pudding is off")
		h.wantOutcome(h.promote(next("errors")), plan.RolledBack, "journey of")
		customers.wantFlawless(h, customers.cut())
		h.wantSound(live)
	})
	h.part(t, "goes bad once it is live", func() {
		run := h.begin(next("later"))
		h.awaitStep(run.ID, "watch")
		h.tell("fail", "later", "the pudding is off")
		h.wantOutcome(h.await(run.ID), plan.RolledBack, "answers of "+made["later"].Short()+" failed", "accepted are 50.0%")
		customers.wantRecorded(h, customers.cut())
		h.wantSound(live)
	})
	h.part(t, "cancelled", func() {
		run := h.begin(next("cancelled"))
		h.awaitStep(run.ID, "share-50")
		must(h, h.client.Cancel(h.ctx(), run.ID))
		if run = h.wantOutcome(h.await(run.ID), plan.RolledBack, "cancelled by"); !run.Cancelled {
			h.Error("it is not told as cancelled")
		}
		if err := h.client.Cancel(h.ctx(), run.ID); err == nil {
			h.Error("it was cancelled twice")
		} else {
			wantProblem(h, err, problem.Invalid, "has ended already")
		}
		customers.wantFlawless(h, customers.cut())
		h.wantSound(live)
		if v, err := h.client.Resolve(h.ctx(), appUnderTest, string(made["cancelled"])); err != nil || v.Bad != "" {
			h.Errorf("a change of mind makes it bad: %q, %v", v.Bad, err)
		}
	})
	h.part(t, "ignores SIGTERM", func() {
		h.tell("stubborn", "stubborn", "yes")
		h.wantOutcome(h.promote(next("stubborn")), plan.Succeeded)
		h.wantSound(made["stubborn"])
		h.wantOutcome(h.promote(live), plan.Succeeded)
		customers.wantFlawless(h, customers.cut())
		h.wantSound(live)
	})
	h.part(t, "prints without end", func() {
		h.tell("babble", "babbles", "yes")
		h.wantOutcome(h.promote(next("babbles")), plan.Succeeded)
		began := time.Now()
		h.wantSound(made["babbles"])
		if took := time.Since(began); took > patience/4 {
			h.Errorf("it took %s to look", took)
		}
		if size := h.size(h.home.Replicas()); size > 100<<20 {
			h.Errorf("the replicas' folders have %d MiB", size>>20)
		}
		if size := h.size(h.home.Log()); size > 1<<20 {
			h.Errorf("the daemon's log has %d KiB", size>>10)
		}
		lines, err := h.client.Logs(h.ctx(), api.LogQuery{App: appUnderTest, Environment: "production", Service: "web", Tail: 3})
		must(h, err)
		if all, err := drain(lines); err != nil || len(all) != 6 {
			h.Errorf("%d lines, %v", len(all), err)
		}
		customers.wantFlawless(h, customers.cut())
	})
}

// size is how much a file, or all files below a folder, have in bytes.
func (h *house) size(path string) int64 {
	h.Helper()
	var sum int64
	must(h, filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // what has just been removed has no size
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	}))
	return sum
}
