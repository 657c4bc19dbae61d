package daemon

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/evidence"
	"greenroom/internal/netns"
	"greenroom/internal/plan"
	"greenroom/internal/release"
	"greenroom/internal/wall"
)

// containedOnCopy is the app of containers whose stage has a masked copy of production's data. A check that reaches the database waits
// as long as the file hold is there.
func containedOnCopy(hold string) sources {
	s := onCopy()
	c := contained()
	s.compose = c.compose
	s.definition = "driver: docker\n" + strings.Replace(s.definition, "  production:\n",
		"  production:\n    accept:\n      web: &told {volumes CONTROL_FOLDER: the test tells it what to do}\n      worker: *told\n", 1)
	return s.saying("run: bin/app migrate, timeout: 1m}", "run: bin/app migrate, service: web, timeout: 1m, lock_timeout: 250ms}").
		saying("blocked_reads: 1s, blocked_writes: 1s", "blocked_reads: 5s, blocked_writes: 5s").
		saying("checks:\n", "checks:\n  a-hold: {run: 'bin/app try database \"$DATABASE_URL\" && while [ -e "+hold+" ]; do sleep 0.05; done', files: [bin/app], timeout: 5m}\n")
}

// walled is a house whose app has production's data in a stage of containers.
type walled struct {
	*house
	engine *dockertest.Engine
	driver *docker.Driver
	hold   string // the file that keeps a rehearsal from ending
}

// TestContainersSecluded rehearses a migration on a stage of containers that gets a masked copy of production's data: the
// containers reach one another, and have no way out.
func TestContainersSecluded(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	w := newWalled(t)
	live := w.onAContainedCopy()
	next := w.build(containedOnCopy(w.hold).as("v2", "ALTER TABLE customers ADD COLUMN IF NOT EXISTS since date;\nSELECT pg_sleep(2)")) // so long that it is seen
	must(t, os.WriteFile(w.hold, nil, 0o600))
	rehearsal := w.rehearse(next)
	w.awaitStep(rehearsal.ID, "check-a-hold")
	w.part(t, "what a container can reach", w.wantWalled)
	w.part(t, "what it has of production", w.wantMasked)
	w.part(t, "after the death of a container", func() {
		c := w.of("rehearsal", "web")
		must(w, syscall.Kill(c.PID, syscall.SIGKILL))
		w.eventually("the Engine has started it again", func() string {
			if again := w.of("rehearsal", "web"); again.PID == c.PID || again.Phase != driver.Healthy {
				return "not yet: " + string(again.Phase)
			}
			return ""
		})
		w.wantWalled()
	})
	w.part(t, "after the death of the control plane", func() {
		w.killDaemon()
		w.start()
		w.awaitStep(rehearsal.ID, "check-a-hold")
		w.wantWalled()
	})
	must(t, os.Remove(w.hold))
	w.wantOutcome(w.await(rehearsal.ID), plan.Succeeded)
	w.wantProvenReport(rehearsal.ID)
	w.part(t, "nothing of production's stands outside it", w.wantNothingLeaked)
	w.wantNoWalls()
	w.part(t, "a container that could leave", func() { w.wantRefused(live) })
}

// wantRefused has a release ask for more than a container in a stage with production's data may have: the data stays away,
// unless the definition accepts that it is where it can be told.
func (w *walled) wantRefused(live release.Digest) {
	w.Helper()
	for _, accepted := range []string{"", "a laptop"} {
		s := containedOnCopy(w.hold).as("v3", "").saying("    command: bin/app work\n", "    command: bin/app work\n    cap_add: [NET_ADMIN]\n")
		s.definition = strings.Replace(s.definition, "worker: *told", "worker: {volumes CONTROL_FOLDER: a test, cap_add NET_ADMIN: a test}", 1)
		if accepted != "" {
			s = s.saying("mask: mask.yaml}", "mask: mask.yaml, not_isolated: "+accepted+"}")
		}
		w.register(s)
		run := w.await(w.rehearse(w.build(s)).ID)
		if accepted == "" {
			if run.Outcome == plan.Succeeded || !strings.Contains(run.Reason, "not isolated") || !strings.Contains(run.Reason, "service worker has cap_add NET_ADMIN") {
				w.Errorf("it ended %s: %s", run.Outcome, run.Reason)
			}
			continue
		}
		report, err := w.client.Report(w.ctx(), appUnderTest, run.ID)
		must(w, err)
		if i := report.Isolation; run.Outcome != plan.Succeeded || i == nil || i.Isolated || i.Accepted != accepted || !strings.Contains(i.Because, "service worker") {
			w.Errorf("it ended %s (%s): %+v", run.Outcome, run.Reason, report.Isolation)
		}
	}
	w.wantNoWalls()
	if now := w.status().Live.Digest; now != live {
		w.Errorf("%s is live", now.Short())
	}
}

