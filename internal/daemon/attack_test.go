package daemon

import (
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// withSecrets is the app whose database has a secret for a password, and whose web service names another one.
func withSecrets() sources {
	return withPostgres().
		saying("      DATABASE_URL: postgres://app:app@${DB_HOST:-db}:${DB_PORT:-5432}/app?sslmode=disable\n", "").
		saying("    environment: &environment", "    secrets: [API_KEY]\n    environment: &environment").
		saying("POSTGRES_PASSWORD: app,", "POSTGRES_PASSWORD_FILE: /run/secrets/DB_PASSWORD,").
		saying("    image: postgres:15\n", "    image: postgres:15\n    secrets: [DB_PASSWORD]\n").
		saying("volumes: {db: {}}", "volumes: {db: {}}\nsecrets:\n  API_KEY: {external: true}\n  DB_PASSWORD: {external: true}")
}

func (h *house) setSecret(name, value string) error {
	return h.client.SecretSet(h.ctx(), api.SecretName{App: appUnderTest, Environment: "production", Name: name}, []byte(value))
}

// wantUp fails the test when production does not get well with this release.
func (h *house) wantUp(live release.Digest) {
	h.Helper()
	h.eventually("production is up", func() string {
		s := h.status()
		if s.State == api.EnvironmentUp && s.Live.Digest == live {
			return ""
		}
		return string(s.State) + ": " + s.Reason
	})
}

// TestUnderfoot tries to pull away what production stands on.
func TestUnderfoot(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := withSecrets()
	h.register(s)
	must(t, h.setSecret("DB_PASSWORD", "the first password"))
	must(t, h.setSecret("API_KEY", "a key of the first day"))
	live := h.live(s)
	customers := h.customersOf(h.status().Address)

	h.part(t, "the database's password", func() {
		wantProblem(h, h.setSecret("DB_PASSWORD", "another password"), problem.Blocked, "DB_PASSWORD", "greenroom down production")
	})
	h.part(t, "a secret that it names", func() {
		err := h.client.SecretRemove(h.ctx(), api.SecretName{App: appUnderTest, Environment: "production", Name: "API_KEY"})
		wantProblem(h, err, problem.Blocked, "API_KEY", "greenroom down production")
		must(h, h.setSecret("API_KEY", "a key of the second day"))
	})
	h.part(t, "a promotion's policy", func() {
		h.tell("sick", "v2", "not yet")
		next := h.build(s.as("v2", ""))
		run := h.begin(next)
		h.awaitStep(run.ID, "start")
		other := s.saying("drain: 30s", "drain: 31s")
		registration := h.registration(other)
		_, err := h.client.Apply(h.ctx(), registration, false)
		wantProblem(h, err, problem.Blocked, "under way", run.ID)
		h.tell("sick", "v2", "")
		h.wantOutcome(h.await(run.ID), plan.Succeeded)
		_, err = h.client.Apply(h.ctx(), registration, false)
		must(h, err)
		live = next
	})
	h.wantUp(live)
	customers.wantFlawless(h, customers.cut())
	h.part(t, "the password, once it is down", func() {
		h.down()
		must(h, h.setSecret("DB_PASSWORD", "another password"))
		must(h, h.upAgain())
		h.wantUp(live)
	})
}

// TestStoppingIsFinished kills the control plane while it stops production. The next one goes on with that.
func TestStoppingIsFinished(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	h.live(withPostgres().saying("stop_grace_period: 3s", "stop_grace_period: 6s")) // in which it is killed
	h.tell("stubborn", "v1", "yes")
	events, err := h.client.Down(h.ctx(), api.EnvironmentsRequest{App: appUnderTest})
	must(t, err)
	h.eventually("it is being stopped", func() string {
		if s := h.status(); s.State != api.EnvironmentDown {
			return string(s.State)
		}
		return ""
	})
	h.killDaemon()
	if _, err := drain(events); err == nil {
		t.Fatal("it was stopped before it could be killed: nothing is tested")
	}
	h.start()
	h.eventually("nothing of production runs", func() string {
		var names []string
		for _, r := range h.replicas() {
			names = append(names, r.ID)
		}
		return strings.Join(names, ", ")
	})
}

// TestNamesThatBeginAlike has an environment whose name begins like the stage's. What is done to the one is not done to
// the other.
func TestNamesThatBeginAlike(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := withPostgres().saying("environments:\n", "environments:\n  rehearsals: {}\n")
	h.up(s)
	addresses := func() (all []string) {
		v, err := h.client.Status(h.ctx(), appUnderTest)
		must(t, err)
		for _, e := range v.Apps[0].Environments {
			all = append(all, e.Address)
		}
		return all
	}
	before := addresses()
	h.wantOutcome(h.await(h.rehearse(h.build(s)).ID), plan.Succeeded)
	if now := addresses(); strings.Join(before, " ") != strings.Join(now, " ") {
		t.Errorf("the addresses were %v before a rehearsal, and are %v", before, now)
	}
}

// TestStoppingAllEndsRehearsals stops everything in the middle of a rehearsal, with another one waiting. Nothing is left
// of its stage.
func TestStoppingAllEndsRehearsals(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := withPostgres()
	h.up(s)
	h.tell("sick", "v1", "not today")
	r := h.build(s)
	first, second := h.rehearse(r), h.rehearse(r)
	h.awaitStep(first.ID, "new")
	h.down()
	for _, id := range []string{first.ID, second.ID} {
		if run := h.await(id); run.Outcome != plan.Stopped && run.Outcome != plan.RolledBack || !run.Cancelled {
			t.Errorf("%s: %s, %s", id, run.Outcome, run.Reason)
		}
	}
	if all := h.replicas(); len(all) > 0 {
		t.Errorf("left are %+v", all)
	}
}

// TestTablesMadeAtTheStart has an app that declares no migrations and makes its tables as it starts, as many do. And it
// prints its key when it can't.
func TestTablesMadeAtTheStart(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	const key = "planted-k7Qx2-api"
	s := withSecrets().saying("migrations: {run: bin/app migrate, timeout: 1m}\n", "").
		saying("      CONTROL: CONTROL_FOLDER\n", "      CONTROL: CONTROL_FOLDER\n      MIGRATE: start\n").saying("deploy: {replicas: 2}", "deploy: {replicas: 1}")
	h.register(s)
	must(t, h.setSecret("DB_PASSWORD", "the password"))
	must(t, h.setSecret("API_KEY", key))
	h.live(s)
	second := h.build(s.as("v2", "CREATE TABLE IF NOT EXISTS second (n int);\n"))
	h.wantOutcome(h.promote(second), plan.Succeeded)
	h.part(t, "one that can't", func() {
		h.wantOutcome(h.promote(h.build(s.as("v3", "SELECT 1/0"))), plan.RolledBack, "migrating with ***")
		h.wantNotTold(key)
		h.wantNotOnDisk(key)
	})
	h.part(t, "one that fails afterwards", func() {
		h.tell("fail-journey", "v4", h.status().Address)
		h.wantOutcome(h.promote(h.build(s.as("v4", "CREATE TABLE IF NOT EXISTS fourth (n int);\n"))), plan.RolledBack, "the customer can't buy")
	})
	fifth := h.build(s.as("v5", ""))
	h.wantOutcome(h.promote(fifth), plan.Succeeded)
	h.wantUp(fifth)
}

// TestCheckThatLeavesSomethingBehind has journeys that start something in a session of its own. It ends with them.
func TestCheckThatLeavesSomethingBehind(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	mark := filepath.Join(h.dir, "left-behind")
	h.live(withPostgres().saying("{run: CONTROL=CONTROL_FOLDER bin/app journey",
		`{run: 'setsid sh -c "while sleep 1; do :; done" `+mark+` >/dev/null 2>&1 & CONTROL=CONTROL_FOLDER bin/app journey'`))
	for _, p := range h.processes() {
		if command := commandOf(p.PID); strings.Contains(command, mark) {
			t.Errorf("process %d runs: %s", p.PID, commandLine(p.PID))
		}
	}
}
