package daemon

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/driver"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// TestContainersSecludedEngineDies has the Engine die under a rehearsal on a stage of containers that has production's data: what is back
// answers again behind its walls, what nobody saw is no pass, and nothing is left.
func TestContainersSecludedEngineDies(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	w := newWalled(t)
	live := w.onAContainedCopy()
	held := containedOnCopy(w.hold).saying("&& while", "&& touch "+w.hold+"s && while").
		saying("sleep 0.05; done", "sleep 0.05; done && bin/app try database \"$DATABASE_URL\"")
	w.register(held)
	next := w.build(held.as("v2", "ALTER TABLE customers ADD COLUMN IF NOT EXISTS since date"))
	w.part(t, "while a check runs", func() { w.engineDiesInCheck(next) })
	w.part(t, "while the new release starts", func() { w.engineDiesAtStart(next) })
	w.wantNoWalls()
	w.answersAgain("production")
	if now := w.status().Live.Digest; now != live {
		t.Errorf("%s is live", now.Short())
	}
	w.part(t, "down, with all that was made", w.wantNothingLeft)
}

// engineDiesInCheck has the Engine die twice: once it returns, and the check goes on; then the database dies as well, and the check asks
// for it in vain.
func (w *walled) engineDiesInCheck(r release.Digest) {
	w.Helper()
	must(w, os.WriteFile(w.hold, nil, 0o600))
	rehearsal := w.rehearse(r)
	w.awaitStep(rehearsal.ID, "check-a-hold")
	w.eventually("the check has found the database", func() string {
		if _, err := os.Stat(w.hold + "s"); err != nil {
			return err.Error()
		}
		return ""
	})
	w.engine.Kill(w.TB)
	w.engine.Return(w.TB)
	w.answersAgain("production")
	w.answersAgain("rehearsal")
	w.wantWalled()

	database := w.of("rehearsal", "db").PID
	w.engine.Kill(w.TB)
	must(w, syscall.Kill(database, syscall.SIGKILL))
	must(w, os.Remove(w.hold))
	w.follow(rehearsal.ID, func(e api.Event) bool { return e.Step != "check-a-hold" || e.State != plan.Done })
	w.engine.Return(w.TB)
	report := w.wantHonest(w.await(rehearsal.ID))
	for _, result := range report.Results {
		if result.Check == "a-hold" && result.Verdict == evidence.Pass {
			w.Errorf("what was not there was seen: %+v", result)
		}
	}
	if report.Verdict == evidence.Pass {
		w.Errorf("the verdict is %s: %+v", report.Verdict, report.Results)
	}
	w.wantNoWalls()
}

// engineDiesAtStart has the Engine die as it is asked to start the new release's containers.
func (w *walled) engineDiesAtStart(r release.Digest) {
	w.Helper()
	rehearsal := w.rehearse(r)
	w.awaitStep(rehearsal.ID, "new")
	w.engine.Kill(w.TB)
	w.engine.Return(w.TB)
	w.wantHonest(w.await(rehearsal.ID))
	w.wantNoWalls()
}

// answersAgain returns when an environment's containers are there, and its web service reaches its database.
func (w *walled) answersAgain(environment string) {
	w.Helper()
	w.eventually(environment+" answers again", func() string {
		for _, service := range []string{"web", "db", "cache", "worker"} {
			all, err := w.driver.List(w.ctx(), driver.Filter{App: appUnderTest, Environment: environment, Service: service})
			if err != nil {
				return err.Error()
			}
			if len(all) == 0 {
				return "there is no " + service
			}
			for _, s := range all {
				if s.Phase != driver.Healthy {
					return s.ID + " is " + string(s.Phase) + ": " + s.Reason
				}
			}
		}
		if err := w.tries(w.of(environment, "web"), "tcp", "db:5432", ""); err != nil {
			return err.Error()
		}
		return ""
	})
}

// wantHonest fails the test when a rehearsal ended without a reason, or passed without all that it was to see.
func (w *walled) wantHonest(r api.RunView) evidence.Report {
	w.Helper()
	report, err := w.client.Report(w.ctx(), appUnderTest, r.ID)
	must(w, err)
	if report.Verdict != evidence.Pass {
		if !slices.ContainsFunc(report.Results, func(one evidence.Result) bool { return one.Verdict != evidence.Pass && one.Summary != "" }) {
			w.Errorf("the verdict is %s, and nothing says why: %+v", report.Verdict, report)
		}
		return report
	}
	w.wantIsolated(report)
	for _, step := range r.Plan.Steps {
		if !slices.ContainsFunc(r.Journal, func(e plan.Entry) bool { return e.Step == step.Name && e.State == plan.Done }) {
			w.Errorf("it passed without its step %s", step.Name)
		}
	}
	return report
}

// wantNothingLeft takes all away that Greenroom made for the app.
func (w *walled) wantNothingLeft() {
	w.Helper()
	if code, out := w.greenroom("down", "--app", appUnderTest, "--volumes", "--yes"); code != 0 {
		w.Fatalf("down ends with %d:\n%s", code, out)
	}
	w.awaitEnd()
	places, err := w.driver.Places(w.ctx(), appUnderTest)
	must(w, err)
	if len(places) > 0 {
		w.Errorf("the Engine still has something of %v", places)
	}
	w.wantNoNetwork()
}