func newWalled(t *testing.T) *walled {
	t.Helper()
	engine := dockertest.Start(t)
	d, err := docker.New(docker.Options{Host: engine.Host, Home: "the test"})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	_, err = d.Load(t.Context(), strings.NewReader(string(databaseImage(t).Archive(t))))
	must(t, err)
	dir := newFolder(t)
	h := newHouseIn(t, dir, filepath.Join(dir, "home"), func(h *house) { h.engine = engine.Host })
	mine, err := docker.New(docker.Options{Host: engine.Host, Home: string(h.home)})
	must(t, err)
	t.Cleanup(func() { must(t, mine.Close()) })
	return &walled{house: h, engine: engine, driver: mine, hold: filepath.Join(h.control, "hold")}
}

// onAContainedCopy makes the first release live in a production with customers.
func (w *walled) onAContainedCopy() release.Digest {
	w.Helper()
	s := containedOnCopy(w.hold)
	w.up(s)
	r := w.build(s)
	w.wantRehearsed(r)
	w.toStaging(r)
	w.wantOutcome(w.promote(r), plan.Succeeded)
	db, err := pgx.Connect(w.ctx(), "postgres://app:app@"+w.of("production", "db").Listen.Address+"/app?sslmode=disable")
	must(w, err)
	defer db.Close(w.ctx())
	for i := range people {
		_, err := db.Exec(w.ctx(), "INSERT INTO customers VALUES ($1, $2, $3)", i, planted(i), "the note of "+planted(i))
		must(w, err)
	}
	return r
}

// of is a container of an environment's service.
func (w *walled) of(environment, service string) driver.Status {
	w.Helper()
	all, err := w.driver.List(w.ctx(), driver.Filter{App: appUnderTest, Environment: environment, Service: service})
	must(w, err)
	if len(all) == 0 {
		w.Fatalf("%s has no container of %s", environment, service)
	}
	return all[len(all)-1] // of the release that came last
}

// tries has a container try something as itself.
func (w *walled) tries(c driver.Status, how, what, word string) error {
	w.Helper()
	got, err := http.PostForm("http://"+c.Listen.Address+"/try", url.Values{"how": {how}, "what": {what}, "word": {word}})
	must(w, err)
	defer got.Body.Close()
	if got.StatusCode == http.StatusOK {
		return nil
	}
	said, err := io.ReadAll(got.Body)
	must(w, err)
	return errors.New(strings.TrimSpace(string(said)))
}

// wantWalled has a container of the stage try what it must not reach, and what it must. One of production's tries the same, as
// far as it is in a network that has no wall: else nothing would be tested.
func (w *walled) wantWalled() {
	w.Helper()
	web, production := w.of("rehearsal", "web"), w.of("production", "web")
	decoy, err := netns.NewDecoy("tcp", "0.0.0.0:0")
	must(w, err)
	defer decoy.Close()
	ear, err := netns.NewEar()
	must(w, err)
	defer ear.Close()
	_, port, _ := net.SplitHostPort(decoy.Try.Address)
	at := func(n docker.Network) string { return net.JoinHostPort(n.Gateway.String(), port) }
	open, err := w.driver.EnsureNetwork(w.ctx(), appUnderTest, "production", "environment", docker.Addressed)
	must(w, err)
	closed, err := w.driver.InternalNetworks(w.ctx(), appUnderTest, "rehearsal")
	must(w, err)
	if len(closed) < 2 {
		w.Fatalf("the stage has the networks %+v", closed)
	}
	heard := func(c driver.Status, to netip.Addr) bool {
		t := ear.At(to)
		err := w.tries(c, "udp", t.Address, t.Token)
		must(w, ear.Listens(w.ctx()))
		return err == nil && ear.Heard(t)
	}

	if err := w.tries(production, "tcp", at(open), ""); err != nil {
		w.Errorf("a container of production does not reach the machine, so nothing is tested: %v", err)
	}
	all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if !heard(production, open.Gateway) || !heard(production, all) {
		w.Error("datagrams of production's do not reach the machine, so nothing is tested")
	}
	for _, n := range closed {
		must(w, wall.Wall{Bridge: n.Bridge, Address: netip.PrefixFrom(n.Gateway, n.Subnet.Bits())}.Check())
		if err := w.tries(web, "tcp", at(n), ""); err == nil {
			w.Errorf("it reaches the machine by %s", n.Name)
		}
		if heard(web, n.Gateway) || heard(web, lastOfSubnet(n.Subnet)) {
			w.Errorf("its datagrams come to the machine by %s", n.Name)
		}
	}
	if heard(web, all) || heard(web, open.Gateway) {
		w.Error("its datagrams come to the machine")
	}
	for what, address := range map[string]string{
		"the machine at production's gateway": at(open), "production": production.Listen.Address, "an address outside": "192.0.2.1:443",
		"production's database": w.of("production", "db").Listen.Address, "an address outside by IPv6": "[2001:db8::1]:443",
		"the edge of production": strings.TrimPrefix(w.status().Address, "http://"),
	} {
		if err := w.tries(web, "tcp", address, ""); err == nil {
			w.Errorf("it reaches %s", what)
		}
	}
	if err := w.tries(web, "name", "example.com", ""); err == nil {
		w.Error("it has a name looked up")
	}
	for _, address := range []string{"db:5432", "web:8080", web.Listen.Address, w.of("rehearsal", "db").Listen.Address} {
		if err := w.tries(web, "tcp", address, ""); err != nil {
			w.Errorf("it does not reach its own %s: %v", address, err)
		}
	}
}

