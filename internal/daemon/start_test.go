package daemon

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/api"
	"greenroom/internal/driver"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// A release that migrates as it starts, when something is in its way or dies: it is told from the app by the name of its
// sessions, or where it takes another by who is at their other end.

// namesItself is a line of the service's variables by which its sessions have a name of their own.
const namesItself = "      PGAPPNAME: a name of its own\n"

// startingSources is the app that migrates as it starts, with these settings and more variables.
func startingSources(settings, variables string) sources {
	return withPostgres().
		saying("{run: bin/app migrate, timeout: 1m}", "{at: start, timeout: 1m, "+settings+"}").
		saying("      CONTROL: CONTROL_FOLDER\n", "      CONTROL: CONTROL_FOLDER\n      MIGRATE: start\n"+variables)
}

// TestStartBehindAnIdleTransaction is FAULTS.md's fact 7 for an app that migrates as it starts.
func TestStartBehindAnIdleTransaction(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	h.live(startingSources(patient, ""))
	customers := h.customersOf(h.status().Address)
	h.part(t, "by its name", func() {
		h.behindIdle(h.build(startingSources(patient, "").as("v2", "ALTER TABLE entries ADD COLUMN IF NOT EXISTS note text")))
	})
	h.part(t, "by who is at the other end", func() {
		h.behindIdle(h.build(startingSources(patient, namesItself).as("v3", "ALTER TABLE entries ADD COLUMN IF NOT EXISTS mark text")))
	})
	customers.wantFlawless(t, customers.cut())
}

// TestKilledAsItStarts kills a replica in the middle of its migration, and the control plane, and both: its session in the
// server goes on, and is ended before anything is concluded or another one begins (FAULTS.md, fact 3).
func TestKilledAsItStarts(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	const slowly = "lock_timeout: 1m, budget: {blocked_reads: 1m, blocked_writes: 1m}"
	live := h.live(startingSources(slowly, ""))
	for i, variables := range []string{"", namesItself} {
		next := func(n int) release.Digest {
			table := fmt.Sprintf("notes_%d_%d", i, n)
			return h.build(startingSources(slowly, variables).as(fmt.Sprintf("v%d%d", i, n),
				"CREATE TABLE IF NOT EXISTS "+table+" (note text);\nSELECT pg_advisory_xact_lock("+theTest+")"))
		}
		name := map[string]string{"": "by its name", namesItself: "by who is at the other end"}[variables]
		h.part(t, "the replica, "+name, func() {
			before := h.readSchema()
			s := h.inMidStart(next(1))
			must(h, syscall.Kill(h.candidate(s.release).PID, syscall.SIGKILL))
			h.wantOutcome(h.await(s.run), plan.RolledBack, "left the schema as it was")
			s.wantEnded()
			s.letGo()
			if h.readSchema() != before {
				h.Error("what the replica left behind changed the schema")
			}
			h.wantSound(live)
		})
		h.part(t, "the control plane, "+name, func() {
			s := h.inMidStart(next(2))
			pid := h.candidate(s.release).PID
			h.killDaemon()
			h.start()
			s.letGo()
			h.wantOutcome(h.await(s.run), plan.Succeeded)
			if now := h.candidate(s.release).PID; now != pid {
				h.Errorf("process %d migrated again what %d was at", now, pid)
			}
			live = s.release
			h.wantSound(live)
		})
		h.part(t, "both, "+name, func() {
			s := h.inMidStart(next(3))
			pid := h.candidate(s.release).PID
			h.killDaemon()
			must(h, syscall.Kill(pid, syscall.SIGKILL))
			if s.waiting() != s.pid {
				h.Fatal("the session went with its replica: there is nothing to test")
			}
			h.start()
			h.eventually("another one migrates", func() string {
				if pid := s.waiting(); pid == 0 || pid == s.pid {
					return fmt.Sprintf("session %d waits", pid)
				}
				return ""
			})
			s.wantEnded()
			s.letGo()
			h.wantOutcome(h.await(s.run), plan.Succeeded)
			live = s.release
			h.wantSound(live)
		})
	}
}

// TestMigratesLongerThanAStart has a replica migrate for longer than it may take to become healthy: that is the migration's
// time and not the start's.
func TestMigratesLongerThanAStart(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	sources := startingSources("lock_timeout: 1m, budget: {blocked_reads: 1m, blocked_writes: 1m}", "").
		saying("    deploy: {replicas: 2}\n", "    deploy: {replicas: 2}\n    healthcheck: {interval: 500ms, retries: 3, start_period: 1ms}\n")
	h.live(sources)
	s := h.inMidStart(h.build(sources.as("v2", "CREATE TABLE IF NOT EXISTS notes (note text);\nSELECT pg_advisory_xact_lock("+theTest+")")))
	h.eventually("its time is over", func() string {
		if phase := h.candidate(s.release).Phase; phase != driver.Sick {
			return string(phase)
		}
		return ""
	})
	// Whoever goes on after a kill finds it as it is, and goes on waiting for it.
	pid := h.candidate(s.release).PID
	h.killDaemon()
	h.start()
	started := 0
	h.follow(s.run, func(e api.Event) bool {
		if e.Step == "migrate" && e.State == plan.Started {
			started++
		}
		return started < 2 || !strings.Contains(e.Text, "waits for a lock")
	})
	if now := h.candidate(s.release).PID; now != pid || s.waiting() != s.pid {
		h.Errorf("process %d migrates again what %d was at", now, pid)
	}
	s.letGo()
	h.wantOutcome(h.await(s.run), plan.Succeeded)
	h.wantSound(s.release)
}

