package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// TestKillAtEveryStep kills the control plane at every step of a promotion, which goes on when the next one starts, and of
// one that is taken back. Customers use the app all the time and must not notice. The steps are the plan's own: a new one
// is tested without being named here.
func TestKillAtEveryStep(t *testing.T) {
	t.Parallel()
	t.Run("forth", func(t *testing.T) {
		t.Parallel()
		s := newSwing(t)
		for _, point := range []run.Point{run.BeforeDo, run.AfterDo, run.DoRecorded} {
			s.part(t, string(point), func() { s.forth(point) })
		}
	})
	t.Run("back", func(t *testing.T) {
		t.Parallel()
		s := newSwing(t)
		for _, point := range []run.Point{run.BeforeUndo, run.AfterUndo, run.UndoRecorded} {
			s.part(t, string(point), func() { s.backFromJourney(point) })
			for _, step := range s.changing(s.isLate) {
				s.part(t, string(point)+" "+step.Name, func() { s.backFromLive(point, step) })
			}
		}
	})
}

// swing is a house between two releases of its app. Each is made live in turn: the migration of the one makes a table,
// that of the other takes it away, so that each promotion changes everything that it can.
type swing struct {
	*house
	customers   *customers
	address     string
	live, other release.Digest
	versions    map[release.Digest]string
	order       []string // of the plan's steps
}

func newSwing(t testing.TB) *swing {
	needPostgres(t)
	h := newHouse(t)
	s := &swing{house: h}
	patient := withPostgres().saying("stop_grace_period: 3s", "stop_grace_period: 15s") // see no-stop
	s.live = h.live(patient.as("v1", "DROP TABLE IF EXISTS notes"))
	s.other = h.build(patient.as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
	s.versions = map[release.Digest]string{s.live: "v1", s.other: "v2"}
	for _, step := range h.steps(s.other, func(plan.Step) bool { return true }) {
		s.order = append(s.order, step.Name)
	}
	s.address = h.status().Address
	s.customers = h.customersOf(s.address)
	return s
}

// changing are the steps of the next promotion that change something, in the order in which they are undone.
func (s *swing) changing(satisfy func(plan.Step) bool) []plan.Step {
	s.Helper()
	all := s.steps(s.other, func(step plan.Step) bool { return step.Changes && satisfy(step) })
	slices.Reverse(all)
	return all
}

// isLate says whether a step comes after the release's journeys in production, its last proof before it is live.
func (s *swing) isLate(step plan.Step) bool { return s.after("verify", step.Name) }

// forth promotes the other release.
func (s *swing) forth(point run.Point) {
	begun := s.dieAround(s.steps(s.other, func(plan.Step) bool { return true }), []run.Point{point}, func() api.RunView { return s.begin(s.other) })
	s.wantPassed(s.wantOutcome(s.await(begun.ID), plan.Succeeded))
	s.live, s.other = s.other, s.live
	s.wantAllWell()
}

// backFromJourney promotes the other release, which its production journey finds bad.
func (s *swing) backFromJourney(point run.Point) {
	s.tell("fail-journey", s.versions[s.other], s.address)
	defer s.tell("fail-journey", s.versions[s.other], "")
	early := s.changing(func(step plan.Step) bool { return !s.isLate(step) })
	begun := s.dieAround(early, []run.Point{point}, func() api.RunView { return s.begin(s.other) })
	s.wantBack(begun)
}

// backFromLive promotes the other release, and a person changes their mind at a step after the journey.
func (s *swing) backFromLive(point run.Point, step plan.Step) {
	s.dieAt(string(point) + "/" + step.Name)
	s.tell("no-stop", s.versions[s.live], "yes") // before the person has changed their mind
	defer s.tell("no-stop", s.versions[s.live], "")
	begun := s.begin(s.other)
	s.awaitStep(begun.ID, step.Name)
	must(s, s.client.Cancel(s.ctx(), begun.ID))
	s.tell("no-stop", s.versions[s.live], "")
	s.awaitDeath()
	if s.after(step.Name, "share-100") {
		s.wantOnlyLive()
	}
	s.start()
	s.wantBack(begun)
}

// wantBack fails the test when the run does not end with everything as it was.
func (s *swing) wantBack(begun api.RunView) {
	s.wantPassed(s.wantOutcome(s.await(begun.ID), plan.RolledBack))
	s.wantAllWell()
}

// wantOnlyLive fails the test when somebody is still sent to the release that is being taken back. Its traffic is the
// first that is taken from it, and never comes back.
func (s *swing) wantOnlyLive() {
	s.customers.wantFlawless(s, s.customers.cut())
	for s.customers.served() < 20 {
		time.Sleep(pace)
	}
	b := s.customers.cut()
	s.customers.wantFlawless(s, b)
	if n := b.answers[s.versions[s.other]]; n > 0 {
		s.Fatalf("%d of %d answers are those of the release that is taken back", n, b.sent)
	}
}

// after says whether a step comes after another in the plan.
func (s *swing) after(first, second string) bool {
	return slices.Index(s.order, second) > slices.Index(s.order, first)
}

// wantPassed fails the test when the run is not told in the history, or was not proven by the journeys.
func (s *swing) wantPassed(run api.RunView) {
	s.wantAudited(run)
	if run.Measurement == nil || !run.Measurement.Journeys {
		s.Errorf("its measurement is %+v", run.Measurement)
	}
}

// wantAllWell fails the test when the customers noticed something, or an invariant does not hold.
func (s *swing) wantAllWell() {
	s.customers.wantFlawless(s, s.customers.cut())
	s.wantSound(s.live)
	if wrong := s.wrongPorts(s.live); wrong != "" {
		s.Fatal(wrong)
	}
	if s.twoWorkers() {
		s.Fatal("two workers ran at once")
	}
}

// twoWorkers says whether a worker met another.
func (h *house) twoWorkers() bool {
	return strings.Contains(lastOf(h.control+"/two-workers", 100), "v")
}

// dieAround has the control plane die at each of the points of each of the steps of the run that begin starts, which then
// goes on.
func (h *house) dieAround(steps []plan.Step, points []run.Point, begin func() api.RunView) (begun api.RunView) {
	h.Helper()
	first := true
	for _, step := range steps {
		for _, point := range points {
			h.dieAt(string(point) + "/" + step.Name)
			if first {
				begun, first = begin(), false
			} else {
				h.launch() // it may die before it answers
			}
			h.awaitDeath()
		}
	}
	h.start()
	return h.recall(begun)
}