func lastOfSubnet(p netip.Prefix) netip.Addr {
	last := p.Masked().Addr()
	for range 1<<(32-p.Bits()) - 1 {
		last = last.Next()
	}
	return last
}

// wantMasked looks for planted addresses in what the stage's database has on disk, and for what they became.
func (w *walled) wantMasked() {
	w.Helper()
	db, err := pgx.Connect(w.ctx(), "postgres://app:app@"+w.of("rehearsal", "db").Listen.Address+"/app?sslmode=disable")
	must(w, err)
	defer db.Close(w.ctx())
	var all, leaked int
	must(w, db.QueryRow(w.ctx(), "SELECT count(*), count(*) FILTER (WHERE email LIKE '%canary-farm%' OR note LIKE '%canary-farm%') FROM customers").Scan(&all, &leaked))
	if all != people || leaked > 0 {
		w.Errorf("the stage has %d customers, of whom %d are production's", all, leaked)
	}
}

// wantProvenReport looks at what the report says of the stage, and of the migration.
func (w *walled) wantProvenReport(run string) {
	w.Helper()
	report, err := w.client.Report(w.ctx(), appUnderTest, run)
	must(w, err)
	w.wantIsolated(report)
	for _, result := range report.Results {
		if m := result.Migration; result.Check == "migration" && (m == nil || !strings.Contains(m.Data, "a masked copy of production") || m.Forecast == nil || m.Back == nil || len(m.Observation.Locks) == 0) {
			w.Errorf("the migration: %s, %s, %+v", result.Verdict, result.Summary, m)
		}
	}
	if report.Verdict != evidence.Pass {
		w.Errorf("the verdict is %s: %+v", report.Verdict, report.Results)
	}
}

// wantIsolated fails the test when a report does not say that all ways out of the stage were tried, and none was found.
func (w *walled) wantIsolated(report evidence.Report) {
	w.Helper()
	if report.Isolation == nil || !report.Isolation.Isolated || len(report.Isolation.Faults()) > 0 {
		w.Fatalf("the stage is isolated as %+v", report.Isolation)
	}
	if !slices.ContainsFunc(report.Notes, func(n string) bool { return strings.HasPrefix(n, "isolated: ") }) {
		w.Errorf("the notes are %q", report.Notes)
	}
	for _, what := range []string{
		"networks but the stage's", "datagrams to the machine", "addresses outside the machine", "listeners of the machine", "names looked up",
		"addresses of other environments", evidence.OwnServices,
	} {
		if !slices.ContainsFunc(report.Isolation.Facts, func(f evidence.Fact) bool { return f.What == what }) {
			w.Errorf("nothing was tried of %s: %+v", what, report.Isolation.Facts)
		}
	}
}

// wantNoWalls fails the test when anything of the stage is left in the Engine.
func (w *walled) wantNoWalls() {
	w.Helper()
	networks, err := w.driver.InternalNetworks(w.ctx(), appUnderTest, "rehearsal")
	must(w, err)
	all, err := w.driver.List(w.ctx(), driver.Filter{App: appUnderTest, Environment: "rehearsal"})
	must(w, err)
	if len(networks) > 0 || len(all) > 0 {
		w.Errorf("left are the networks %v and the containers %v", networks, all)
	}
}
