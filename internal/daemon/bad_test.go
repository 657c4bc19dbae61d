package daemon

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// TestBadReleases promotes one release after the other that behaves badly, each in its own way, under traffic.
func TestBadReleases(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	s := withPostgres().
		saying("watch: 200ms, max_errors: 1%", "watch: 2s, max_errors: 10%").
		saying("    stop_grace_period: 3s\n    x-greenroom: {files: [bin/app, VERSION, TABLE, migrate.sql], run: bin/app serve}",
			"    stop_grace_period: 1s\n    healthcheck: {start_period: 15s, interval: 500ms, retries: 3}\n"+
				"    x-greenroom: {files: [bin/app, VERSION, TABLE, migrate.sql], run: bin/app serve}")
	b := &badReleases{house: newHouse(t), sources: s}
	b.good = b.live(s)
	b.customers = b.customersEvery(b.status().Address, pace/2, nil) // enough to judge by, in the time that it is watched
	b.part(t, "never healthy, then known to be bad", b.neverHealthy)
	b.part(t, "dies after it was healthy", b.dies)
	b.part(t, "found by its journey before anybody is sent there", b.found)
	b.part(t, "goes bad once it is live", b.goesBad)
	b.part(t, "cancelled", b.cancelled)
	b.part(t, "ignores SIGTERM", b.ignoresTheSignal)
	b.part(t, "prints without end", b.babbles)
}

type badReleases struct {
	*house
	sources   sources
	good      release.Digest
	customers *customers
}

// next builds a release of this version.
func (b *badReleases) next(version string) release.Digest {
	b.Helper()
	return b.build(b.sources.as(version, ""))
}

// wantGood fails the test when the good release is not live, or nothing else is as it should be. noticed says that
// requests may have failed.
func (b *badReleases) wantGood(noticed bool) {
	b.Helper()
	if batch := b.customers.cut(); noticed {
		b.customers.wantRecorded(b, batch)
	} else {
		b.customers.wantFlawless(b, batch)
	}
	b.wantSound(b.good)
}

func (b *badReleases) neverHealthy() {
	sick := b.next("sick")
	b.tell("sick", "sick", "no pudding")
	b.wantOutcome(b.promote(sick), plan.RolledBack, "web", "503", "it printed last:", "last words: no pudding")
	b.wantGood(false)

	request := toProduction(sick)
	request.Because = ""
	_, err := b.client.Start(b.ctx(), request)
	wantProblem(b, err, problem.Blocked, "not known to be bad", "it was rolled back", "no pudding", "greenroom explain")
	explained, err := b.client.Explain(b.ctx(), appUnderTest, string(sick), "production")
	if must(b, err); explained.Decision.Allowed || !strings.Contains(explained.Decision.Missing()[0].Next, "--because REASON") {
		b.Errorf("explained is %+v", explained.Decision)
	}
	b.tell("sick", "sick", "")
	b.wantOutcome(b.promote(sick), plan.Succeeded) // because of a reason
	b.wantSound(sick)
	explained, err = b.client.Explain(b.ctx(), appUnderTest, string(sick), "production")
	if must(b, err); strings.Contains(fmt.Sprint(explained.Decision), "no pudding") {
		b.Errorf("it proved itself, and is told as bad: %+v", explained.Decision)
	}
	if v, err := b.client.Resolve(b.ctx(), appUnderTest, string(sick)); err != nil || v.Bad != "" {
		b.Errorf("it proved itself, and is remembered as bad: %q, %v", v.Bad, err)
	}
	b.wantOutcome(b.promote(b.good), plan.Succeeded)
	b.wantGood(false)
}

func (b *badReleases) dies() {
	run := b.begin(b.next("dies"))
	b.awaitStep(run.ID, "share-50")
	b.tell("die", "dies", "now")
	run = b.wantOutcome(b.await(run.ID), plan.RolledBack)
	if !strings.Contains(run.Reason, "ended and was started again while it was watched") && !strings.Contains(run.Reason, "answers of ") {
		b.Errorf("it was taken back because %s", run.Reason) // its customers may tell before its restart does
	}
	b.wantGood(true)
}

func (b *badReleases) found() {
	b.tell("fail", "fails", "the pudding is off")
	b.wantOutcome(b.promote(b.next("fails")), plan.RolledBack, "journey of")
	b.wantGood(false)
}

func (b *badReleases) goesBad() {
	later := b.next("later")
	run := b.begin(later)
	b.awaitStep(run.ID, "watch")
	b.tell("fail", "later", "the pudding is off")
	b.wantOutcome(b.await(run.ID), plan.RolledBack, "answers of "+later.Short()+" failed", "accepted are 10.0%")
	b.wantGood(true)
}

func (b *badReleases) cancelled() {
	fine := b.next("fine")
	run := b.begin(fine)
	b.awaitStep(run.ID, "share-50")
	must(b, b.client.Cancel(b.ctx(), run.ID))
	if run = b.wantOutcome(b.await(run.ID), plan.RolledBack, "cancelled by"); !run.Cancelled {
		b.Error("it is not told as cancelled")
	}
	wantProblem(b, b.client.Cancel(b.ctx(), run.ID), problem.Invalid, "has ended already")
	if v, err := b.client.Resolve(b.ctx(), appUnderTest, string(fine)); err != nil || v.Bad != "" {
		b.Errorf("a change of mind makes it bad: %q, %v", v.Bad, err)
	}
	b.wantGood(false)
}

func (b *badReleases) ignoresTheSignal() {
	stubborn := b.next("stubborn")
	b.tell("stubborn", "stubborn", "yes")
	b.wantOutcome(b.promote(stubborn), plan.Succeeded)
	b.wantSound(stubborn)
	b.wantOutcome(b.promote(b.good), plan.Succeeded)
	b.wantGood(false)
}

func (b *badReleases) babbles() {
	b.tell("babble", "babbles", "yes")
	b.good = b.next("babbles")
	b.wantOutcome(b.promote(b.good), plan.Succeeded)
	b.wantGood(false)
	if size := b.size(b.home.Replicas()); size > 100<<20 {
		b.Errorf("the replicas' folders have %d MiB", size>>20)
	}
	if size := b.size(b.home.Log()); size > 1<<20 {
		b.Errorf("the daemon's log has %d KiB", size>>10)
	}
	lines, err := b.client.Logs(b.ctx(), api.LogQuery{App: appUnderTest, Environment: "production", Service: "web", Tail: 3})
	must(b, err)
	if all, err := drain(lines); err != nil || len(all) != 6 {
		b.Errorf("%d lines, %v", len(all), err)
	}
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