// TestRehearsedAsItStarts rehearses a release that migrates as it starts on a stage that the release before built in the same
// way: that one's sessions are people, who stand behind the migration, and no part of it.
func TestRehearsedAsItStarts(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	sources := rehearsed().saying("{run: bin/app migrate, timeout: 1m}", "{at: start, timeout: 1m, lock_timeout: 500ms, budget: {blocked_reads: 2s, blocked_writes: 2s}}").
		saying("      CONTROL: CONTROL_FOLDER\n", "      CONTROL: CONTROL_FOLDER\n      MIGRATE: start\n").saying("replicas: 2", "replicas: 1")
	h.up(sources)
	live := h.build(sources)
	h.wantRehearsed(live)
	h.wantOutcome(h.promote(live), plan.Succeeded)
	_, found := h.found(h.build(sources.as("v2", "ALTER TABLE entries ADD COLUMN IF NOT EXISTS note text;\nSELECT pg_sleep(4)")))
	if m := found["migration"]; m.Verdict != evidence.Fail || !strings.Contains(m.Summary, "would have stood still") || len(m.Migration.Observation.Waits) == 0 {
		t.Errorf("the one that holds everybody up: %s, %s, %+v", m.Verdict, m.Summary, m.Migration)
	}
}

// TestFirstMigratesLongerThanAStart rehearses a first release, and the next on a stage that this one has to build again: what
// takes longer than a start may is a migration there too.
func TestFirstMigratesLongerThanAStart(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	sources := rehearsed().saying("{run: bin/app migrate, timeout: 1m}", "{at: start, timeout: 1m, "+patient+"}").
		saying("      CONTROL: CONTROL_FOLDER\n", "      CONTROL: CONTROL_FOLDER\n      MIGRATE: start\n").
		saying("    deploy: {replicas: 2}\n", "    healthcheck: {interval: 500ms, timeout: 5s, retries: 2, start_period: 1ms}\n")
	sources.migrate += "SELECT pg_sleep(4) WHERE to_regclass('slow') IS NULL;\nCREATE TABLE IF NOT EXISTS slow (note text);\n"
	h.up(sources)
	live := h.build(sources)
	h.wantRehearsed(live)
	h.wantOutcome(h.promote(live), plan.Succeeded)
	h.wantRehearsed(h.build(sources.as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)")))
}

// theTest is the lock of the test's that a migration waits for in its midst.
const theTest = "4711"

// midStart is a promotion whose replica is in the middle of its migration.
type midStart struct {
	*house
	run     string
	release release.Digest
	conn    *pgx.Conn
	pid     int // of the migrator's session
}

// inMidStart begins to promote a release, and returns when its migration waits for the test.
func (h *house) inMidStart(r release.Digest) *midStart {
	h.Helper()
	s := &midStart{house: h, release: r, conn: h.connect()}
	_, err := s.conn.Exec(h.ctx(), "SELECT pg_advisory_lock("+theTest+")")
	must(h, err)
	s.run = h.begin(r).ID
	h.eventually("it migrates", func() string {
		if s.pid = s.waiting(); s.pid == 0 {
			return "nobody waits"
		}
		return ""
	})
	return s
}

// waiting is the session that waits for the test; 0 for none.
func (s *midStart) waiting() (pid int) {
	s.Helper()
	must(s, s.conn.QueryRow(s.ctx(), "SELECT coalesce(min(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = "+theTest).Scan(&pid))
	return pid
}

// wantEnded fails the test when the migrator's session is still there.
func (s *midStart) wantEnded() {
	s.Helper()
	var there bool
	must(s, s.conn.QueryRow(s.ctx(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", s.pid).Scan(&there))
	if there {
		s.Errorf("session %d is still there", s.pid)
	}
}

// letGo lets whoever waits for the test go on.
func (s *midStart) letGo() {
	s.Helper()
	_, err := s.conn.Exec(s.ctx(), "SELECT pg_advisory_unlock("+theTest+")")
	must(s, err)
}

// candidate is the replica of a release's that migrates.
func (h *house) candidate(r release.Digest) driver.Status {
	h.Helper()
	for _, s := range h.replicas() {
		if s.Service == "web" && s.Release == string(r) && s.Index == 0 {
			return s
		}
	}
	h.Fatalf("no replica of %s migrates", r.Short())
	return driver.Status{}
}
